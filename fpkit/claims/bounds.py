"""Bounds: where a statistic must lie, as text, and how far inside it lies."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from fpkit.claims.intervals import Interval


def text(bound: Mapping) -> str:
    """A bound of the configuration as it stands in `claims.csv`: `>= 0.8`, `<= 0.1` or `in [1.7, 2.3]`."""
    low, high = ends(bound)
    if np.isinf(high):
        return f">= {low:g}"
    return f"<= {high:g}" if np.isinf(low) else f"in [{low:g}, {high:g}]"


def ends(bound: Mapping) -> tuple[float, float]:
    """The least and the greatest value that keep a bound of the configuration; without limit, infinite."""
    if bound.get("between") is not None:
        return tuple(bound["between"])
    low, high = bound.get("at_least"), bound.get("at_most")
    return (-np.inf if low is None else low), (np.inf if high is None else high)


def parsed(bound: str) -> tuple[float, float]:
    """The ends of a bound from its text. Raises ValueError for another text."""
    told = re.fullmatch(r"(>=|<=) (\S+)|in \[(\S+), (\S+)\]", bound)
    if told is None:
        raise ValueError(f"no bound: {bound!r}")
    sign, single, low, high = told.groups()
    if sign:
        return (float(single), np.inf) if sign == ">=" else (-np.inf, float(single))
    return float(low), float(high)


def verdict(low: float, high: float, bound: Mapping) -> str:
    """What the interval [low, high] says of a bound of the configuration.

    `holds` where all of it keeps the bound, `does not hold` where all lies beyond the same end, or `undecided`. An open
    end is infinite.
    """
    least, most = ends(bound)
    if np.isnan([low, high]).any():
        return "undecided"
    if least <= low and high <= most:
        return "holds"
    return "does not hold" if high < least or low > most else "undecided"


def margin(values: np.ndarray | float, bound: str) -> np.ndarray:
    """How far inside a bound, given as text, the values lie; negative outside."""
    low, high = parsed(bound)
    values = np.asarray(values, float)
    if np.isinf(high):
        return values - low
    return high - values if np.isinf(low) else np.minimum(values - low, high - values)


def margins(low: float, high: float, bound: str) -> tuple[float, float]:
    """The least and the greatest margin of the values in an interval."""
    ends = margin(np.array([low, high]), bound)
    least, most = parsed(bound)
    centre = (least + most) / 2
    inside = np.isfinite(centre) and low <= centre <= high
    return float(ends.min()), float(margin(centre, bound) if inside else ends.max())


def said(interval: Interval) -> str:
    """A median with its interval: `0.98 [0.96, 1]`."""
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"
