"""When is a frequency captured? Three answers, side by side, since none is beyond dispute.

All take a relative error, or a remaining share, with a `step` dimension and any others, and keep the others. Never
captured is NaN ("censored"), to be counted and not to be averaged away.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

# Of the remaining share: half of it learned, and most of it.
LEVELS = (0.5, 0.2)


def first_passage(error: xr.DataArray, threshold: float) -> xr.DataArray:
    """The first recorded step with an error below the threshold: robust, and the kindest to the claim."""
    return _first_step(error < threshold, "first recorded step below the threshold")


def hold_passage(error: xr.DataArray, threshold: float, hold: float) -> xr.DataArray:
    """The first recorded step from which the error stays below the threshold for the fraction `hold` of the records."""
    # Rounded, as 0.07 times 100 is more than 7.
    records = max(1, int(np.ceil(round(hold * error.sizes["step"], 9))))

    def held_from(below: np.ndarray) -> np.ndarray:
        held, run = np.empty_like(below), np.zeros(below.shape[1:], np.int32)
        for step in reversed(range(len(below))):  # how many records it stays below, from this one on
            run += 1
            run *= below[step]
            held[step] = run >= records  # one that reaches past the end has seen too little to count
        return held

    below = (error < threshold).transpose("step", ...)
    held = below.copy(data=held_from(below.to_numpy())).transpose(*error.dims)
    return _first_step(held, f"first recorded step from which {records} records stay below the threshold")


def area(error: xr.DataArray) -> xr.DataArray:
    """Mean of min(error, 1) over the logarithm of the step, from step 1 on: in [0, 1], small is early.

    Needs no threshold and censors nothing. A NaN error stays NaN.
    """
    return mean_over_log_step(error.clip(max=1), "min(relative error, 1)")


def mean_over_log_step(values: xr.DataArray, name: str) -> xr.DataArray:
    """Mean over the logarithm of the step, from step 1 on; not clipped. What is NaN at any step stays NaN, as does all
    without a record."""
    values = values.sel(step=slice(1, None))
    if values.sizes["step"] < 2:
        result = values.sum("step", skipna=False) / (values.sizes["step"] or np.nan)
    else:
        log_step = values.assign_coords(step=np.log10(values["step"]))
        result = log_step.integrate("step") / float(log_step["step"][-1] - log_step["step"][0])
    return result.assign_attrs(long_name=f"mean of {name} over log step", units="1")


def at_levels(remaining: xr.DataArray, hold: float) -> dict[str, xr.DataArray]:
    """First and hold passage (..., level) of a remaining share below each of `LEVELS`."""
    levels = xr.Variable("level", list(LEVELS), {"long_name": "level of the remaining share", "units": "1"})
    found = {
        "first_passage": [first_passage(remaining, level) for level in LEVELS],
        "hold_passage": [hold_passage(remaining, level, hold) for level in LEVELS],
    }
    first = [dim for dim in remaining.dims if dim in ("null", "draw")]
    return {
        name: xr.concat(passages, levels, combine_attrs="override").transpose(*first, "level", ...)
        for name, passages in found.items()
    }


def _first_step(reached: xr.DataArray, long_name: str) -> xr.DataArray:
    first = reached["step"].isel(step=reached.argmax("step")).where(reached.any("step"))
    return (
        first.drop_vars("step", errors="ignore")
        .astype(float)
        .assign_attrs(long_name=long_name, units="optimizer updates")
    )
