from fpkit import figures as figures
from fpkit import measures as measures
from fpkit.claims.judging import judge as judge
from fpkit.recording.recorder import Recorder as Recorder
from fpkit.recording.runs import open_run as open_run

__version__: str
__all__: list[str]
