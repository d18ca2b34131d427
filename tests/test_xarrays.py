"""What happens to be installed beside fpkit has no part in a number: xarray would take bottleneck and opt_einsum."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from conftest import SMOKE, environment

from fpkit.bases.basis import dot
from fpkit.xarrays import by_numpy

TAKEN = ["bottleneck", "opt_einsum"]
# Made of arrays alone: the measures whose bases are matrices, and what is judged of them.
PROGRAM = """
import numpy as np, xarray as xr
import fpkit

def told(spectra):
    return [spectra[name].to_numpy().tobytes().hex() for name in sorted(spectra.variables)]

rng = np.random.default_rng(0)
x, y = rng.standard_normal((300, 6)), rng.standard_normal((300, 3))
h = rng.standard_normal((4, 8, 300, 3)).astype(np.float32)
signs = 1 - 2.0 * (np.arange(256)[:, None] >> np.arange(8) & 1)
spectra = [
    fpkit.measures.projection(h, x, y, frequencies=[1, 2, 3]),
    fpkit.measures.graph(h, x, y, modes=40),
    fpkit.measures.walsh(h[:, :, :256, :1], signs, signs.prod(axis=1)),
]
print([told(one) for one in spectra])
print([str(fpkit.judge(one, statistic, at_least=0)) for one in spectra for statistic in ("lead", "captured")])
print(told(fpkit.measures.mean_frequency(h, x).to_dataset()))
"""


@pytest.fixture
def without_them(tmp_path):
    """An environment that finds none of them."""
    folder = tmp_path / "blocked"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({TAKEN}))\n")
    return environment() | {"PYTHONPATH": str(folder)}


def test_of_the_library(without_them):
    assert all(map(importlib.util.find_spec, TAKEN)), "the test needs them"
    told = []
    for variables in (environment(), without_them):
        command = [sys.executable, "-P", "-c", PROGRAM]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.splitlines())
    assert len(told[0]) == 3
    assert told[0] == told[1]


def test_of_the_workflow(finished, without_them, monkeypatch):
    def results():
        files = [*finished.folder.glob("results/spectra/*/*/*.nc")]
        assert len(files) >= 4
        found = {path: {n: v.to_numpy().tobytes() for n, v in xr.load_dataset(path).items()} for path in files}
        return found, (finished / "results/claims.csv").read_text()

    before = results()
    monkeypatch.setattr("conftest.environment", lambda: without_them)
    finished.make("judge_claims", "--forcerun", "decompose", "judge_claims", overlays=(SMOKE,))
    assert results() == before


def test_xarray_is_left_as_it_was():
    before = xr.get_options()
    with by_numpy():
        assert not xr.get_options()["use_bottleneck"]
    assert xr.get_options() == before


def test_a_product_is_that_of_xarray_lazy_or_not():
    rng = np.random.default_rng(0)
    one = xr.DataArray(rng.standard_normal((3, 5, 4, 2)), {"step": [1, 2, 4]}, ("step", "sample", "member", "output"))
    other = xr.DataArray(rng.standard_normal((7, 2, 5)), dims=("function", "output", "sample"))
    for dims in (["sample", "output"], ["output", "sample"]):
        made = dot(one, other, dims)
        assert made.dims == ("step", "member", "function")
        xr.testing.assert_allclose(made, xr.dot(one, other, dim=dims))
        lazily = dot(one.chunk(step=1), other, dims)
        assert lazily.chunks
        xr.testing.assert_allclose(lazily, made)
    assert dot(one.astype(np.float32), other.astype(np.float32), ["sample", "output"]).dtype == np.float32
    assert np.isnan(dot(one.where(one["step"] > 1), other, ["sample", "output"]).isel(step=0)).all()
