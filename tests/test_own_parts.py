"""The user's own parts of a training that are not what they must be: one line, before the first step or later."""

import os
import re
import sys

import numpy as np
import pytest

from fpkit import config, parts
from fpkit.config.training import Cnn, Mlp, ResidualCnn, ResidualMlp, Training
from fpkit.datasets import own as own_dataset
from fpkit.errors import UserError
from fpkit.jobs import shortage
from fpkit.training.trainer import train

SOURCE = '''
import os
import random

import torch
from torch import nn


# --- activations

def good(x):
    return x * torch.sigmoid(x)

def in_place(x):
    return x.relu_()

def narrower(x):
    return x[..., :-1]

def summed(x):
    return x.sum()

def double(x):
    return x.double()

def whole(x):
    return (x > 0).int()

def number(x):
    return 1.0

def nothing(x):
    pass

def by_members(x):
    return x - x.mean()

def by_samples(x):
    return x - x.mean(dim=1, keepdim=True)

def noisy(x):
    return x + torch.randn_like(x)

def broken(x):
    return x + torch.zeros(7, 7, 7, 7, 7)

def away(x):
    os.chdir("/")
    return x.relu()

def cut(x):
    return x.detach() if x.requires_grad else x

constant = 3


# --- models

class Net(nn.Module):
    """A good one: a class that is called as the function would be."""

    def __init__(self, features, outputs, extra=None):
        super().__init__()
        self.first, self.extra, self.last = nn.Linear(features[0], 4), extra or nn.Tanh(), nn.Linear(4, outputs)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x):
        return self.scale * self.last(self.extra(self.first(x)))

def plain(features, outputs): return Net(features, outputs)
def images(features, outputs):
    convolution = [nn.Conv2d(features[0], 2, 3), nn.GroupNorm(1, 2), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*convolution, nn.Linear(8, outputs))
def batch_norm(features, outputs): return Net(features, outputs, nn.BatchNorm1d(4))
def batch_norm_without_statistics(features, outputs):
    return Net(features, outputs, nn.BatchNorm1d(4, track_running_stats=False))
def batch_norm_at_rest(features, outputs): return Net(features, outputs, nn.BatchNorm1d(4)).eval()
def layer_norm(features, outputs): return Net(features, outputs, nn.LayerNorm(4))
def dropout(features, outputs): return Net(features, outputs, nn.Dropout(0.5))
def dropout_at_rest(features, outputs): return Net(features, outputs, nn.Dropout(0.5)).eval()
def wide(features, outputs): return Net(features, outputs + 1)
def flat(features, outputs): return nn.Sequential(nn.Linear(features[0], 1), nn.Flatten(0))
def precise(features, outputs): return Net(features, outputs).double()
def empty(features, outputs): return nn.Flatten()
def deaf(features, outputs):
    class Deaf(Net):
        def forward(self, x):
            return super().forward(x).detach()
    return Deaf(features, outputs)
def instance_norm(features, outputs):
    class Instance(Net):
        def forward(self, x):
            return self.last(self.norm(self.first(x)[:, None])[:, 0])
    net = Instance(features, outputs)
    net.norm = nn.InstanceNorm1d(1, track_running_stats=True)
    return net
def counting(features, outputs):
    class Counting(Net):
        def forward(self, x):
            self.scale += 1e-9
            self.scale += 1
            return self.last(self.first(x))
    return Counting(features, outputs)
def dice(features, outputs):
    class Dice(Net):
        def forward(self, x):
            return super().forward(x) * random.random()
    return Dice(features, outputs)
def among_samples(features, outputs):
    class Among(Net):
        def forward(self, x):
            return super().forward(x - x.mean(dim=0))
    return Among(features, outputs)
def raising(features, outputs):
    class Raising(Net):
        def forward(self, x):
            raise RuntimeError("not today")
    return Raising(features, outputs)
def unmade(features, outputs): return [][1]
def no_module(features, outputs): return None
def of_other_arguments(width): return nn.Linear(1, 1)


# --- losses

def quartic(output, target): return (output - target).pow(4).mean(dim=(1, 2))
def one_number(output, target): return (output - target).square().mean()
def by_sample(output, target): return (output - target).square().mean(dim=(0, 2))
def relative_to_all(output, target):
    loss = (output - target).square().mean(dim=(1, 2))
    return loss / loss.sum()
def numpy_loss(output, target): return torch.tensor([0.1, 0.2, 0.3])[: len(output)]
def counted(output, target): return (output != target).sum(dim=(1, 2))
CALLS = []
def annealed(output, target):
    CALLS.append(1)
    return (output - target).square().mean(dim=(1, 2)) * 0.9 ** len(CALLS)
def lossy(output, target): raise KeyError("target")


# --- optimizers

def rprop(parameters, learning_rate): return torch.optim.Rprop(parameters, lr=learning_rate)
def no_optimizer(parameters, learning_rate): return None
def clipped(parameters, learning_rate):
    class Clipped(torch.optim.SGD):
        def step(self, closure):
            loss = closure()
            torch.nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.1)
            super().step()
            return loss
    return Clipped(parameters, lr=learning_rate)
def quasi_newton(parameters, learning_rate): return torch.optim.LBFGS(parameters, lr=learning_rate)
def of_a_copy(parameters, learning_rate):
    return torch.optim.SGD([parameter.detach().clone().requires_grad_() for parameter in parameters], lr=learning_rate)
def decaying(parameters, learning_rate):
    class Decaying(torch.optim.SGD):
        def step(self, closure):
            self.param_groups[0]["lr"] *= 0.5
            return super().step(closure)
    return Decaying(parameters, lr=learning_rate)
def forgetful(parameters, learning_rate):
    class Forgetful(torch.optim.SGD):
        times = 0
        def step(self, closure):
            self.times += 1
            loss = super().step(closure)
            with torch.no_grad():
                parameters[0].mul_(1 - 0.1 / self.times)
            return loss
    return Forgetful(parameters, lr=learning_rate)
def shaken(parameters, learning_rate):
    class Shaken(torch.optim.SGD):
        def step(self, closure):
            loss = super().step(closure)
            with torch.no_grad():
                parameters[0].add_(torch.randn_like(parameters[0]) * 1e-3)
            return loss
    return Shaken(parameters, lr=learning_rate)
def hoarding(parameters, learning_rate):
    class Hoarding(torch.optim.SGD):
        def step(self, closure):
            loss = super().step(closure)
            self.state[parameters[0]]["seen"] = {1, 2}
            return loss
    return Hoarding(parameters, lr=learning_rate)
def matrices(parameters, learning_rate):
    if any(parameter.ndim != 2 for parameter in parameters):
        raise ValueError("only matrices")
def unequal(parameters, learning_rate):
    class Unequal(torch.optim.SGD):
        def step(self, closure):
            loss = closure()
            with torch.no_grad():
                parameters[0].grad[: len(parameters[0]) // 2].mul_(0.5)
            super().step()
            return loss
    return Unequal(parameters, lr=learning_rate)


# --- what fails later

def late(output, target):
    CALLS.append(1)
    if len(CALLS) > 60:
        raise ValueError(
            "enough"
        )
    return (output - target).square().mean(dim=(1, 2))

def unpayable(output, target):
    CALLS.append(1)
    if len(CALLS) > 60:
        raise MemoryError
    return (output - target).square().mean(dim=(1, 2))
'''
SOURCE_LINES = SOURCE.splitlines()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The user's module `mine_own`, importable."""
    (tmp_path / "mine_own.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "mine_own.py"
    sys.modules.pop("mine_own", None)


class Sink:
    """The records of a training, in memory."""

    def __init__(self):
        self.predictions = []

    @property
    def records(self):
        return len(self.predictions)

    def append(self, step, prediction, **scores):
        self.predictions.append(prediction.copy())

    def flush(self):
        pass

    def truncate(self, records):
        del self.predictions[records:]


def trained(
    model="mlp", activation="tanh", outputs=2, samples=8, features=(1,), checkpoint_path=None, **training
) -> Sink:
    """A training of a few steps on random numbers."""
    rng = np.random.default_rng(0)
    data = {
        "x_train": rng.standard_normal((samples, *features)).astype(np.float32),
        "y_train": rng.standard_normal((samples, outputs)).astype(np.float32),
    }
    entry = {"kind": model, "options": {}}
    if not parts.is_own(model):
        kinds = {
            "mlp": Mlp(kind="mlp", widths=[4, 4]),
            "cnn": Cnn(kind="cnn", channels=[2, 2], widths=[4]),
            "residual_mlp": ResidualMlp(kind="residual_mlp", width=4, blocks=2),
            "residual_cnn": ResidualCnn(kind="residual_cnn", channels=2, blocks=1),
        }
        entry = config.plain(kinds[model]) | {"activation": activation}
    recipe = config.plain(Training(device="cpu", members=4, steps=6, learning_rate=0.01)) | training
    sink = Sink()
    train(entry, data, sink, **recipe, per_decade=9, split="train", checkpoint_path=checkpoint_path)
    return sink


def told(**recipe) -> str:
    """The one line that a training ends with before its first step."""
    with pytest.raises(UserError) as error:
        trained(**recipe)
    line = str(error.value)
    assert line.isprintable()
    return line


# --- before the first step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        {"activation": "mine_own:good"}, {"activation": "mine_own:in_place"}, {"activation": "torch:sin"},
        {"activation": "torch.nn.functional:gelu"},
        {"model": "mine_own:Net"}, {"model": "mine_own:plain"}, {"model": "mine_own:batch_norm_at_rest"},
        {"model": "mine_own:layer_norm"}, {"model": "mine_own:dropout_at_rest"},
        {"loss": "mine_own:quartic"}, {"loss": "mine_own:quartic", "batch_size": 3},
        {"optimizer": "mine_own:rprop"}, {"optimizer": "torch.optim:Adamax"}, {"optimizer": "torch.optim:SGD"},
        {"optimizer": "torch.optim:NAdam"}, {"optimizer": "torch.optim:ASGD"},
        {"model": "mine_own:Net", "loss": "mine_own:quartic", "optimizer": "mine_own:rprop", "batch_size": 2},
        {"model": "mine_own:plain", "samples": 1}, {"loss": "mine_own:quartic", "outputs": 1, "samples": 1},
        {"activation": "mine_own:good", "outputs": 3, "features": (5,)},
        {"activation": "mine_own:good", "model": "cnn", "features": (1, 6, 6)},
        {"activation": "mine_own:good", "model": "residual_cnn", "features": (2, 5, 5), "batch_size": 3},
        {"activation": "mine_own:good", "model": "residual_mlp"},
        {"model": "mine_own:images", "features": (1, 4, 4), "loss": "cross_entropy"},
        {"loss": "mine_own:quartic", "optimizer": "lbfgs"}, {"loss": "mine_own:quartic", "optimizer": "adadelta"},
        {"optimizer": "mine_own:rprop", "learning_rate": 1e25},
    ],
    ids=lambda recipe: " ".join(f"{value}" for value in recipe.values()),
)  # fmt: skip
def test_a_part_that_is_what_it_must_be_is_trained(recipe, mine):
    found = trained(**recipe)
    assert np.isfinite(found.predictions[0]).all()
    assert not np.array_equal(found.predictions[0], found.predictions[-1])


@pytest.mark.usefixtures("mine")
def test_trying_a_part_changes_no_bit(tmp_path):
    """What is tried is another ensemble; a training that goes on is that of one that was not interrupted."""
    recipe = {"model": "mine_own:Net", "loss": "mine_own:quartic", "optimizer": "mine_own:rprop", "batch_size": 3}
    whole = trained(**recipe, steps=8)
    trained(**recipe, steps=5, checkpoint_path=tmp_path / "state.npz")
    again = trained(**recipe, steps=8)
    assert np.array_equal(whole.predictions, again.predictions)


ACTIVATIONS = {
    "narrower": "gave a tensor (2, 2, 2) of float32 for a tensor (2, 2, 3) of float32",
    "summed": "gave a tensor () of float32 for",
    "double": "gave a tensor (2, 2, 3) of float64 for",
    "whole": "gave a tensor (2, 2, 3) of int32 for",
    "number": "gave a float for",
    "nothing": "gave None for",
    "by_members": "gave a member other outputs than it has alone",
    "by_samples": "gave a sample other outputs than it has alone",
    "noisy": "gave other outputs for the same inputs",
    "cut": "gave numbers without a gradient",
    "constant": "failed: TypeError: 'int' object is not callable",
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_that_is_none_is_one_line(name, mine):
    line = told(activation=f"mine_own:{name}")
    assert line.startswith(f"mine_own:{name} {ACTIVATIONS[name]}"), line
    assert line.endswith("an activation takes a tensor and gives one of the same shape and type, number by number")


MODELS = {
    "batch_norm": "failed at .*mine_own.py, line \\d+: RuntimeError: Batch norm",
    "batch_norm_without_statistics": "failed at .*ValueError: Expected more than 1 value|gave a sample other outputs",
    "dropout": "failed at .*RuntimeError: vmap: called random operation",
    "instance_norm": "failed at .*RuntimeError",
    "wide": r"gave a tensor \(2, 3\) of float32 for 2 samples, not \(2, 2\) of float32",
    "flat": r"gave a tensor \(2,\) of float32 for 2 samples, not \(2, 2\) of float32",
    "precise": "has parameters of float64",
    "empty": "has no parameters",
    "deaf": "gave outputs that do not depend on its parameters",
    "counting": "changes its buffers, which no checkpoint keeps",
    "dice": "gave other outputs for the same inputs",
    "among_samples": "gave a sample other outputs than it has alone",
    "raising": "failed at .*mine_own.py, line \\d+: RuntimeError: not today",
    "unmade": "failed at .*mine_own.py, line \\d+: IndexError",
    "no_module": "failed: AttributeError: 'NoneType' object has no attribute 'named_parameters'",
    "of_other_arguments": "failed: TypeError: .* positional argument",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_none_is_one_line(name, mine):
    line = told(model=f"mine_own:{name}")
    assert re.match(rf"mine_own:{name} (?:{MODELS[name]})", line), line
    assert "; a model is a torch.nn.Module, in single precision, a function of its parameters" in line
    where = re.search(r"line (\d+)", line)
    if where and name == "raising":
        assert "not today" in SOURCE_LINES[int(where[1]) - 1]


LOSSES = {
    "one_number": "gave a tensor () of float32 for 3 members of 2 samples",
    "by_sample": "gave a tensor (2,) of float32 for 3 members of 2 samples",
    "relative_to_all": "gave a member another loss than it has alone",
    "numpy_loss": "gave numbers that do not depend on the outputs",
    "counted": "gave a tensor (3,) of int64 for 3 members of 2 samples",
    "lossy": "failed at ",
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_loss_that_is_none_is_one_line(name, batch_size, mine):
    line = told(loss=f"mine_own:{name}", batch_size=batch_size)
    assert line.startswith(f"mine_own:{name} {LOSSES[name]}"), line
    assert line.endswith(
        "; a loss takes outputs (member, sample, output) and targets and gives a tensor (member), a number for each"
    )


def test_the_loss_of_torch_itself_is_one_number_for_all(mine):
    line = told(loss="torch.nn.functional:mse_loss")
    assert line.startswith(
        "torch.nn.functional:mse_loss gave a tensor () of float32 for 3 members of 2 samples; a loss"
    )


OPTIMIZERS = {
    "no_optimizer": "gave None",
    "clipped": "treated numbers by what stands beside them",
    "quasi_newton": "treated numbers by what stands beside them",
    "of_a_copy": "changed nothing in 4 steps",
    "shaken": "gave other numbers for the same gradients",
    "matrices": "failed at .*mine_own.py, line \\d+: ValueError: only matrices",
    "unequal": "treated equal numbers unlike",
    "decaying": "went on from a checkpoint otherwise than without, as what is remembered elsewhere is lost",
    "forgetful": "went on from a checkpoint otherwise than without, as what is remembered elsewhere is lost",
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_that_is_none_is_one_line(name, mine):
    line = told(optimizer=f"mine_own:{name}")
    assert re.match(rf"mine_own:{name} (?:{OPTIMIZERS[name]})", line), line
    assert line.endswith(
        "; an optimizer is a function of (parameters, learning_rate) that gives a torch.optim.Optimizer, treats every"
        " number alike and keeps all it remembers in its state"
    )


def test_a_state_that_no_checkpoint_can_hold_is_told_before_the_first_step(mine):
    line = told(optimizer="mine_own:hoarding")
    assert line.startswith("mine_own:hoarding: the optimizer keeps {1, 2} in its state, which no checkpoint can hold")


def test_a_loss_that_counts_its_calls_cannot_be_continued(mine):
    line = told(loss="mine_own:annealed")
    assert line.startswith("mine_own:annealed ")
    assert "a member another loss" in line or "went on from a checkpoint otherwise" in line


@pytest.mark.parametrize(
    ("recipe", "start"),
    [
        ({"activation": "torch.nn:Tanh"}, "torch.nn:Tanh failed: TypeError"),
        ({"activation": "torch.nn:Identity"}, "torch.nn:Identity, a class, gave a Identity"),
        ({"loss": "torch.nn:MSELoss"}, "torch.nn:MSELoss"),
        ({"loss": "torch.nn:L1Loss"}, "torch.nn:L1Loss"),
    ],
)
def test_a_class_in_place_of_a_function_is_one_line_that_says_so(recipe, start, mine):
    line = told(**recipe)
    assert line.startswith(start), line
    assert "a class" in line


def test_a_part_that_leaves_the_working_directory_is_one_line(mine):
    line = told(activation="mine_own:away")
    assert line == "mine_own:away leaves the working directory, to which all paths are relative; let it come back"
    assert os.getcwd() == str(mine.parent)


# --- later ------------------------------------------------------------------------------------------------------------


def test_a_part_that_fails_later_is_one_line_with_its_own(mine):
    line = told(loss="mine_own:late", steps=200)
    number = SOURCE_LINES.index("        raise ValueError(") + 1
    assert line == f"mine_own:late failed at {mine}, line {number}: ValueError: enough"


def test_a_lack_of_memory_in_an_own_part_is_known_for_one(mine):
    with pytest.raises(UserError, match="mine_own:unpayable failed at") as raised:
        trained(loss="mine_own:unpayable", steps=200)
    assert shortage.of(raised.value) == "memory"


def test_what_others_raise_is_not_blamed_on_a_part(mine):
    with pytest.raises(ZeroDivisionError), parts.blamed("mine_own:good"):
        1 / 0  # noqa: B018


# --- data sets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["", "    raise ValueError('no')\n"])
def test_a_data_set_whose_function_leaves_the_working_directory_is_brought_back(ends, mine):
    mine.with_name("mine_data.py").write_text(f"import os\ndef build():\n    os.chdir('/')\n{ends}    return 7\n")
    try:
        if ends:
            with pytest.raises(UserError, match=r"mine_data:build failed at .*mine_data.py, line 4: ValueError: no"):
                own_dataset.build("mine_data:build", {})
        else:
            assert own_dataset.build("mine_data:build", {}) == 7
        assert os.getcwd() == str(mine.parent)
    finally:
        sys.modules.pop("mine_data", None)
