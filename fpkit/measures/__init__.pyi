from fpkit.measures.smoothness import mean_frequency as mean_frequency
from fpkit.measures.taking import Taken as _Taken

components: _Taken
fft: _Taken
filtering: _Taken
graph: _Taken
ntk: _Taken
projection: _Taken
radial: _Taken
walsh: _Taken
