"""Initial parameters of a stack of networks, drawn by NumPy: the same on every device, and at hand without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def initialize(
    weights: Sequence[tuple[int, ...]], initialization: str, std: float, seeds: Sequence[int]
) -> list[np.ndarray]:
    """Initial parameters, weight and bias of each layer in turn, each (member, *shape), float32.

    Each member draws from a generator of its own, seeded by its seed, hence independently of the other members.
    `scaled`: weights N(0, 1/fan_in), biases N(0, 1); `gaussian`: all N(0, std^2) (paper, Sec. 3);
    `xavier`: N(0, 2/(fan_in + fan_out)) (Glorot, Bengio 2010); `he`: N(0, 2/fan_in) (He et al. 2015); the last two
    with zero biases.

    Args:
        weights: shapes, (fan_in, units) of a dense layer, (units, in_channels, kernel, kernel) of a convolution.
    """
    members = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        parameters = []
        for shape in weights:
            units, fan_in, fan_out = _fans(shape)
            weight_std, bias_std = {
                "scaled": (fan_in**-0.5, 1.0),
                "gaussian": (std, std),
                "xavier": (math.sqrt(2 / (fan_in + fan_out)), 0.0),
                "he": (math.sqrt(2 / fan_in), 0.0),
            }[initialization]
            parameters.append(np.float32(weight_std) * generator.standard_normal(shape, np.float32))
            parameters.append(np.float32(bias_std) * generator.standard_normal(units, np.float32))
        members.append(parameters)
    return [np.stack(stack) for stack in zip(*members, strict=True)]


def dense(features: Sequence[int], widths: Sequence[int], outputs: int) -> list[tuple[int, int]]:
    """The weights' shapes of fully connected layers, for inputs of shape `features`."""
    return list(pairwise([math.prod(features), *widths, outputs]))


def weights(model: dict, features: Sequence[int], outputs: int) -> list[tuple[int, ...]] | None:
    """The shapes of the weights of a config `model` entry, biases and norms left out; None of one's own.

    Dense ones (inputs, units), of a convolution (units, in_channels, kernel, kernel).
    """
    kind = model["kind"]
    if kind == "mlp":
        return dense(features, model["widths"], outputs)
    if kind == "residual_mlp":
        width = model["width"]
        return [(math.prod(features), width), *[(width, width)] * model["blocks"], (width, outputs)]
    if kind == "cnn":
        return convolutional(features, model["channels"], model["kernel"], model["widths"], outputs)
    if kind == "residual_cnn":
        first, last = convolutional(features, [model["channels"]], model["kernel"], [], outputs)
        inner = (model["channels"], *first[:1], *first[2:])
        return [first, *[inner] * (2 * model["blocks"]), last]
    if kind == "transformer":
        width, patch = model["width"], model["patch"]
        numbers = features[0] * patch**2 if len(features) == 3 else 1
        layer = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        return [(numbers, width), *layer * model["layers"], (width, outputs)]
    return None


def convolutional(
    features: Sequence[int], channels: Sequence[int], kernel: int, widths: Sequence[int], outputs: int
) -> list[tuple[int, ...]]:
    """Of convolutions, each of which halves an image (channel, row, column), and the dense layers behind them."""
    in_channels, rows, columns = features
    shapes: list[tuple[int, ...]] = []
    for out_channels in channels:
        shapes.append((out_channels, in_channels, kernel, kernel))
        in_channels, rows, columns = out_channels, (rows + 1) // 2, (columns + 1) // 2
    return shapes + dense((in_channels, rows, columns), widths, outputs)


def _fans(weight: tuple[int, ...]) -> tuple[int, int, int]:
    """(units, fan_in, fan_out) of a weight of this shape."""
    if len(weight) == 2:
        fan_in, units = weight
        return units, fan_in, units
    units, in_channels, *kernel = weight
    return units, in_channels * math.prod(kernel), units * math.prod(kernel)
