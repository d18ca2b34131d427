"""Intervals of a median, from order statistics: exact, whatever the values are distributed like.

Between the r-th smallest and the r-th largest of n independent values lies the median of what they are drawn from with
probability 1 - 2 P(B < r), B binomial with n trials and p = 1/2 (David, Nagaraja 2003, Order Statistics, Sec. 7.1).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

# An interval covers at least so often; it says by how much.
LEVEL = 0.95
# Of fewer values, even their whole range covers less often.
FEWEST = 6
# Of fewer draws of the data, how alike the members of each are cannot be told: all of them count as one.
FEWEST_DRAWS = 5


class Interval(NamedTuple):
    """A median and its interval; `level`: how often such an interval covers the true one, at least."""

    value: float
    low: float
    high: float
    level: float


@cache
def order_statistics(count: int) -> tuple[int, float]:
    """The greatest r whose interval of `count` values has a level of 0.95, and that level; (0, nan) below 6."""
    rank, level, fewer = 0, math.nan, 0.0  # fewer: P(B < rank)
    while True:
        fewer += math.comb(count, rank) / 2**count
        if 1 - 2 * fewer < LEVEL:
            return rank, level
        rank, level = rank + 1, 1 - 2 * fewer


def median_interval(values: np.ndarray, draws: np.ndarray | None = None) -> tuple[float, float, float]:
    """Median of the finite values and its interval; NaN without any, an open one of fewer than 6.

    Args:
        values: (member,). draws: as of `known_interval`.
    """
    finite = np.isfinite(values)
    return _interval(values[finite], None if draws is None else draws[finite])[:3]


def known_interval(
    values: np.ndarray,
    draws: np.ndarray | None = None,
    open_ends: tuple[np.ndarray, np.ndarray] | None = None,
) -> Interval:
    """Median and interval where a member without a number (NaN) may lie anywhere, and one that might be less, or more,
    anywhere on that side; an end that it could hold is open.

    So many of them leave nothing to conclude, and none is passed over.

    Args:
        open_ends: (member,), which members might have less than their value, and which more; left out, none.
        values: (member,). draws: of which draw of the data each is, as a number; members that share their data are no
            independent draws, and count for fewer (`independent`). Left out, all share one, which the interval is of.
    """
    value = median_interval(values)[0]
    unknown = np.isnan(values)
    if len(values) - unknown.sum() < FEWEST:
        return Interval(value, *((np.nan, np.nan) if unknown.all() else (-np.inf, np.inf)), np.nan)
    least, most = values[~unknown].min(), values[~unknown].max()
    less, more = (unknown, unknown) if open_ends is None else (unknown | side for side in open_ends)
    below = _interval(np.where(less, least - 1, values), draws)
    above = _interval(np.where(more, most + 1, values), draws)
    low = below.low if below.low >= least else -np.inf
    high = above.high if above.high <= most else np.inf
    return Interval(value, low, high, min(below.level, above.level))


def independent(values: np.ndarray, draws: np.ndarray) -> int:
    """As how many independent values those of several draws of the data count, m of each: n / (1 + (m - 1) rho).

    Kish 1965, Survey Sampling, Sec. 5.4, for the interval of a median as in Woodruff 1952 (JASA 47, 635). rho is the
    intraclass correlation of the values' ranks, by analysis of variance, 0 where it comes out negative; m is the mean
    over values of how many share their draw. Of fewer than five draws rho is not known, and taken for 1.

    Args:
        values: (member,), finite. draws: (member,), a number for each draw.
    """
    ranked = ranks(values)
    _, draw, sizes = np.unique(draws, return_inverse=True, return_counts=True)
    count, groups = len(values), len(sizes)
    if groups == 1 or groups == count:
        return count
    if groups < FEWEST_DRAWS:
        return groups
    means = np.bincount(draw, ranked) / sizes
    between = (sizes * (means - ranked.mean()) ** 2).sum() / (groups - 1)
    within = ((ranked - means[draw]) ** 2).sum() / (count - groups)
    shared = (count - (sizes**2).sum() / count) / (groups - 1)
    spread = between + (shared - 1) * within
    rho = max(0.0, (between - within) / spread) if spread > 0 else 0.0
    # Rounding must not take one from a whole number.
    return math.floor(count / (1 + ((sizes**2).sum() / count - 1) * rho) + 1e-9)


def ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of values without NaN, from 1 on; equal ones share the mean of theirs."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2


def _interval(values: np.ndarray, draws: np.ndarray | None) -> Interval:
    """Median and interval of finite values."""
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan, np.nan)
    count = len(values) if draws is None else independent(values, draws)
    rank, level = order_statistics(count)
    median = float(np.median(values))
    if rank == 0:
        return Interval(median, -np.inf, np.inf, np.nan)
    # Of all values, the one that as large a part lies below, or a smaller one.
    rank = (rank - 1) * len(values) // count
    ordered = np.sort(values)
    return Interval(median, float(ordered[rank]), float(ordered[-1 - rank]), level)
