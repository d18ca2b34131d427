"""How much work an update is, and where it is done sooner. Needs the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONVOLUTIONAL = ("cnn", "residual_cnn")
# Floating-point operations a second: of a core with AVX-512 in compiled code, and in torch's; of a GPU. Seconds until a
# GPU works, and of an update on it, however small. The CPU's are measured (docs/performance.md), a GPU's are guessed.
COMPILED, TORCH, GPU = 1e11, 4e10, 1e13
GPU_STARTS, GPU_UPDATE = 6.0, 1.5e-4


def tokens(features: Sequence[int], patch: int) -> int:
    """How many tokens an input of shape `features` makes: patches of an image, or the numbers of a vector."""
    return math.prod(features) if len(features) == 1 else features[1] // patch * (features[2] // patch)


def operations(model: dict, weights: Sequence[Sequence[int]], inputs: Sequence[int]) -> float:
    """Floating-point operations of an update of one member, about: forward, and backward twice as many.

    Args:
        model: a config `model` entry. weights: shapes of its parameters. inputs: (sample, *feature) of an update.
    """
    count = float(sum(map(math.prod, weights)))
    if model["kind"] == "transformer":
        count *= tokens(inputs[1:], model["patch"])
    if model["kind"] in CONVOLUTIONAL:
        # Kernels are used at each place, of which there are a quarter of the pixels or fewer.
        count += math.prod(inputs[2:]) // 4 * sum(math.prod(weight) for weight in weights if len(weight) == 4)
    return 6 * inputs[0] * count


def seconds(
    model: dict,
    weights: Sequence[Sequence[int]],
    features: Sequence[int],
    *,
    members: int,
    updated: int,
    updates: int,
    evaluated: int,
    records: int,
    threads: int,
    compiled: bool,
) -> tuple[float, float]:
    """Of a training on the CPU, and on a GPU.

    Args:
        model, weights: see `operations`. features: shape of an input.
        updated, updates: samples of an update, and how many there are. evaluated, records: likewise of records.
        compiled: whether compiled code would make the CPU's.
    """
    # To evaluate a sample is a third of what it is to learn from it.
    whole = members * operations(model, weights, (1, *features)) * (updated * updates + evaluated * records / 3)
    on_cpu = whole / (threads * (COMPILED if compiled else TORCH))
    return on_cpu, GPU_STARTS + (updates + records) * GPU_UPDATE + whole / GPU
