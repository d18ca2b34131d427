"""`python -m fpkit.training.compiled.trial LIBRARY`: a tiny training by compiled code, compared with the same by NumPy.

In a process of its own, which may end by an illegal instruction, or not at all: see `fpkit.training.compiled.compiler`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from fpkit.training import initialization
from fpkit.training.compiled import compiler, library
from fpkit.training.compiled.networks import Networks

ALGORITHM = {"name": "adam", "learning_rate": 0.01, "momentum": 0.0, "nesterov": False}
STEPS, SAMPLES, FEATURES, WIDTHS, OUTPUTS, MEMBERS = 3, 37, 3, (19, 18), 2, 2
TOLERANCE = 1e-4


def main(path: str) -> str:
    """What is wrong with the library at `path`; nothing if it trains as NumPy does."""
    loaded = library.with_prototypes(ctypes.CDLL(path))
    library.loaded = lambda: loaded  # in this process alone, in place of the one that is on trial
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((SAMPLES, numbers), np.float32) for numbers in (FEATURES, OUTPUTS))
    for activation in loaded.activations().decode().split():
        function = partial(_exactly, library.entry("activation", activation))
        shapes = initialization.dense((FEATURES,), WIDTHS, OUTPUTS)
        initial = initialization.initialize(shapes, "scaled", 0.0, range(MEMBERS))
        networks = Networks(initial, activation, "mse", ALGORITHM, threads=1)
        networks.update(x, y, None, 0, STEPS)
        found = networks.predict(x)
        expected = np.stack([_trained([p[m].astype(float) for p in initial], function, x, y) for m in range(MEMBERS)])
        error = np.abs(found - expected).max() / max(1, np.abs(expected).max())
        if not error < TOLERANCE:
            return f"{activation}: predictions are off by {error:.2g}"
    return ""


def _exactly(activation: int, z: np.ndarray) -> np.ndarray:
    """The values of an activation by the library's own formula, in double precision, number by number."""
    z, h = np.ascontiguousarray(z, float), np.empty(z.shape)
    library.loaded().exactly(activation, library.address(z), library.address(h), z.size)
    return h


def _trained(parameters: list[np.ndarray], function: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predictions (sample, output) of one network after its updates by Adam."""
    mean, square = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, STEPS + 1):
        for p, g, m, s in zip(parameters, _gradients(parameters, function, x, y), mean, square, strict=True):
            m += 0.1 * (g - m)
            s += 0.001 * (g**2 - s)
            p -= ALGORITHM["learning_rate"] * m / (1 - 0.9**step) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
    return _forward(parameters, function, x)[0][-1]


def _forward(parameters: list[np.ndarray], function: Callable, x: np.ndarray) -> tuple[list, list]:
    """The inputs of each layer with the output at last, and what enters each activation."""
    layers, sums = [x], []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        sums.append(layers[-1] @ weight + bias)
        layers.append(function(sums[-1]))
    return [*layers[:-1], sums[-1]], sums


def _gradients(parameters: list[np.ndarray], function: Callable, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Of the mean squared error, one for each of the parameters."""
    layers, sums = _forward(parameters, function, x)
    back, gradients = 2 * (layers[-1] - y) / y.size, []
    for at in reversed(range(len(sums))):
        gradients = [layers[at].T @ back, back.sum(0), *gradients]
        if at:
            slope = (function(sums[at - 1] + 1e-5) - function(sums[at - 1] - 1e-5)) / 2e-5
            back = back @ parameters[2 * at].T * slope
    return gradients


if __name__ == "__main__":
    if wrong := main(sys.argv[1]):
        print(wrong, file=sys.stderr)
        sys.exit(compiler.WRONG)
