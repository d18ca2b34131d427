"""Whole updates of fully connected networks in compiled code, on the CPU: fpkit/training/compiled.cpp.

A network of 16 units is trained in the time of one call of torch, and a large one without the passes over its
activations that separate calls need. The code is compiled on first use by the machine's own C++ compiler, for its own
processor, and kept in the user's cache (fpkit.training.compiler). Where there is no compiler, torch does the same
(fpkit.training.stacked), to float tolerance. But for records along a basis, nothing here needs torch, whose import
takes longer than many a training.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from fpkit.training import compiler, initialization
from fpkit.training.batches import Batches
from fpkit.training.ensemble import ADAMW_WEIGHT_DECAY, Ensemble, parted

SOURCE = Path(__file__).with_name("compiled.cpp")
PAD = 16  # numbers; rows of matrices are multiples of it
ACTIVATIONS = ("tanh", "relu", "sigmoid", "elu", "silu", "gaussian", "ricker")  # in the order of compiled.cpp
LOSSES = ("mse", "mae", "huber", "cross_entropy")
# And what they keep beside the parameters; SGD only if it has momentum.
BUFFERS = {"sgd": ("velocity",), "adam": ("mean", "square"), "adamw": ("mean", "square")}
LINE = 16  # numbers of a cache line
SHARED_NUMBERS = 1 << 19  # parameters times samples, from which on threads share the work


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code, or None where it cannot be had. An empty environment variable CXX forbids it."""
    loaded = compiler.library(SOURCE, "fpkit.training.trial")
    return loaded and with_prototypes(loaded)


def with_prototypes(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """The compiled code as it is called from here."""
    network, update, pointer, number = (*map(ctypes.POINTER, (_Network, _Update)), ctypes.c_void_p, ctypes.c_int64)
    loaded.parameters.restype = loaded.workspace.restype = number
    loaded.parameters.argtypes, loaded.workspace.argtypes = [network], [network, number]
    loaded.advance.restype = number
    loaded.advance.argtypes = [
        network, update, number, *[pointer] * 5, number, pointer, *[number] * 4, ctypes.POINTER(_Evaluation),
        *[number] * 4, pointer,
    ]  # fmt: skip
    return loaded


class _Network(ctypes.Structure):
    _fields_ = (
        ("units", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_int64) for name in ("layers", "activation", "loss")),
    )


class _Update(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("algorithm", "nesterov")),
        *((name, ctypes.c_double) for name in ("learning_rate", "momentum", "weight_decay")),
    )


class _Evaluation(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y")),
        ("samples", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("output", "loss", "accuracy")),
    )


def can(model: dict, algorithm: str, loss: str, device: str) -> bool:
    """Whether compiled code trains this config `model` entry, by this algorithm and loss, on this device."""
    return (
        model["kind"] == "mlp"
        and len(model["widths"]) > 0
        and model["activation"] in ACTIVATIONS
        and algorithm in BUFFERS
        and loss in LOSSES
        and device == "cpu"
        and library() is not None
    )


class CompiledEnsemble(Ensemble):
    """Fully connected networks on the CPU, with an activation, a loss and an algorithm that `can` names.

    Args:
        model: a config `model` entry. seeds: one for each member.
        algorithm: arguments of `fpkit.training.algorithms.build`. The others are those of `train`.
    """

    def __init__(
        self,
        model: dict,
        data: dict[str, np.ndarray],
        seeds: Sequence[int],
        algorithm: dict,
        loss: str,
        batch_size: int | None,
        threads: int,
        basis: np.ndarray | None,
    ):
        if basis is not None:
            import torch  # which sums the coefficients up

            torch.set_num_threads(1)  # more would change the last bits
            basis = torch.as_tensor(basis)
        super().__init__({name: np.ascontiguousarray(array, np.float32) for name, array in data.items()}, loss, basis)
        x, y = self.parts["train"]
        shapes = initialization.dense(x.shape[1:], model["widths"], y.shape[1])
        initial = initialization.initialize(shapes, model["initialization"], model["std"], seeds)
        self.networks = Networks(initial, model["activation"], loss, algorithm, threads)
        self.batches = Batches(len(x), batch_size, seeds)

    def update(self, start: int, stop: int, then: Sequence[tuple]) -> list[tuple]:
        """See `Ensemble.update`."""
        x, y = self.parts["train"]
        while True:
            order, steps = self.batches.ahead(start, stop)
            last = start + steps == stop
            evaluated = self.networks.update(x, y, order, start, steps, then if last else ())
            if last:
                return evaluated
            start += steps

    def evaluate(self, pairs: Sequence[tuple]) -> list[tuple]:
        """See `Ensemble.evaluate`."""
        return self.networks.evaluate(pairs)

    def softmax(self, output: np.ndarray) -> np.ndarray:
        """See `Ensemble.softmax`."""
        with np.errstate(invalid="ignore"):  # of a member that diverged
            exponential = np.exp(output - output.max(axis=-1, keepdims=True))
            return exponential / exponential.sum(axis=-1, keepdims=True)

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """See `Ensemble.to_numpy`."""
        return array

    def state(self) -> list[dict]:
        """See `Ensemble.state`."""
        networks = self.networks
        numbers = [networks.members_apart(flat) for flat in (networks.flat, *networks.buffers.values())]
        step = np.array(networks.steps, np.float32)
        return [
            {"parameters": parameters, "algorithm": dict(zip(networks.buffers, buffers, strict=True)) | {"step": step}}
            for parameters, *buffers in zip(*numbers, strict=True)
        ]

    def load(self, members: Sequence[dict]) -> None:
        """See `Ensemble.load`."""
        self.evaluated = None
        networks = self.networks
        networks.steps = int(members[0]["algorithm"]["step"])
        networks.fill(networks.flat, [member["parameters"] for member in members])
        for name, buffer in networks.buffers.items():
            networks.fill(buffer, [member["algorithm"][name] for member in members])


class Networks:
    """Fully connected networks of one shape, a member after the other in memory, and the updates of them.

    Rows of weights are padded with zeros to whole vectors.

    Args:
        initial: weight (member, inputs, units) and bias (member, units) of each layer in turn.
        algorithm: arguments of `fpkit.training.algorithms.build`. threads: how many share the work.

    Attributes:
        flat: all parameters, one number after the other. buffers: what the algorithm keeps, each like `flat`.
        steps: the updates that were taken.
    """

    def __init__(self, initial: Sequence[np.ndarray], activation: str, loss: str, algorithm: dict, threads: int):
        weights, biases = parted(initial)
        self.shapes = [part.shape for part in (*weights, *biases)]
        self.members, self.threads, self.steps = len(weights[0]), threads, 0
        self.all_start = True  # the threads that are asked for
        units = [weight.shape[1] for weight in weights[:-1]] + [*reversed(weights[-1].shape[1:])]
        self.outputs = units[-1]
        self.network = _Network(
            (ctypes.c_int64 * len(units))(*units), len(weights), ACTIVATIONS.index(activation), LOSSES.index(loss)
        )
        self.how = _Update(
            int(algorithm["name"] != "sgd"), algorithm["nesterov"], algorithm["learning_rate"], algorithm["momentum"],
            ADAMW_WEIGHT_DECAY if algorithm["name"] == "adamw" else 0.0,
        )  # fmt: skip
        self.library, self.memory = library(), {}
        numbers = self.members * self.library.parameters(self.network)
        self.flat = _zeros(numbers)
        for stack, values in zip(self.stacks(self.flat), (*weights, *biases), strict=True):
            stack[:] = values
        kept = () if algorithm["name"] == "sgd" and not algorithm["momentum"] else BUFFERS[algorithm["name"]]
        self.buffers = {name: _zeros(numbers) for name in kept}

    def stacks(self, flat: np.ndarray) -> list[np.ndarray]:
        """The parts of an array like `flat` (see `fpkit.training.ensemble.parted`): views, without what pads them."""
        members, begin, parts = flat.reshape(self.members, -1), 0, []
        for _, rows, columns in self.shapes[:-1]:
            row = columns + -columns % PAD
            parts.append(members[:, begin : begin + rows * row].reshape(-1, rows, row)[:, :, :columns])
            begin += rows * row
        return [*parts, members[:, begin : begin + self.outputs, np.newaxis]]  # the last bias is a column

    def members_apart(self, flat: np.ndarray) -> list[np.ndarray]:
        """The numbers of each member in an array like `flat`: a copy, without what pads them."""
        stacks = self.stacks(flat)
        return [np.concatenate([stack[member].ravel() for stack in stacks]) for member in range(self.members)]

    def fill(self, flat: np.ndarray, members: Sequence[np.ndarray]) -> None:
        """Put the numbers of each member, as of `members_apart`, into an array like `flat`."""
        stacks = self.stacks(flat)
        ends = np.cumsum([stack[0].size for stack in stacks])[:-1]
        for member, numbers in enumerate(members):
            for stack, some in zip(stacks, np.split(numbers, ends), strict=True):
                stack[member] = some.reshape(stack[member].shape)

    def update(
        self,
        x: np.ndarray,
        y: np.ndarray,
        order: np.ndarray | None,
        step: int,
        steps: int,
        then: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Take `steps` updates, of which the first follows update `step`.

        Args:
            x, y: (sample, *feature) and (sample, output), float32, contiguous.
            order: the samples (member, steps, sample) of each update, int64, or None for all of them.
            then: pairs like x and y, or with None for y, on which the networks are evaluated at last: each member right
                after its updates, with its parameters in the cache.

        Returns:
            Of each pair in `then`, outputs (member, sample, output), losses and accuracies (member,).
        """
        batch, order_row = (0, 0) if order is None else (order.shape[2], order.strides[0] // order.itemsize)
        samples, numbers = batch or len(x), self.flat.size
        most = max(samples if steps else 0, *(len(x) for x, _ in then), 0)
        teams = min(self.members, self._threads(max(1, steps) * most * numbers))
        # Threads that wait for each other at every update.
        share = self._threads((samples if steps else most) * numbers // self.members) // teams or 1
        results = [self._results(len(x)) for x, _ in then]
        evaluations = [
            _Evaluation(_address(x), _address(y), len(x), *map(_address, result))
            for (x, y), result in zip(then, results, strict=True)
        ]
        first, second = (*self.buffers.values(), None, None)[:2]
        worked = self.library.advance(
            self.network, self.how, self.members, *map(_address, (self.flat, first, second, x, y)),
            len(x), _address(order), order_row, batch, step, steps,
            (_Evaluation * len(then))(*evaluations), len(then), teams, share,
            most, _address(self._workspace(most, teams * share)),
        )  # fmt: skip
        if worked == 0:
            raise MemoryError(f"for {self.members} networks on {most} samples")
        if worked < teams * min(share, samples) and self.all_start:
            self.all_start = False
            print(f"the system starts {worked} threads only, of {self.threads}: slower, the same results", flush=True)
        self.steps += steps
        return results

    def evaluate(
        self, pairs: Sequence[tuple[np.ndarray, np.ndarray | None]]
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What `update` returns of each pair, without an update."""
        x, y = pairs[0]
        return self.update(x, y, None, 0, 0, pairs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (member, sample, output) for x (sample, *feature), float32, contiguous."""
        return self.evaluate([(x, None)])[0][0]

    def _results(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(np.empty((self.members, *shape), np.float32) for shape in ((samples, self.outputs), (), ()))

    def _threads(self, numbers: int) -> int:
        """As many as pay for parameters times samples: to begin one costs some microseconds, as does waiting for it."""
        return self.threads if numbers > SHARED_NUMBERS else 1

    def _workspace(self, samples: int, threads: int) -> np.ndarray:
        """Memory for steps on so many samples."""
        if (samples, threads) not in self.memory:
            self.memory[samples, threads] = _zeros(threads * self.library.workspace(self.network, samples))
        return self.memory[samples, threads]


def _zeros(numbers: int) -> np.ndarray:
    """So many zeros, beginning with a cache line, as no vector should lie in two."""
    whole = np.zeros(numbers + LINE, np.float32)
    begin = -whole.ctypes.data % (whole.itemsize * LINE) // whole.itemsize
    return whole[begin : begin + numbers]


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data
