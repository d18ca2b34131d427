"""Losses of a stack of networks: each a function of its name in the configuration, which gives a number a member.

Its gradient by hand, where there is one, stands above it; without one, autograd takes it. Compiled code has twins of
its own (fpkit/training/compiled/losses.hpp).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from fpkit import parts

Calls = list[Callable[[], object]]
Loss = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor, Tensor, Tensor], Calls]


def build(name: str) -> Loss:
    """The loss of a config `training.loss`: (output, target) -> (member,).

    `output` is (member, sample, output); `target` is the same or without the member dimension. One's own is named by
    its dotted path.
    """
    return parts.load(name) if parts.is_own(name) else globals()[name]


def gradient_of(name: str) -> Gradient | None:
    """The gradient by hand of a config `training.loss`, if it has one.

    (output, target, out) -> calls that write the gradient by the outputs (member, output, sample) into `out`; targets
    may lack the member dimension.
    """
    return None if parts.is_own(name) else getattr(build(name), "gradient", None)


def _with_gradient(gradient: Gradient) -> Callable[[Loss], Loss]:
    def add(loss: Loss) -> Loss:
        loss.gradient = gradient
        return loss

    return add


def _mse(output: Tensor, target: Tensor, out: Tensor) -> Calls:
    return [partial(torch.sub, output, target, out=out), partial(out.mul_, 2 / output[0].numel())]


@_with_gradient(_mse)
def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error (member,)."""
    return (output - target).square().mean(dim=(1, 2))


def _mae(output: Tensor, target: Tensor, out: Tensor) -> Calls:
    return [partial(torch.sub, output, target, out=out), out.sign_, partial(out.div_, output[0].numel())]


@_with_gradient(_mae)
def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error (member,)."""
    return (output - target).abs().mean(dim=(1, 2))


def _huber(output: Tensor, target: Tensor, out: Tensor) -> Calls:
    return [
        partial(torch.sub, output, target, out=out),
        partial(out.clamp_, -1, 1),
        partial(out.div_, output[0].numel()),
    ]


@_with_gradient(_huber)
def huber(output: Tensor, target: Tensor) -> Tensor:
    """Huber's loss (1964) with its corner at 1 (member,)."""
    return F.huber_loss(output, target.expand_as(output), reduction="none").mean(dim=(1, 2))


def _cross_entropy(output: Tensor, target: Tensor, out: Tensor) -> Calls:
    def gradient():
        torch.softmax(output, dim=1, out=out)
        out.mul_(target.sum(dim=-2, keepdim=True)).sub_(target).div_(output.shape[2])

    return [gradient]


@_with_gradient(_cross_entropy)
def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of logits against class probabilities (member,)."""
    return -(target * F.log_softmax(output, dim=-1)).sum(dim=-1).mean(dim=1)
