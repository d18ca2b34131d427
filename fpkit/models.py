"""Networks, stacked: every parameter carries a leading `member` dimension, and one call runs the whole ensemble.

A network is a list of parameter shapes and a forward function. Members never meet in an operation, so that a member's
output, and its gradient under a loss summed over members, do not depend on the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "sin": torch.sin,
    "gaussian": lambda x: torch.exp(-0.5 * x**2),
    "ricker": lambda x: (1 - x**2) * torch.exp(-0.5 * x**2),
}


@dataclass(frozen=True)
class Network:
    """A network without its parameters.

    Attributes:
        weights: shape of each layer's weight, without member: (fan_in, units) or (channels, in_channels, kernel,
            kernel).
        forward: (parameters, x) -> outputs (member, sample, output). `parameters` are weight and bias of each layer in
            turn, each with a leading member dimension; x is (sample, *feature), shared by all members, or
            (member, sample, *feature).
    """

    weights: Sequence[tuple[int, ...]]
    forward: Callable[[Sequence[Tensor], Tensor], Tensor]


def build(kind: str, features: Sequence[int], outputs: int, activation: str, **options) -> Network:
    """The network of a config `model` entry (without its initialization).

    Args:
        features: shape of one input, (feature,) or (channel, row, column).
        outputs: number of outputs.
    """
    builders = {"mlp": _mlp, "cnn": _cnn}
    return builders[kind](tuple(features), outputs, ACTIVATIONS[activation], **options)


def initialize(
    weights: Sequence[tuple[int, ...]], initialization: str, std: float, seeds: Sequence[int]
) -> list[Tensor]:
    """Initial parameters, weight and bias of each layer in turn, each (member, *shape), float32 on the CPU.

    Each member draws from a generator of its own, seeded by its seed, hence independently of the other members and of
    the device. `scaled`: weights N(0, 1/fan_in), biases N(0, 1); `gaussian`: all N(0, std^2) (paper, Sec. 3);
    `xavier`: N(0, 2/(fan_in + fan_out)) (Glorot, Bengio 2010); `he`: N(0, 2/fan_in) (He et al. 2015); the last two
    with zero biases.
    """
    members = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        parameters = []
        for shape in weights:
            units, fan_in, fan_out = _fans(shape)
            weight_std, bias_std = {
                "scaled": (fan_in**-0.5, 1.0),
                "gaussian": (std, std),
                "xavier": (math.sqrt(2 / (fan_in + fan_out)), 0.0),
                "he": (math.sqrt(2 / fan_in), 0.0),
            }[initialization]
            parameters.append(weight_std * torch.randn(shape, generator=generator))
            parameters.append(bias_std * torch.randn(units, generator=generator))
        members.append(parameters)
    return [torch.stack(stack) for stack in zip(*members, strict=True)]


def _fans(weight: tuple[int, ...]) -> tuple[int, int, int]:
    """(units, fan_in, fan_out) of a dense (fan_in, units) or convolution (units, in_channels, kernel, kernel)."""
    if len(weight) == 2:
        fan_in, units = weight
        return units, fan_in, units
    units, in_channels, *kernel = weight
    return units, in_channels * math.prod(kernel), units * math.prod(kernel)


def _dense(parameters: Sequence[Tensor], x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Fully connected layers on x (member, sample, feature), the last one linear."""
    for layer in range(0, len(parameters), 2):
        if layer:
            x = activation(x)
        x = torch.baddbmm(parameters[layer + 1].unsqueeze(1), x, parameters[layer])
    return x


def _mlp(features: tuple[int, ...], outputs: int, activation, widths: Sequence[int]) -> Network:
    units = [math.prod(features), *widths, outputs]

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        members = parameters[0].shape[0]
        x = x.flatten(-len(features))
        return _dense(parameters, x.expand(members, *x.shape[-2:]), activation)

    return Network(list(itertools.pairwise(units)), forward)


def _cnn(
    features: tuple[int, ...], outputs: int, activation, channels: Sequence[int], kernel: int, widths: Sequence[int]
) -> Network:
    in_channels, *image = features
    convolutions = []
    for out_channels in channels:
        convolutions.append((out_channels, in_channels, kernel, kernel))
        in_channels, image = out_channels, [(size + 1) // 2 for size in image]
    units = [in_channels * math.prod(image), *widths, outputs]
    dense = list(itertools.pairwise(units))

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        members = parameters[0].shape[0]
        # The ensemble is one convolution: members side by side as channels, kept apart by `groups`. While the input is
        # still shared by all members, it is not copied: every member's kernels read the same channels.
        groups = 1 if x.dim() == 4 else members
        if groups > 1 or x.dim() == 5:
            x = x.transpose(0, 1).flatten(1, 2)
        for layer in range(len(convolutions)):
            weight, bias = parameters[2 * layer].flatten(0, 1), parameters[2 * layer + 1].flatten()
            x = activation(F.conv2d(x, weight, bias, stride=2, padding=kernel // 2, groups=groups))
            groups = members
        x = x.unflatten(1, (members, -1)).transpose(0, 1).flatten(2)
        return _dense(parameters[2 * len(convolutions) :], x, activation)

    return Network(convolutions + dense, forward)
