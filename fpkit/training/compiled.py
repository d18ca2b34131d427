"""Whole updates of fully connected networks in compiled code, on the CPU: fpkit/training/compiled.cpp.

A network of 16 units is trained in the time of one call of torch, and a large one without the passes over its
activations that separate calls need. The code is compiled on first use by the machine's own C++ compiler, for its own
processor, and kept in the user's cache. Where there is no compiler, torch does the same (fpkit.training.gradients), to
float tolerance.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fpkit.training import algorithms, gradients

SOURCE = Path(__file__).with_name("compiled.cpp")
# The second and third are for compilers that call it otherwise, or cannot tell.
TUNING = (["-march=native"], ["-mcpu=native"], [])
OPTIONS = ["-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-fno-math-errno"]
PAD = 16  # numbers; rows of matrices are multiples of it
ACTIVATIONS = ("tanh", "relu", "sigmoid", "elu", "silu", "gaussian", "ricker")  # in the order of compiled.cpp
LOSSES = ("mse", "mae", "huber", "cross_entropy")
ALGORITHMS = ("sgd", "adam", "adamw")
SHARED_NUMBERS = 1 << 19  # parameters times samples, from which on threads share the work


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code, or None where it cannot be compiled. An empty environment variable CXX forbids it."""
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        return None
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    name = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), version, _processor().encode()])).hexdigest()[:16]
    file = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fpkit" / f"compiled-{name}.so"
    try:
        if not file.exists():
            _compile(compiler, file)
        loaded = ctypes.CDLL(str(file))
    except OSError as error:
        print(f"{SOURCE.name} could not be compiled to {file} ({error}): torch trains instead, slower", flush=True)
        return None
    network, update, pointer, number = (*map(ctypes.POINTER, (_Network, _Update)), ctypes.c_void_p, ctypes.c_int64)
    loaded.parameters.restype = loaded.workspace.restype = number
    loaded.parameters.argtypes, loaded.workspace.argtypes = [network], [network, number]
    loaded.advance.restype = None
    loaded.advance.argtypes = [
        network, update, number, *[pointer] * 5, number, pointer, *[number] * 4, ctypes.POINTER(_Evaluation),
        *[number] * 4, pointer,
    ]  # fmt: skip
    return loaded


def _compile(compiler: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        partial = Path(folder) / file.name
        for tuning in TUNING:
            command = [compiler, *OPTIONS, *tuning, str(SOURCE), "-o", str(partial)]
            done = subprocess.run(command, capture_output=True, check=False, text=True)
            if done.returncode == 0:
                os.replace(partial, file)  # jobs may compile side by side
                return
        raise OSError(done.stderr.strip().partition("\n")[0] or f"{compiler} ended with {done.returncode}")


def _processor() -> str:
    """What code for this very processor depends on: a home folder may be shared by unlike machines."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    return "\n".join(
        [platform.machine(), platform.processor(), *sorted({x for x in lines if x[:5] in ("model", "flags")})]
    )


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


def can(model: dict, algorithm: str, loss: str, device: torch.device) -> bool:
    """Whether compiled code trains this config `model` entry, by this algorithm and loss, on this device."""
    return (
        model["kind"] == "mlp"
        and len(model["widths"]) > 0
        and model["activation"] in ACTIVATIONS
        and algorithm in ALGORITHMS
        and loss in LOSSES
        and device.type == "cpu"
        and library() is not None
    )


class Compiled:
    """Parameters of a stack of fully connected networks, a member after the other, and their updates.

    In the place of `fpkit.training.gradients.Backpropagation`: the same parts in the same order, but rows are padded.

    Args:
        initial, activation, loss: see `fpkit.training.gradients.Backpropagation`.
        algorithm: arguments of `fpkit.training.algorithms.build`. threads: how many share the work.
    """

    def __init__(self, initial: Sequence[Tensor], activation: str, loss: str, algorithm: dict, threads: int):
        weights, biases = gradients.parted(initial)
        self.shapes = [part.shape for part in (*weights, *biases)]
        self.members, self.threads = len(weights[0]), threads
        units = [weight.shape[1] for weight in weights[:-1]] + [*reversed(weights[-1].shape[1:])]
        self.outputs = units[-1]
        self.network = _Network(
            (ctypes.c_int64 * len(units))(*units), len(weights), ACTIVATIONS.index(activation), LOSSES.index(loss)
        )
        self.update = _Update(
            int(algorithm["name"] != "sgd"), algorithm["nesterov"], algorithm["learning_rate"], algorithm["momentum"],
            algorithms.ADAMW_WEIGHT_DECAY if algorithm["name"] == "adamw" else 0.0,
        )  # fmt: skip
        self.library, self.memory = library(), {}
        numbers = self.members * self.library.parameters(self.network)
        self.flat = torch.nn.Parameter(initial[0].new_zeros(numbers), requires_grad=False)
        for stack, values in zip(self.stacks(self.flat), (*weights, *biases), strict=True):
            stack.copy_(values)

    def stacks(self, flat: Tensor) -> list[Tensor]:
        """The parts of a tensor like `flat`, in the parameters' shapes (member, ...): views."""
        members, begin, parts = flat.view(self.members, -1), 0, []
        for _, rows, columns in self.shapes[:-1]:
            row = columns + -columns % PAD
            parts.append(members[:, begin : begin + rows * row].view(self.members, rows, row)[:, :, :columns])
            begin += rows * row
        return [*parts, members[:, begin : begin + self.outputs].unsqueeze(2)]  # the last bias is a column

    def advance(
        self, state: dict, x: Tensor, y: Tensor, order: Tensor | None, step: int, steps: int, then: Sequence[tuple] = ()
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Take `steps` updates, of which the first follows update `step`.

        Args:
            state: of `fpkit.training.algorithms.Fused`, moved on.
            x, y: (sample, *feature) and (sample, output), contiguous.
            order: the samples (member, steps, sample) of each update, or None for all of them.
            then: pairs like x and y, or with None for y, on which the networks are evaluated at last: each member right
                after its updates, with its parameters in the cache.

        Returns:
            Of each pair in `then`, outputs (member, sample, output), losses and accuracies (member,).
        """
        batch, order_row = (0, 0) if order is None else (order.shape[2], order.stride(0))
        buffers = [tensor for name, tensor in state.items() if name != "step"]
        samples, numbers = batch or len(x), self.flat.numel()
        most = max(samples if steps else 0, *(len(x) for x, _ in then), 0)
        teams = min(self.members, self._threads(max(1, steps) * most * numbers))
        # Threads that wait for each other at every update.
        share = self._threads((samples if steps else most) * numbers // self.members) // teams or 1
        results = [self._results(len(x)) for x, _ in then]
        evaluations = [
            _Evaluation(_address(x), _address(y), len(x), *map(_address, result))
            for (x, y), result in zip(then, results, strict=True)
        ]
        self.library.advance(
            self.network, self.update, self.members, *map(_address, (self.flat, *(*buffers, None, None)[:2], x, y)),
            len(x), _address(order), order_row, batch, step, steps,
            (_Evaluation * len(then))(*evaluations), len(then), teams, share,
            most, _address(self._workspace(most, teams * share)),
        )  # fmt: skip
        state["step"] += steps
        return results

    def evaluate(self, pairs: Sequence[tuple[Tensor, Tensor | None]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What `advance` returns of each pair, without an update."""
        x, y = pairs[0]
        return self.advance({"step": 0}, x, y, None, 0, 0, pairs)

    def predict(self, x: Tensor) -> Tensor:
        """Outputs (member, sample, output) for x (sample, *feature)."""
        return self.evaluate([(x.contiguous(), None)])[0][0]

    def _results(self, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        return (
            self.flat.new_empty(self.members, samples, self.outputs),
            self.flat.new_empty(self.members),
            self.flat.new_empty(self.members),
        )

    def _threads(self, numbers: int) -> int:
        """As many as pay for parameters times samples: to begin one costs some microseconds, as does waiting for it."""
        return self.threads if numbers > SHARED_NUMBERS else 1

    def _workspace(self, samples: int, threads: int) -> Tensor:
        """Memory for steps on so many samples."""
        if (samples, threads) not in self.memory:
            numbers = self.library.workspace(self.network, samples)
            self.memory[samples, threads] = torch.empty(threads * numbers)
        return self.memory[samples, threads]


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
