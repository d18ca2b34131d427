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
SHARED_NUMBERS = 1 << 19  # parameters times samples, from which on threads share an update


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
    for function in (loaded.parameters, loaded.workspace):
        function.restype = ctypes.c_int64
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
        algorithm: arguments of `fpkit.training.algorithms.build`. threads: how many share an update.
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
        numbers = self.members * self.library.parameters(ctypes.byref(self.network))
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

    def advance(self, state: dict, x: Tensor, y: Tensor, order: Tensor | None, step: int, steps: int) -> None:
        """Take `steps` updates, of which the first follows update `step`.

        Args:
            state: of `fpkit.training.algorithms.Fused`, moved on.
            x, y: (sample, *feature) and (sample, output).
            order: the samples (member, steps, sample) of each update, or None for all of them.
        """
        batch, order_row = (0, 0) if order is None else (order.shape[2], order.stride(0))
        buffers = [tensor for name, tensor in state.items() if name != "step"]
        samples = batch or len(x)
        # Threads that wait for each other cost some microseconds.
        threads = self.threads if samples * self.flat.numel() > SHARED_NUMBERS else 1
        self._call(
            "advance", self.update, self.members, self.flat, *(*buffers, None, None)[:2], x, y, len(x), order,
            order_row, batch, step, steps, threads, self._workspace(samples, threads),
        )  # fmt: skip
        state["step"] += steps

    def predict(self, x: Tensor) -> Tensor:
        """Outputs (member, sample, output) for x (sample, *feature)."""
        x = x.contiguous()
        output = x.new_empty(self.members, len(x), self.outputs)
        self._call("predict", self.members, self.flat, x, len(x), output, self._workspace(len(x), 1))
        return output

    def _workspace(self, samples: int, threads: int) -> Tensor:
        """Memory for steps on so many samples."""
        if (samples, threads) not in self.memory:
            numbers = self.library.workspace(ctypes.byref(self.network), ctypes.c_int64(samples))
            self.memory[samples, threads] = torch.empty(threads * numbers)
        return self.memory[samples, threads]

    def _call(self, function: str, *arguments: _Update | Tensor | int | None) -> None:
        converted = []
        for argument in arguments:
            if isinstance(argument, int):
                converted.append(ctypes.c_int64(argument))
            elif isinstance(argument, _Update):
                converted.append(ctypes.byref(argument))
            else:
                converted.append(ctypes.c_void_p(None if argument is None else argument.data_ptr()))
        getattr(self.library, function)(ctypes.byref(self.network), *converted)
