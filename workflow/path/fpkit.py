"""The package that the workflow belongs to, and nothing else of what lies there: beside it or, installed, around it.

This folder comes first on the path of the workflow and of its jobs. The folder of the package cannot: the user's files
lie there too, and one that is called like a module (`random.py`) would take its place everywhere.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

around = Path(__file__).parents[2]
folder = around / "fpkit" if (around / "fpkit/__init__.py").exists() else around.parent
spec = spec_from_file_location("fpkit", folder / "__init__.py", submodule_search_locations=[str(folder)])
package = sys.modules["fpkit"] = module_from_spec(spec)
spec.loader.exec_module(package)
