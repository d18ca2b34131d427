"""Activations: each a function of its name in the configuration, and, for fully connected networks, a twin by hand.

The twin, where there is one, stands above its function; a function without one is differentiated by autograd. Compiled
code has twins of its own (fpkit/training/compiled/activations.hpp).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from fpkit import parts

aten = torch.ops.aten
Calls = list[Callable[[], object]]


@dataclass(frozen=True)
class ByHand:
    """An activation and its derivative without autograd, as calls on given memory. It decorates the function.

    Attributes:
        forward: (z, h) -> calls that write the values for the inputs z, which come multiplied by `scale`, into h, which
            is z unless `keeps_input`.
        backward: (gradient, z, h) -> calls that multiply the gradient by the derivative, in place; z is lost.
        scale: a factor that the matrix product before applies at no cost.
    """

    forward: Callable[[Tensor, Tensor], Calls]
    backward: Callable[[Tensor, Tensor, Tensor], Calls]
    keeps_input: bool = False
    scale: float = 1.0

    def __call__(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        function.by_hand = self
        return function


def build(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of a config `model.activation`: a tensor -> one of its shape, number by number.

    One's own is named by its dotted path.
    """
    return parts.load(name) if parts.is_own(name) else globals()[name]


def by_hand(name: str) -> ByHand | None:
    """The twin of a config `model.activation`, if it has one."""
    return None if parts.is_own(name) else getattr(build(name), "by_hand", None)


def _of(operation: Callable, *options) -> Callable[[Tensor, Tensor], Calls]:
    """The calls of an operation (z, *options, out=)."""
    return lambda z, h: [partial(operation, z, *options, out=h)]


def _by_value(operation: Callable, *options) -> Callable[[Tensor, Tensor, Tensor], Calls]:
    """The calls of a derivative (gradient, *options, value, grad_input=), of which the value comes as `...`."""
    return lambda g, z, h: [partial(operation, g, *(h if o is ... else o for o in options or (...,)), grad_input=g)]


def _by_input(operation: Callable, *options) -> Callable[[Tensor, Tensor, Tensor], Calls]:
    """The calls of a derivative (gradient, input, *options, grad_input=)."""
    return lambda g, z, h: [partial(operation, g, z, *options, grad_input=g)]


def _tanh(z: Tensor, h: Tensor) -> Calls:
    # tanh x = e / (e + 2), e = exp(2 x) - 1: as exact as torch.tanh, near zero too, in less time.
    denominator = torch.empty_like(h)
    return [
        partial(torch.clamp_max, z, 80, out=h),  # where it is 1, and e still a number
        h.expm1_,
        partial(torch.add, h, 2, out=denominator),
        partial(h.div_, denominator),
    ]


@ByHand(_tanh, _by_value(aten.tanh_backward.grad_input), scale=2.0)
def tanh(x: Tensor) -> Tensor:
    return torch.tanh(x)


@ByHand(_of(torch.clamp_min, 0), _by_value(aten.threshold_backward.grad_input, ..., 0))
def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


@ByHand(_of(torch.sigmoid), _by_value(aten.sigmoid_backward.grad_input))
def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@ByHand(_of(aten.softplus.out), _by_input(aten.softplus_backward.grad_input, 1, 20), keeps_input=True)
def softplus(x: Tensor) -> Tensor:
    return F.softplus(x)


@ByHand(_of(aten.elu.out), _by_value(aten.elu_backward.grad_input, 1, 1, 1, True, ...))
def elu(x: Tensor) -> Tensor:
    return F.elu(x)


@ByHand(_of(aten.gelu.out), _by_input(aten.gelu_backward.grad_input), keeps_input=True)
def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


@ByHand(_of(aten.silu.out), _by_input(aten.silu_backward.grad_input), keeps_input=True)
def silu(x: Tensor) -> Tensor:
    return F.silu(x)


@ByHand(_of(torch.sin), lambda g, z, h: [z.cos_, partial(g.mul_, z)], keeps_input=True)
def sin(x: Tensor) -> Tensor:
    return torch.sin(x)


def _gaussian(z: Tensor, h: Tensor) -> Calls:
    return [partial(torch.square, z, out=h), partial(h.mul_, -0.5), h.exp_]


@ByHand(_gaussian, lambda g, z, h: [partial(z.mul_, h), z.neg_, partial(g.mul_, z)], keeps_input=True)
def gaussian(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x**2)


def _ricker(z: Tensor, h: Tensor) -> Calls:
    return [*_gaussian(z, h), lambda: h.mul_(1 - z * z)]


def _ricker_backward(g: Tensor, z: Tensor, h: Tensor) -> Calls:
    def multiply():
        square = z * z
        g.mul_(z.mul_(square - 3).mul_(square.mul_(-0.5).exp_()))

    return [multiply]


@ByHand(_ricker, _ricker_backward, keeps_input=True)
def ricker(x: Tensor) -> Tensor:
    return (1 - x**2) * torch.exp(-0.5 * x**2)
