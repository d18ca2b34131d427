"""Losses of a stack of networks, one number for each member."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fpkit import parts


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error (member,)."""
    return (output - target).square().mean(dim=(1, 2))


def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error (member,)."""
    return (output - target).abs().mean(dim=(1, 2))


def huber(output: Tensor, target: Tensor) -> Tensor:
    """Huber's loss (1964) with its corner at 1 (member,)."""
    return F.huber_loss(output, target.expand_as(output), reduction="none").mean(dim=(1, 2))


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of logits against class probabilities (member,)."""
    return -(target * F.log_softmax(output, dim=-1)).sum(dim=-1).mean(dim=1)


LOSSES = {loss.__name__: loss for loss in (mse, mae, huber, cross_entropy)}


def build(name: str):
    """The loss of a config `training.loss`: (output, target) -> (member,).

    `output` is (member, sample, output); `target` is the same or without the member dimension. One's own is named by
    its dotted path.
    """
    return parts.load(name) if parts.is_own(name) else LOSSES[name]
