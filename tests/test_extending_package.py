"""One more of each kind in a copy of the package, where docs/extending.md says that it goes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    (row,) = (line for line in TABLE.splitlines() if line.startswith(f"| {kind} |"))
    (file,), (entry, config) = (re.findall(r"`([^`]+)`", cell) for cell in row.strip("| ").split("|")[1:])
    return file, entry, config


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
