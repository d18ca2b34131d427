"""When is a frequency captured? Three answers, side by side, since none is beyond dispute.

All take a relative error with a `step` dimension and any others, and keep the others. Never captured is NaN
("censored"), to be counted and not to be averaged away.
"""

from __future__ import annotations

import numpy as np
import xarray as xr


def first_passage(error: xr.DataArray, threshold: float) -> xr.DataArray:
    """The first recorded step with an error below the threshold: robust, and the kindest to the claim."""
    return _first_step(error < threshold, "first recorded step below the threshold")


def hold_passage(error: xr.DataArray, threshold: float, hold: float) -> xr.DataArray:
    """The first recorded step from which the error stays below the threshold for the fraction `hold` of the records."""
    records = max(1, int(np.ceil(hold * error.sizes["step"])))
    below = error < threshold
    # Looking forward from each record; windows that would reach past the end have seen too little to count.
    held = below[{"step": slice(None, None, -1)}].rolling(step=records, min_periods=records).sum()
    held = held[{"step": slice(None, None, -1)}] == records
    return _first_step(held, f"first recorded step from which {records} records stay below the threshold")


def area(error: xr.DataArray) -> xr.DataArray:
    """Mean of min(error, 1) over the logarithm of the step, from step 1 on: in [0, 1], small is early.

    Needs no threshold and censors nothing. A NaN error stays NaN.
    """
    error = error.sel(step=slice(1, None))
    if error.sizes["step"] < 2:
        result = error.clip(max=1).mean("step", skipna=False)
    else:
        log_step = error.assign_coords(step=np.log10(error["step"]))
        span = float(log_step["step"][-1] - log_step["step"][0])
        result = log_step.clip(max=1).integrate("step") / span
    return result.assign_attrs(long_name="mean of min(relative error, 1) over log step", units="1")


def _first_step(reached: xr.DataArray, long_name: str) -> xr.DataArray:
    first = reached["step"].isel(step=reached.argmax("step")).where(reached.any("step"))
    return (
        first.drop_vars("step", errors="ignore")
        .astype(float)
        .assign_attrs(long_name=long_name, units="optimizer updates")
    )
