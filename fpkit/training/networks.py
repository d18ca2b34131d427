"""Networks, stacked: every parameter carries a leading `member` dimension, and one call runs the whole ensemble.

A network is a list of parameter shapes and a forward function. Members never meet in an operation, so that a member's
output, and its gradient under a loss summed over members, do not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from fpkit import parts
from fpkit.training import activations, initialization
from fpkit.training.transformer import transformer


@dataclass(frozen=True)
class Network:
    """A network without its parameters.

    Attributes:
        initialize: seeds -> parameters, each with a leading member dimension, float32 on the CPU. A member's parameters
            follow from its seed alone.
        forward: (parameters, x) -> outputs (member, sample, output). x is (sample, *feature), shared by all members, or
            (member, sample, *feature).
        buffers: tensors that are no parameters, the same for all members, and should stay what they are.
    """

    initialize: Callable[[Sequence[int]], list[Tensor]]
    forward: Callable[[Sequence[Tensor], Tensor], Tensor]
    buffers: dict[str, Tensor] = field(default_factory=dict)


def build(kind: str, features: Sequence[int], outputs: int, **options) -> Network:
    """The network of a config `model` entry.

    Args:
        features: shape of one input, (feature,) or (channel, row, column).
        outputs: number of outputs.
    """
    if parts.is_own(kind):
        return _module(parts.load(kind), tuple(features), outputs, options["options"])
    if kind == "transformer":
        return _module(transformer, tuple(features), outputs, options)
    weights = initialization.weights({"kind": kind, **options}, features, outputs)
    activation, initially, std = (options.pop(key) for key in ("activation", "initialization", "std"))
    builders = {"mlp": _mlp, "residual_mlp": _residual_mlp, "cnn": _cnn, "residual_cnn": _residual_cnn}
    forward = builders[kind](tuple(features), activations.build(activation), **options)

    def initialize(seeds: Sequence[int]) -> list[Tensor]:
        return [torch.from_numpy(stack) for stack in initialization.initialize(weights, initially, std, seeds)]

    return Network(initialize, forward)


# --- architectures: forward functions ---------------------------------------------------------------------------------
# Parameters come as weight and bias of each layer in turn. A weight is (fan_in, units) or, of a convolution, (units,
# in_channels, kernel, kernel), after the member dimension.


def _dense(parameters: Sequence[Tensor], x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Fully connected layers on x (member, sample, feature), the last one linear."""
    for layer in range(0, len(parameters), 2):
        if layer:
            x = activation(x)
        x = torch.baddbmm(parameters[layer + 1].unsqueeze(1), x, parameters[layer])
    return x


def flattened(x: Tensor, features: int, members: int) -> Tensor:
    """x (sample, *feature) or (member, sample, *feature) as (member, sample, feature); shared inputs are not copied.

    `features` counts the dimensions of one input.
    """
    x = x.flatten(-features)
    return x.expand(members, *x.shape[-2:])


def _mlp(features, activation, widths: Sequence[int]):
    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        return _dense(parameters, flattened(x, len(features), len(parameters[0])), activation)

    return forward


def _residual_mlp(features, activation, width: int, blocks: int):
    """x <- x + activation(x W + b), `blocks` times, between a linear layer in and one out."""

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        x = _dense(parameters[:2], flattened(x, len(features), len(parameters[0])), activation)
        for layer in range(2, 2 * (blocks + 1), 2):
            x = x + activation(_dense(parameters[layer : layer + 2], x, activation))
        return _dense(parameters[-2:], x, activation)

    return forward


def _convolve(parameters: Sequence[Tensor], x: Tensor, members: int, stride: int) -> Tensor:
    """One convolution for all members, side by side as channels and kept apart by groups.

    x is (sample, member * channel, row, column), or (sample, channel, row, column) while all members still share it:
    then it is not copied, every member's kernels read the same channels.
    """
    weight, bias = parameters[0].flatten(0, 1), parameters[1].flatten()
    groups = x.shape[1] // weight.shape[1]
    return F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2, groups=groups)


def _side_by_side(x: Tensor) -> Tensor:
    """(member, sample, channel, row, column) as (sample, member * channel, row, column); shared inputs as they are.

    Channels come last in memory: small images are convolved up to twice as fast.
    """
    if x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)


def _apart(x: Tensor, members: int) -> Tensor:
    """(sample, member * channel, row, column) as (member, sample, feature)."""
    return x.unflatten(1, (members, -1)).transpose(0, 1).flatten(2)


def _cnn(features, activation, channels: Sequence[int], kernel: int, widths: Sequence[int]):
    """Convolutions of stride 2, then fully connected layers."""

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        members = len(parameters[0])
        x = _side_by_side(x)
        for layer in range(0, 2 * len(channels), 2):
            x = activation(_convolve(parameters[layer : layer + 2], x, members, stride=2))
        return _dense(parameters[2 * len(channels) :], _apart(x, members), activation)

    return forward


def _residual_cnn(features, activation, channels: int, blocks: int, kernel: int):
    """A convolution of stride 2, then x <- x + conv(activation(conv(x))), `blocks` times, then a linear layer."""

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        members = len(parameters[0])
        x = activation(_convolve(parameters[:2], _side_by_side(x), members, stride=2))
        for layer in range(2, 2 + 4 * blocks, 4):
            inner = activation(_convolve(parameters[layer : layer + 2], x, members, stride=1))
            x = x + _convolve(parameters[layer + 2 : layer + 4], inner, members, stride=1)
        return _dense(parameters[-2:], _apart(activation(x), members), activation)

    return forward


def _module(make: Callable[..., torch.nn.Module], features: tuple[int, ...], outputs: int, options: dict) -> Network:
    """Any module, `make(features, outputs, **options) -> torch.nn.Module`, run on all members by vmap."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what is no parameter is the same for all members
        skeleton = make(features, outputs, **options)
    names, buffers = [name for name, _ in skeleton.named_parameters()], dict(skeleton.named_buffers())

    def initialize(seeds: Sequence[int]) -> list[Tensor]:
        members = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                members.append([parameter.detach() for parameter in make(features, outputs, **options).parameters()])
        return [torch.stack(stack) for stack in zip(*members, strict=True)]

    def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        held = {name: buffer.to(x.device) for name, buffer in buffers.items()}

        def one(member: Sequence[Tensor], samples: Tensor) -> Tensor:
            return torch.func.functional_call(skeleton, held | dict(zip(names, member, strict=True)), (samples,))

        shared = x.dim() == len(features) + 1
        return torch.func.vmap(one, in_dims=(0, None if shared else 0))(list(parameters), x)

    return Network(initialize, forward, buffers)
