"""`python -m fpkit.training.compiled.trial LIBRARY`: tiny trainings by compiled code, compared with the same by NumPy.

In a process of its own, which may end by an illegal instruction, or not at all: see `fpkit.training.compiled.compiler`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from fpkit.training import initialization, schedules
from fpkit.training.compiled import compiler, layers, library
from fpkit.training.compiled.encoder import Encoder
from fpkit.training.compiled.layers import Chain
from fpkit.training.compiled.networks import Networks

ALGORITHM = {
    "name": "adam", "learning_rate": 0.003, "momentum": 0.0, "nesterov": False, "weight_decay": 0.5, "clip_norm": 0.2,
    "schedule": {"kind": "linear", "steps": 6, "warmup": 2, "final": 0.0},
}  # fmt: skip
MODELS = [
    ({"kind": "mlp", "widths": (19, 18)}, (3,)),
    ({"kind": "residual_mlp", "width": 19, "blocks": 2}, (3,)),
    ({"kind": "residual_cnn", "channels": 19, "blocks": 1, "kernel": 3}, (2, 5, 4)),
]
# Tokens fill more than one vector, and numbers of a token less than one.
ENCODER = Encoder((18,), outputs=2, patch=1, width=6, heads=2, layers=1)
STEPS, SAMPLES, OUTPUTS, MEMBERS = 3, 37, 2, 2
STD = 0.1  # of weights and biases: what goes through an activation stays of order one
TOLERANCE = 1e-4


def main(path: str) -> str:
    """What is wrong with the library at `path`; nothing if it trains as NumPy does."""
    loaded = library.with_prototypes(ctypes.CDLL(path))
    library.loaded = lambda: loaded  # in this process alone, in place of the one that is on trial
    rng = np.random.default_rng(0)
    for model, features in MODELS:
        shapes = initialization.weights(model, features, OUTPUTS)
        chain = layers.chain(model, features, shapes)
        x = chain.arranged(rng.standard_normal((SAMPLES, *features), np.float32))
        y = rng.standard_normal((SAMPLES, OUTPUTS), np.float32)
        for activation in loaded.activations().decode().split():
            function = partial(_exactly, library.entry("activation", activation))
            initial = initialization.initialize(shapes, "gaussian", STD, range(MEMBERS))
            networks = Networks(initial, chain, activation, "mse", ALGORITHM, threads=1)
            members = [
                [p[m].astype(float) for p in chain.parameters(networks.rows(networks.flat))] for m in range(MEMBERS)
            ]
            networks.update(x, y, None, 0, STEPS)
            found = networks.predict(x)
            expected = np.stack([_trained(chain, member, function, x, y) for member in members])
            error = np.abs(found - expected).max() / max(1, np.abs(expected).max())
            if not error < TOLERANCE:
                return f"{model['kind']}, {activation}: predictions are off by {error:.2g}"
    error = _error_of_encoder(rng)
    return "" if error < TOLERANCE else f"transformer: predictions are off by {error:.2g}"


def _error_of_encoder(rng: np.random.Generator) -> float:
    """The largest one of predictions after two steps of gradient descent, by differences in place of derivatives."""
    outputs, function = ENCODER.outputs, partial(_exactly, library.entry("activation", "gelu"))
    numbers = library.loaded().encoder_parameters(ENCODER.structure("gelu", "mse"))
    shapes = [part.shape for part in ENCODER.natural(np.zeros((1, numbers)))]
    initial = [0.5 * rng.standard_normal(shape, np.float32) for shape in shapes]
    networks = Networks(initial, ENCODER, "gelu", "mse", ALGORITHM | {"name": "sgd", "learning_rate": 0.1}, threads=1)
    x, y = (rng.standard_normal((5, *shape), np.float32) for shape in (ENCODER.features, (outputs,)))
    parameters = [part[0].astype(float) for part in initial]
    for step in range(2):
        networks.update(x, y, None, step, 1)
        gradients = [np.empty_like(part) for part in parameters]
        for part, gradient in zip(parameters, gradients, strict=True):
            for place, number in np.ndenumerate(part):
                losses = []
                for part[place] in (number - 1e-5, number + 1e-5):
                    losses.append(((_encoded(parameters, function, x) - y) ** 2).mean())
                part[place], gradient[place] = number, (losses[1] - losses[0]) / 2e-5
        for part, gradient in zip(parameters, _changed(gradients, parameters), strict=True):
            part -= 0.1 * schedules.factor(ALGORITHM["schedule"], step) * gradient
    return np.abs(networks.predict(x)[0] - _encoded(parameters, function, x)).max()


def _encoded(parameters: list[np.ndarray], function: Callable, x: np.ndarray) -> np.ndarray:
    """Outputs (sample, output) of ENCODER for x (sample, token)."""
    position, embed, bias, *layers, gain, shift, read, read_bias = parameters
    h = x[..., np.newaxis] @ embed.T + bias + position
    for at in range(0, len(layers), 12):
        gain1, shift1, gain2, shift2, attend, attend_bias, project, project_bias = layers[at : at + 8]
        wide, wide_bias, narrow, narrow_bias = layers[at + 8 : at + 12]
        three = (_normalized(h) * gain1 + shift1) @ attend.T + attend_bias
        query, key, value = np.moveaxis(three.reshape(*h.shape[:2], 3, ENCODER.heads, -1), 2, 0)
        weights = np.exp(np.einsum("sthd,skhd->shtk", query, key) / np.sqrt(query.shape[-1]))
        mixed = np.einsum("shtk,skhd->sthd", weights / weights.sum(axis=-1, keepdims=True), value)
        h = h + mixed.reshape(h.shape) @ project.T + project_bias
        h = h + function((_normalized(h) * gain2 + shift2) @ wide.T + wide_bias) @ narrow.T + narrow_bias
    return (_normalized(h) * gain + shift).mean(axis=1) @ read.T + read_bias


def _normalized(h: np.ndarray) -> np.ndarray:
    return (h - h.mean(axis=-1, keepdims=True)) / np.sqrt(h.var(axis=-1, keepdims=True) + 1e-5)


def _exactly(activation: int, z: np.ndarray) -> np.ndarray:
    """The values of an activation by the library's own formula, in double precision, number by number."""
    z, h = np.ascontiguousarray(z, float), np.empty(z.shape)
    library.loaded().exactly(activation, library.address(z), library.address(h), z.size)
    return h


def _trained(
    chain: Chain, parameters: list[np.ndarray], function: Callable, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Predictions (sample, output) of one network after its updates by Adam."""
    mean, square = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, STEPS + 1):
        gradients = _changed(_gradients(chain, parameters, function, x, y), parameters)
        rate = ALGORITHM["learning_rate"] * schedules.factor(ALGORITHM["schedule"], step - 1)
        for p, g, m, s in zip(parameters, gradients, mean, square, strict=True):
            m += 0.1 * (g - m)
            s += 0.001 * (g**2 - s)
            p -= rate * m / (1 - 0.9**step) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
    return _forward(chain, parameters, function, x)[0][-1]


def _changed(gradients: list[np.ndarray], parameters: list[np.ndarray]) -> list[np.ndarray]:
    """Clipped, and with the penalty's."""
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    factor = min(1, ALGORITHM["clip_norm"] / norm)
    return [factor * g + ALGORITHM["weight_decay"] * p for g, p in zip(gradients, parameters, strict=True)]


def _forward(chain: Chain, parameters: list[np.ndarray], function: Callable, x: np.ndarray) -> tuple[list, list]:
    """The inputs of each layer with the output at last, and what enters each activation."""
    values, sums = [x.astype(float)], []
    for at, (layer, weight, bias) in enumerate(zip(chain.layers, parameters[::2], parameters[1::2], strict=True)):
        z = values[-1] @ _spread(weight, *_below(chain, at, values[-1])) + np.tile(bias, layer.places)
        sums.append(z + values[-2] if layer.skips == 2 else z)
        value = function(sums[-1]) if layer.activated else sums[-1]
        values.append(value + values[-1] if layer.skips == 1 else value)
    return [*values[:-1], sums[-1]], sums


def _gradients(
    chain: Chain, parameters: list[np.ndarray], function: Callable, x: np.ndarray, y: np.ndarray
) -> list[np.ndarray]:
    """Of the mean squared error, one for each of the parameters."""
    values, sums = _forward(chain, parameters, function, x)
    by_value = [np.zeros_like(value) for value in values]
    by_value[-1] = 2 * (values[-1] - y) / y.size
    gradients = []
    for at in reversed(range(len(sums))):
        layer, weight, back = chain.layers[at], parameters[2 * at], by_value[at + 1]
        if layer.activated and at + 1 < len(sums):
            back = back * (function(sums[at] + 1e-7) - function(sums[at] - 1e-7)) / 2e-7
        index, numbers = _below(chain, at, values[at])
        shared = np.zeros((numbers + 1, layer.places, layer.units))
        shared[:-1] = (values[at].T @ back).reshape(numbers, layer.places, layer.units)
        of_weight = sum(shared[below, place] for place, below in enumerate(index))
        of_bias = back.reshape(-1, layer.units).sum(axis=0)
        gradients = [of_weight, of_bias, *gradients]
        by_value[at] += back @ _spread(weight, index, numbers).T
        if layer.skips == 1:
            by_value[at] += by_value[at + 1]
        if layer.skips == 2:
            by_value[at - 1] += back
    return gradients


def _below(chain: Chain, at: int, values: np.ndarray) -> tuple[np.ndarray, int]:
    """Which numbers below go into each place (place, input) of a layer, and how many there are: the first that is none
    stands for zero.
    """
    layer, numbers = chain.layers[at], values.shape[1]
    if layer.table is None:
        return np.arange(numbers)[np.newaxis], numbers
    begins = layer.table * (chain.layers[at - 1].units if at else chain.step)
    index = begins[..., np.newaxis] + np.arange(layer.length)
    index[layer.table < 0] = numbers
    return index.reshape(layer.places, -1), numbers


def _spread(weight: np.ndarray, index: np.ndarray, numbers: int) -> np.ndarray:
    """The weights (number below, place and unit) of a fully connected layer that does the same."""
    spread = np.zeros((numbers + 1, len(index), weight.shape[1]))
    for place, below in enumerate(index):
        spread[below, place] = weight
    return spread[:-1].reshape(numbers, -1)


if __name__ == "__main__":
    if wrong := main(sys.argv[1]):
        print(wrong, file=sys.stderr)
        sys.exit(compiler.WRONG)
