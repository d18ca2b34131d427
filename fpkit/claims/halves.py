"""Low and high: the lower and the upper half of what is followed, each as one curve of what remains of its error."""

from __future__ import annotations

import xarray as xr

# A filter width says something where both parts of the target carry at least this share of its energy.
LEAST_SHARE = 0.1
# A half is learned once this share of its error, as it was at the start, remains.
LEARNED = 0.2
# And so at the end of a run, if it is so in the mean over this part of the records: one alone may be noise.
LAST = 0.1


def halves(spectra: xr.Dataset, array: str = "remaining") -> tuple[xr.DataArray, xr.DataArray]:
    """Remaining share (..., step, member) of the lower and of the upper half of the followed frequencies.

    Each half is pooled by the energy that its frequencies start with: of one that starts with next to nothing, the
    share says next to nothing. Of an odd number, the middle one is in neither; NaN of fewer than two. Of a filter, the
    mean over the telling widths; NaN without any.

    Args:
        array: `remaining`, or `control_remaining`, which has draws of nulls beside.
    """
    followed = spectra[[array, "initial_energy"]].isel(frequency=spectra["followed"].to_numpy())
    if "width" in followed.dims:
        followed = followed.isel(width=telling(spectra).to_numpy())
    followed = followed.sortby("frequency")
    every = followed.sizes["frequency"]
    low, high = (
        _pooled(followed.isel(frequency=half), array) for half in (slice(every // 2), slice(-(-every // 2), None))
    )
    return low, high


def _pooled(half: xr.Dataset, array: str) -> xr.DataArray:
    energy = half["initial_energy"].astype(float)
    # What starts at nothing has no share, and none of the energy.
    remaining = (half[array] * energy).where(energy > 0, 0.0).sum("frequency", skipna=False)
    total = energy.sum("frequency", skipna=False)
    share = remaining / total.where(total > 0)
    return share.sum("width", skipna=False) / (share.sizes["width"] or float("nan")) if "width" in share.dims else share


def open_ends(spectra: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Whether with more training the lead might fall, and whether it might grow, per member (member,): as far as the
    lower half, and the upper half, is not learned when the run ends, over the last records. Both where the start was
    not recorded.
    """
    unknown, count = bool(spectra["step"][0] > 1), max(1, round(LAST * spectra.sizes["step"]))
    low, high = (
        (half.isel(step=slice(-count, None)).mean("step", skipna=False) > LEARNED) | unknown for half in halves(spectra)
    )
    return low, high


def starts_late(spectra: xr.Dataset) -> xr.DataArray:
    """Whether part of either half is learned by the first record from step 1 on, and that is a later one, per member
    (member,): what came before, and which half came first, was not recorded.
    """
    recorded = spectra["step"].sel(step=slice(1, None))
    if recorded.size == 0 or recorded[0] <= 1:
        return xr.zeros_like(spectra["member"], dtype=bool)
    learned = [abs(1 - half.sel(step=recorded[0], drop=True)) for half in halves(spectra)]
    return xr.concat(learned, "half").max("half") > LEARNED


def overshoot(spectra: xr.Dataset) -> xr.DataArray:
    """How far the remaining share of either half goes beyond start and target, per member (member,): 0 where it stays
    between 0 and 1, 2.3 where it once is 3.3, or -2.3.
    """
    if not (spectra["step"] >= 1).any():
        return xr.zeros_like(spectra["member"], dtype=float)
    beyond = [abs(half.sel(step=slice(1, None)) - 0.5).max("step") - 0.5 for half in halves(spectra)]
    return xr.concat(beyond, "half").max("half").clip(min=0)


def telling(spectra: xr.Dataset) -> xr.DataArray:
    """The filter widths (width,), as a mask, at which both parts carry energy."""
    return (spectra["low_share"] >= LEAST_SHARE) & (spectra["low_share"] <= 1 - LEAST_SHARE)
