"""How the parameters of a stack of networks lie in one flat array, and how a member's are taken out of it."""

from __future__ import annotations

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


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The numbers of some arrays, one after the other: a copy, without what lies between them."""
    return np.concatenate([part.ravel() for part in parts])


def put(numbers: np.ndarray, parts: Sequence[np.ndarray]) -> None:
    """Write the numbers that `joined` took out of such arrays into them."""
    ends = np.cumsum([part.size for part in parts])[:-1]
    for part, some in zip(parts, np.split(numbers, ends), strict=True):
        part[...] = some.reshape(part.shape)
