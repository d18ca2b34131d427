from fpkit.figures.drawing import Drawn as _Drawn

amplitudes: _Drawn
animation: _Drawn
calibration: _Drawn
claims: _Drawn
early_stopping: _Drawn
equal_strength: _Drawn
filtering: _Drawn
generalization: _Drawn
graph: _Drawn
initialization: _Drawn
natural_image: _Drawn
order: _Drawn
projection: _Drawn
structures: _Drawn
synthetic: _Drawn
theory: _Drawn
