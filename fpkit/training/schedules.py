"""Learning-rate schedules: by what the learning rate is multiplied at each update. Needs the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def factor(schedule: Mapping[str, Any] | None, step: int) -> float:
    """Of a config `training.schedule`, for the update after `step` others; 1 without one.

    It does not depend on where a training ends: a longer one begins as a shorter one does.
    """
    if schedule is None:
        return 1.0
    warmup = schedule["warmup"]
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return _KINDS[schedule["kind"]](schedule, step - warmup)


def _part(schedule: Mapping[str, Any], step: int) -> float:
    """How much of the way is done, from 0 to 1, warming up left out."""
    return min(1.0, step / max(1, schedule["steps"] - schedule["warmup"]))


def _cosine(schedule: Mapping[str, Any], step: int) -> float:
    """Half a cosine from 1 down to `final` (Loshchilov, Hutter 2017), which then stays."""
    return schedule["final"] + (1 - schedule["final"]) * (1 + math.cos(math.pi * _part(schedule, step))) / 2


def _linear(schedule: Mapping[str, Any], step: int) -> float:
    """A line from 1 down to `final`, which then stays."""
    return 1 - (1 - schedule["final"]) * _part(schedule, step)


def _step(schedule: Mapping[str, Any], step: int) -> float:
    """Multiplied by `factor` after every so many updates."""
    return schedule["factor"] ** (step // schedule["every"])


_KINDS = {"cosine": _cosine, "linear": _linear, "step": _step}
