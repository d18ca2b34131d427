"""Intervals of a median over members."""

from __future__ import annotations

import numpy as np

RESAMPLES = 9999


def median_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Median of the finite values and its 95% percentile-bootstrap interval; NaN without, open with a single value."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    median = float(np.median(values))
    if len(values) == 1:
        return median, -np.inf, np.inf
    drawn = values[np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))]
    interval = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    # Interpolation between equal values may miss them by the last bit.
    return median, *np.clip(interval, [values.min(), median], [median, values.max()]).tolist()


def known_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Median and interval where a member without a number (NaN) may lie anywhere; an end that it could hold is open.

    So many of them leave nothing to conclude, and none is passed over.
    """
    value, *_ = median_interval(values)
    unknown = np.isnan(values)
    if unknown.all():
        return value, np.nan, np.nan
    least, most = values[~unknown].min(), values[~unknown].max()
    low = median_interval(np.where(unknown, least - 1, values))[1]
    high = median_interval(np.where(unknown, most + 1, values))[2]
    return value, low if low >= least else -np.inf, high if high <= most else np.inf
