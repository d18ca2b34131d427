"""How the parameters of a stack of networks lie in one flat array, and how a member's are taken out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def parted(initial: Sequence) -> tuple[list, list]:
    """Weights (member, inputs, units) and biases (member, 1, units) of dense layers, the last ones transposed.

    Args:
        initial: weight (member, inputs, units) and bias (member, units) of each layer in turn: arrays or tensors.
    """
    weights, biases = list(initial[::2]), [bias[:, None] for bias in initial[1::2]]
    weights[-1], biases[-1] = weights[-1].mT, biases[-1].mT
    return weights, biases


def apart(numbers: np.ndarray, like: Sequence, dense: bool) -> list[np.ndarray]:
    """Parameters (member, *shape) from the numbers (member, weight) of which a checkpoint keeps a row for each member.

    Args:
        like: initial parameters of any members, as a network's `initialize` gives them, in whose shapes and order.
        dense: whether they were `parted`: those of fully connected networks whose gradient is taken by hand.
    """
    parts = [part[:1] for stacks in (parted(like) if dense else [like]) for part in stacks]
    ends = np.cumsum([math.prod(part.shape) for part in parts])[:-1]
    split = zip(np.split(numbers, ends, axis=1), parts, strict=True)
    stacks = [some.reshape(-1, *part.shape[1:]) for some, part in split]
    if not dense:
        return stacks
    weights, biases = stacks[: len(stacks) // 2], stacks[len(stacks) // 2 :]
    weights[-1], biases[-1] = weights[-1].mT, biases[-1].mT
    return [part for weight, bias in zip(weights, biases, strict=True) for part in (weight, bias[:, 0])]


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The numbers of some arrays, one after the other: a copy, without what lies between them."""
    return np.concatenate([part.ravel() for part in parts])


def put(numbers: np.ndarray, parts: Sequence[np.ndarray]) -> None:
    """Write the numbers that `joined` took out of such arrays into them."""
    ends = np.cumsum([part.size for part in parts])[:-1]
    for part, some in zip(parts, np.split(numbers, ends), strict=True):
        part[...] = some.reshape(part.shape)
