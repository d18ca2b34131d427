"""How much work an update is, and where it is done sooner. Needs the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONVOLUTIONAL = ("cnn", "residual_cnn")
# Floating-point operations a second: of a core with AVX-512 in compiled code, and in torch's; of a GPU. Seconds until a
# GPU works, and of an update on it, however small. The CPU's are measured (docs/performance.md), a GPU's are guessed.
COMPILED, TORCH, GPU = 1e11, 2.5e10, 1e13
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


def seconds(per_update: float, updates: int, threads: int, compiled: bool) -> tuple[float, float]:
    """Of so many updates of an ensemble: on the CPU, and on a GPU.

    Args:
        per_update: operations of all members. compiled: whether compiled code would make the CPU's.
    """
    on_cpu = per_update * updates / (threads * (COMPILED if compiled else TORCH))
    return on_cpu, GPU_STARTS + updates * (GPU_UPDATE + per_update / GPU)
