"""What training and measures do, on a device: the same checks on the CPU, in the ordinary tests, and on a GPU.

They need torch, numpy and fpkit's sources: `python -m tests.gpu` runs them on a bare GPU machine. Against a GPU all is
compared to tolerance, as its sums are in another order.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable

import numpy as np
import torch

from fpkit.datasets import neighbours
from fpkit.jobs import devices
from fpkit.measures import low_pass
from fpkit.training import stacked, work
from fpkit.training.stacked import StackedEnsemble
from fpkit.training.trainer import train

MLP = {"kind": "mlp", "widths": [16, 12], "activation": "tanh", "initialization": "scaled", "std": 0.1}
CNN = {
    "kind": "cnn", "channels": [3], "kernel": 3, "widths": [8], "activation": "relu", "initialization": "he",
    "std": 0.1,
}  # fmt: skip
TRANSFORMER = {"kind": "transformer", "patch": 2, "width": 8, "heads": 2, "layers": 1, "activation": "gelu"}
ADAM = {"name": "adam", "learning_rate": 0.01, "momentum": 0.0, "nesterov": False}
MOMENTUM = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True}
FALLING = {
    "schedule": {"kind": "cosine", "steps": 30, "warmup": 5, "final": 0.1},
    "clip_norm": 0.5,
    "weight_decay": 0.01,
}
# (model, algorithm, loss, batch size): more updates than are made before any is captured.
RECIPES = {
    "mlp, adam": (MLP, ADAM, "mse", None),
    "mlp, mini-batches": (MLP, ADAM, "mse", 7),
    "mlp, momentum, cross-entropy": (MLP, MOMENTUM, "cross_entropy", 7),
    "mlp, schedule, clipped": (MLP, ADAM | FALLING, "mse", 7),
    "mlp, momentum, schedule": (MLP, MOMENTUM | FALLING, "mae", None),
    "mlp, autograd": (MLP | {"activation": "ricker"}, ADAM, "huber", 7),
    "mlp, rmsprop": (MLP, ADAM | {"name": "rmsprop"}, "mse", 7),
    "mlp, rmsprop, schedule": (MLP, ADAM | {"name": "rmsprop"} | FALLING, "mse", None),
    "mlp, adadelta": (MLP, ADAM | {"name": "adadelta", "learning_rate": 1.0}, "mse", None),
    "mlp, adagrad": (MLP, ADAM | {"name": "adagrad"}, "mse", 7),
    "mlp, l-bfgs": (MLP, ADAM | {"name": "lbfgs", "learning_rate": 0.5}, "mse", None),
    "cnn": (CNN, ADAM, "mse", 7),
    "cnn, all samples": (CNN, MOMENTUM, "cross_entropy", None),
    "transformer": (TRANSFORMER, ADAM, "mse", 7),
}
MEMBERS, UPDATES = 3, 24
SEEDS = range(5, 5 + MEMBERS)


def data() -> dict[str, np.ndarray]:
    """Images of 1 x 4 x 4 in two classes."""
    draw = np.random.default_rng(0)
    x, x_test = (draw.standard_normal((count, 1, 4, 4)).astype(np.float32) for count in (30, 11))
    return {
        "x_train": x, "y_train": np.eye(2, dtype=np.float32)[(x.sum(axis=(1, 2, 3)) > 0).astype(int)],
        "x_test": x_test, "y_test": np.eye(2, dtype=np.float32)[(x_test.sum(axis=(1, 2, 3)) > 0).astype(int)],
    }  # fmt: skip


def ensemble(recipe: str, device: str, seeds: range = SEEDS) -> StackedEnsemble:
    model, algorithm, loss, batch_size = RECIPES[recipe]
    return StackedEnsemble(model, data(), seeds, algorithm, loss, batch_size, device, 1, None)


def trained(recipe: str, device: str, seeds: range = SEEDS) -> np.ndarray:
    """Predictions (member, sample, output) on all samples after UPDATES updates, by calls as a training makes them."""
    with ensemble(recipe, device, seeds) as members:
        for start, stop in itertools.pairwise([0, 1, 4, 5, 11, UPDATES]):
            members.advance(start, stop, evaluate=True)
        return members.record("all")()[0]


def alike(recipe: str, found: np.ndarray, wanted: np.ndarray) -> None:
    """But for roundings, which a line search may make more of."""
    close(found, wanted, 5e-2 if "l-bfgs" in recipe else 2e-3)


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    assert np.isfinite(found).all()


# --- training ---------------------------------------------------------------------------------------------------------


def check_training_equals_the_cpu(device: str, recipe: str) -> None:
    alike(recipe, trained(recipe, device), trained(recipe, "cpu"))


def check_a_member_does_not_depend_on_the_others(device: str, recipe: str) -> None:
    alike(recipe, trained(recipe, device)[1:2], trained(recipe, device, SEEDS[1:2]))


def check_training_goes_on_from_its_state(device: str, recipe: str) -> None:
    """In an ensemble of its own; and in the same one, back to where it was."""
    with ensemble(recipe, device) as whole, ensemble(recipe, device) as other:
        whole.advance(0, 10, evaluate=True)
        kept = whole.state()
        whole.advance(10, UPDATES, evaluate=True)
        wanted = whole.record("all")()[0]
        for members in (other, whole):
            members.load(kept)
            members.advance(10, UPDATES, evaluate=True)
            alike(recipe, members.record("all")()[0], wanted)


def check_a_state_of_the_cpu_goes_on(device: str, recipe: str) -> None:
    with ensemble(recipe, "cpu") as first, ensemble(recipe, device) as second:
        first.advance(0, 10)
        second.load(first.state())
        for members in (first, second):
            members.advance(10, UPDATES)
        alike(recipe, second.record("all")()[0], first.record("all")()[0])


def check_a_record_is_of_its_step(device: str, recipe: str) -> None:
    """Whatever updates and evaluations are made before it is asked for."""
    with ensemble(recipe, device) as members, ensemble(recipe, device) as other:
        records, wanted = [], []
        for start in range(0, UPDATES, 4):
            members.advance(start, start + 4, evaluate=True)
            records.append(members.record("all"))
            other.advance(start, start + 4)
            wanted.append(other.record("all")())
        for record, (prediction, scores) in zip(records, wanted, strict=True):
            found, found_scores = record()
            alike(recipe, found, prediction)
            for name in scores:
                alike(recipe, found_scores[name], scores[name])
        assert np.abs(wanted[0][0] - wanted[-1][0]).max() > 1e-3


def check_pieces_equal_the_whole(device: str, recipe: str) -> None:
    """Members one after the other, each of which gives back its memory."""
    whole, blocks = trained(recipe, device), stacked._fitting
    try:
        stacked._fitting = lambda block, members, count, pairs: [
            block(slice(member, member + 1), True) for member in range(members)
        ]
        alike(recipe, trained(recipe, device), whole)
    finally:
        stacked._fitting = blocks


# --- measures ---------------------------------------------------------------------------------------------------------


def _points(samples: int = 700, features: int = 9) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    return tuple(draw.standard_normal((samples, size)).astype(np.float32) for size in (features, 5))


def check_the_filter_is_that_of_the_whole_kernel(device: str) -> None:
    x, columns = _points()
    squares = ((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2)
    with devices.computing_on(device):
        tensors = [low_pass.array_of(values) for values in (x, columns)]
        energies = [devices.as_numpy(part) for part in low_pass.low_high_energy(*tensors, [0.5, 2.0], 2**16)]
        backs = [devices.as_numpy(part) for part in low_pass.there_and_back(*tensors, [0.5, 2.0], 2**16)]
    for index, width in enumerate((0.5, 2.0)):
        kernel = np.exp(-squares / (2 * width**2))
        kernel /= kernel.sum(axis=1, keepdims=True)
        low, high = kernel @ columns, columns - kernel @ columns
        close(energies[0][index], (low**2).sum(axis=0), 1e-4)
        close(energies[1][index], (high**2).sum(axis=0), 1e-4)
        close(backs[0][index], kernel.T @ low, 1e-4)
        close(backs[1][index], high - kernel.T @ high, 1e-4)


def check_neighbours_are_the_nearest(device: str) -> None:
    x, _ = _points()
    squares = ((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    with devices.computing_on(device):
        found = neighbours.nearest(x, 8)
    assert np.array_equal(np.sort(found), np.sort(np.argsort(squares, axis=1)[:, :8]))


def check_products_and_eigenvectors_are_numpy_s(device: str) -> None:
    x, columns = _points()
    matrix = (x @ x.T).astype(np.float64)
    with devices.computing_on(device):
        close(devices.matmul(x.T, columns), x.T @ columns, 1e-4)
        values, vectors = devices.eigh(matrix.copy())
    close((vectors * values) @ vectors.T, matrix, 1e-6)


# --- a GPU alone ------------------------------------------------------------------------------------------------------


def gpu_check_updates_are_captured(recipe: str) -> None:
    with ensemble(recipe, "cuda") as members:
        members.advance(0, UPDATES, evaluate=True)
        wanted = recipe not in ("mlp, adagrad", "mlp, l-bfgs")
        for block in members.blocks:
            assert (block.once.graph is not None) == wanted
            assert wanted == all(evaluation.captured for evaluation in block.evaluations)


def gpu_check_members_that_do_not_fit_are_trained_in_pieces() -> None:
    """With so little memory that a part of the members fits; and too little for one, which is an error."""
    model = MLP | {"widths": [512, 512]}
    draw = np.random.default_rng(0)
    x = draw.standard_normal((20_000, 8)).astype(np.float32)
    many = {"x_train": x, "y_train": np.sin(x[:, :1])}

    def make() -> StackedEnsemble:
        return StackedEnsemble(model, many, range(16), ADAM, "mse", None, "cuda", 1, None)

    def predictions() -> tuple[np.ndarray, int]:
        with make() as members:
            members.advance(0, 5, evaluate=True)
            return members.record("train")()[0], len(members.blocks)

    wanted, blocks = predictions()
    assert blocks == 1
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        _release()
        torch.cuda.set_per_process_memory_fraction(1.0e9 / total)
        found, blocks = predictions()
        assert 1 < blocks < 16
        close(found, wanted, 2e-3)
        _release()
        torch.cuda.set_per_process_memory_fraction(5e7 / total)
        try:
            make()
        except torch.OutOfMemoryError:
            return
        raise AssertionError("50 MB held what takes 160")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _release() -> None:
    gc.collect()
    torch.cuda.empty_cache()


class _Sink:
    """What a training gives, kept in memory."""

    def __init__(self):
        self.steps, self.predictions = [], []

    @property
    def records(self) -> int:
        return len(self.steps)

    def append(self, step: int, prediction: np.ndarray, **scores: np.ndarray) -> None:
        self.steps.append(step)
        self.predictions.append(prediction.copy())

    def flush(self) -> None:
        """Nothing is held back."""

    def truncate(self, records: int) -> None:
        del self.steps[records:], self.predictions[records:]


def gpu_check_a_whole_training() -> None:
    """By the trainer, and the same by the CPU's compiled code."""
    found = []
    for device in ("cuda", "cpu"):
        sink = _Sink()
        used = train(
            MLP, data(), sink, optimizer="adam", learning_rate=0.01, momentum=0.0, nesterov=False, batch_size=7,
            loss="mse", steps=120, members=3, seed_offset=3, device=device, threads=1, per_decade=20, split="all",
        )  # fmt: skip
        assert used.startswith(device)
        found.append(sink)
    assert found[0].steps == found[1].steps
    # Later the roundings of 100 updates have grown.
    for step, one, other in zip(found[0].steps, *(sink.predictions for sink in found), strict=True):
        close(one, other, 1e-3 if step < 20 else 5e-2)


def gpu_check_auto_goes_where_it_is_sooner_done() -> None:
    extent = {"updated": 100, "updates": 20_000, "evaluated": 100, "records": 100, "threads": 2, "compiled": True}
    small = work.seconds({"kind": "mlp"}, [(1, 16), (16, 1)], (1,), members=1, **extent)
    large = work.seconds({"kind": "mlp"}, [(784, 2000), (2000, 10)], (784,), members=16, **extent)
    assert small[0] < small[1]
    assert large[1] < large[0]


def by_recipe() -> list[Callable[[str, str], None]]:
    """Checks of (device, recipe)."""
    return [
        check_training_equals_the_cpu, check_a_member_does_not_depend_on_the_others,
        check_training_goes_on_from_its_state, check_a_state_of_the_cpu_goes_on, check_a_record_is_of_its_step,
        check_pieces_equal_the_whole,
    ]  # fmt: skip


def by_device() -> list[Callable[[str], None]]:
    """Checks of (device,)."""
    return [
        check_the_filter_is_that_of_the_whole_kernel, check_neighbours_are_the_nearest,
        check_products_and_eigenvectors_are_numpy_s,
    ]  # fmt: skip


def of_gpu() -> list[Callable[[], None]]:
    """Checks of what a GPU alone does."""
    captured = [_named(gpu_check_updates_are_captured, recipe) for recipe in RECIPES]
    return [
        *captured, gpu_check_members_that_do_not_fit_are_trained_in_pieces, gpu_check_a_whole_training,
        gpu_check_auto_goes_where_it_is_sooner_done,
    ]  # fmt: skip


def _named(check: Callable[[str], None], recipe: str) -> Callable[[], None]:
    def run() -> None:
        check(recipe)

    run.__name__ = f"{check.__name__}, {recipe}"
    return run
