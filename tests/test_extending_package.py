"""One more of each kind in a copy of the package, where docs/extending.md says that it goes."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fpkit.training.compiled import library

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs/extending.md").read_text(encoding="utf-8").partition("## Inside the package")[2]

FUNCTIONS = {
    "activation": "def cube(x):\n    return x**3\n",
    "loss": "def quartic(output, target):\n    return (output - target).pow(4).mean(dim=(1, 2))\n",
    "algorithm": "def rprop(flat, rate):\n    return Torch(flat, torch.optim.Rprop([flat], lr=rate))\n",
}
# The same as parts of a user's own, which other tests compare with plain loops.
OWN = f"""
import torch

{FUNCTIONS["activation"]}
{FUNCTIONS["loss"]}
def rprop(parameters, learning_rate):
    return torch.optim.Rprop(parameters, lr=learning_rate)
"""
TRAINING = """
import sys
import numpy as np
from fpkit import config
from fpkit.config.training import Mlp, Training
from fpkit.training.trainer import train


class Last:
    records = 0

    def append(self, step, prediction, **scores):
        self.prediction, self.records = prediction, self.records + 1

    def flush(self): pass
    def truncate(self, records): pass


def trained(activation="tanh", loss="mse", algorithm="adam"):
    model = config.plain(Mlp(kind="mlp", widths=[8, 8], activation=activation))
    training = config.plain(Training(loss=loss, optimizer=algorithm, members=2, steps=20, device="cpu"))
    x = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
    sink = Last()
    used = train(model, {{"x_train": x, "y_train": np.sin(3 * x)}}, sink, **training, per_decade=5, split="train")
    return sink.prediction, used


added, used = trained({kind}={name!r})
own, _ = trained({kind}="mine:" + {name!r})
assert np.isfinite(added).all() and np.abs(added - trained()[0]).max() > 1e-3
np.testing.assert_allclose(added, own, rtol={tolerance}, atol={tolerance})
print(used, sys.modules["fpkit"].__file__)
"""
TWIN = """
struct Cube {
    static vec value(vec z, vec *derivative) {
        if (derivative) *derivative = 3.f * z * z;
        return z * z * z;
    }
    static double exactly(double z) { return z * z * z; }
};

"""


@pytest.fixture
def copy(tmp_path) -> Path:
    shutil.copytree(ROOT / "fpkit", tmp_path / "fpkit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path


def place_of(kind: str) -> tuple[str, str, str]:
    """The file of the function, the name of the entry and its file, as the table says."""
    (file,), (entry, config) = (re.findall(r"`([^`]+)`", cell) for cell in row_of(kind).strip("| ").split("|")[1:])
    return file, entry, config


def row_of(kind: str) -> str:
    (row,) = (line for line in TABLE.splitlines() if line.startswith(f"| {kind} |"))
    return row


def add(copy: Path, kind: str) -> str:
    """One of this kind, by the table alone; its name."""
    file, entry, config = place_of(kind)
    name = re.match(r"def (\w+)", FUNCTIONS[kind])[1]
    with open(copy / file, "a") as module:
        module.write(f"\n\n{FUNCTIONS[kind]}")
    text = (copy / config).read_text()
    assert text.count(f"{entry} = one_of(") == 1
    (copy / config).write_text(text.replace(f"{entry} = one_of(", f'{entry} = one_of("{name}", '))
    return name


def train(copy: Path, kind: str, name: str, tolerance: float, **environ) -> str:
    """The device on which two networks are trained, by the copy."""
    program = TRAINING.format(kind=kind, name=name, tolerance=tolerance)
    environ = os.environ | {"PYTHONPATH": str(copy), **environ}
    done = subprocess.run([sys.executable, "-c", program], cwd=copy, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # a notice says why a library is not taken
    device, file = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert Path(file) == copy / "fpkit/__init__.py"
    return device


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_one_entry_and_one_function_add_a_part_of_a_training(copy, kind):
    assert train(copy, kind, add(copy, kind), tolerance=0) == "cpu"


@pytest.mark.skipif(library.loaded() is None, reason="no C++ compiler on this machine")
def test_a_twin_in_compiled_code_says_by_itself_what_it_can_do(copy):
    name = add(copy, "activation")
    twins = copy / "fpkit/training/compiled/activations.hpp"
    text = twins.read_text()
    for place, more in (("template <class A>\nstruct ByValue", TWIN), ('    ByValue<Tanh>::named("tanh")', "")):
        assert text.count(place) == 1
        text = text.replace(place, (more or f'    Kept<Cube>::named("{name}"),\n') + place)
    twins.write_text(text)
    device = train(copy, "activation", name, tolerance=1e-4, FPKIT_CACHE=str(copy / "cache"))
    assert device == "cpu, compiled"


# --- what is made of a training ---------------------------------------------------------------------------------------

# A data set, a measure of it, a statistic of the measure and a figure that shows it, each by the table alone.
MODULES = {
    "data set": (
        "steps",
        """
import numpy as np
import xarray as xr


def build(*, stairs):
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    y = np.floor(stairs * (x + 1) / 2)
    parts = {"x_train": x, "y_train": y, "x_test": x[:0], "y_test": y[:0]}
    dims = {name: (f"sample_{name[2:]}", "feature" if name[0] == "x" else "output") for name in parts}
    return xr.Dataset({name: (dims[name], values) for name, values in parts.items()})
""",
    ),
    "measure": (
        "halves",
        """
import numpy as np

from fpkit.measures.spectra import described, finish, outputs_of, target_of


def decompose(predictions, dataset, *, split, power, nulls=(), null_draws=20):
    _, target = target_of(dataset, split)
    residual = abs(outputs_of(predictions) - target.astype(np.float32)) ** power
    middle = target.sizes["sample"] // 2
    left, right = residual.isel(sample=slice(middle)), residual.isel(sample=slice(middle, None))
    spectra = residual.to_dataset(name="residual").drop_vars("residual")
    spectra["left_error"] = described(left.mean(["sample", "output"]), "error in the left half")
    spectra["right_error"] = described(right.mean(["sample", "output"]), "error in the right half")
    return finish(spectra, predictions, measure="halves")
""",
    ),
    "figure": (
        "seesaw",
        """
import matplotlib.pyplot as plt


def draw(spectra):
    figure, axes = plt.subplots()
    for variant in spectra:
        axes.plot(variant["step"], variant["left_error"].median("member"))
        axes.plot(variant["step"], variant["right_error"].median("member"))
    axes.set(xlabel="step", ylabel="error")
    return figure
""",
    ),
}
STATISTIC = """

def right_over_left(spectra: xr.Dataset) -> xr.DataArray:
    return (spectra["right_error"] / spectra["left_error"]).isel(step=-1, drop=True)
"""
ENTRIES = {
    "data set": """

class Steps(Samples):
    kind: Literal["steps"]
    stairs: PositiveInt = 2

    @property
    def lacks(self) -> list[str]:
        return ["validation", "test"]


""",
    "measure": """

class Halves(Measure):
    suits = (Steps,)
    gives = ("left_error", "right_error")
    controlled: ClassVar = {}

    power: PositiveInt = 2


""",
    "statistic": 'STATISTICS = {\n    "right_over_left": Statistic(("left_error", "right_error")),',
    "figure": """FIGURES = {
    "seesaw": Kind(category="Scope", measures=("halves",), shows="Errors of both halves.", look="At both lines."),""",
}
CONFIGURATION = """
datasets: {stairs: {kind: steps, stairs: 3}}
experiments:
  climb:
    dataset: stairs
    model: {kind: mlp, widths: [8]}
    training: {steps: 20, members: 7}
    decomposition: {halves: {power: 4}}
claims:
  level:
    statement: Both halves are alike.
    source: Here
    experiment: climb
    measure: halves
    statistic: right_over_left
    bound: {at_least: 0}
figures: {climb: {kind: seesaw, experiment: climb}}
"""


def into(file: Path, before: str, more: str) -> None:
    """`more` in front of the one place where `before` stands."""
    text = file.read_text()
    assert text.count(before) == 1, (file, before)
    file.write_text(text.replace(before, more + before))


@pytest.mark.workflow
def test_a_data_set_a_measure_a_statistic_and_a_figure_are_an_entry_and_a_module_each(project):
    """The workflow itself knows none of them: it makes the figure, judges the claim and tells of both."""
    for kind, (name, text) in MODULES.items():
        (file,) = re.findall(r"`(fpkit/[\w/]+/)\{\w+\}.py`", row_of(kind))
        (project / f"{file}{name}.py").write_text(text)
    assert "statistics.py" in row_of("statistic")
    with open(project / "fpkit/claims/statistics.py", "a") as module:
        module.write(STATISTIC)
    folder = project / "fpkit/config"
    into(folder / "datasets.py", "Dataset = tagged(", ENTRIES["data set"])
    project.edit("fpkit/config/datasets.py", "tagged(OwnDataset, ", "tagged(OwnDataset, Steps, ")
    into(folder / "measures.py", "class _Measures(Entry):", ENTRIES["measure"])
    project.edit("fpkit/config/measures.py", "Samples, Sines", "Samples, Sines, Steps")
    for kind in ("statistic", "figure"):
        table = ENTRIES[kind].partition("{")[0] + "{"
        project.edit(f"fpkit/config/{kind}s.py", f"{table}\n", f"{ENTRIES[kind]}\n")
    (project / "config.yaml").write_text(CONFIGURATION)
    project.make("figures", overlays=())
    assert (project / "results/figures/climb.svg").stat().st_size > 1000
    (row,) = csv.DictReader((project / "results/claims.csv").read_text().splitlines())
    assert (row["statistic"], row["verdict"], row["members"]) == ("right_over_left", "holds", "7 of 7")
    with xr.open_dataset(project / "results/spectra/climb/base/halves.nc", engine="netcdf4") as spectra:
        error = project.predictions("climb/base")["prediction"].isel(step=-1).to_numpy()
        y = xr.load_dataset(project / "results/datasets/stairs.nc", engine="netcdf4")["y_train"].to_numpy()
        right = ((error - y)[:, 20:] ** 4).mean(axis=(1, 2))
        np.testing.assert_allclose(spectra["right_error"].isel(step=-1), right, rtol=1e-4)
    told = project.snakemake(
        "--dry-run", "figures", "--config", "claims={level: {statistic: first_order}}", overlays=()
    )
    assert "first_order is a statistic of" in told.stdout + told.stderr
