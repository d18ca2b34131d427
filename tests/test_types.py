"""The public names are typed: what a checker says of a program that uses them."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import fpkit

recorder = fpkit.Recorder("a.zarr", [[1.0]], [1.0], member=3)
reveal_type(recorder(0, abs))
run = fpkit.open_run(["a.zarr"])
spectra = fpkit.measures.graph(run, bands=4)
reveal_type(spectra)
reveal_type(fpkit.judge(spectra, "lead", at_least=0.1).value)
reveal_type(fpkit.figures.graph(spectra))
fpkit.Recorder("a.zarr", [[1.0]], outputs="probabilities")
fpkit.measures.grap(run)
"""


def test_a_checker_knows_the_public_names(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", f"--cache-dir={tmp_path}", "program.py"]
    # An editable installation is found by an import hook, which checkers do not run.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    said = done.stdout
    assert re.findall(r'Revealed type is "([^"]*)"', said) == [
        "bool",
        "xarray.core.dataset.Dataset",
        "float",
        "matplotlib.figure.Figure | matplotlib.animation.Animation",
    ], said + done.stderr
    errors = [line for line in said.splitlines() if "error:" in line]
    assert len(errors) == 2, said
    assert 'Argument "outputs" to "Recorder" has incompatible type' in errors[0]
    assert '"grap"' in errors[1]
