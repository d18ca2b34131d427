"""Statistics: a number for each member, made of its spectra; what each is taken of says `fpkit.config.statistics`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

# A filter width says something where both parts of the target carry at least this share of its energy.
LEAST_SHARE = 0.1
# A frequency belongs to the clean target from this fraction of its largest amplitude on.
SIGNAL_HEIGHT = 0.1


def first_order(spectra: xr.Dataset) -> xr.DataArray:
    """Spearman's rank correlation of frequency and first passage, per member (member,); 1 is low to high.

    Frequencies never captured rank last, together; NaN where none ever was: what captured nothing has no order.
    """
    return _rank_correlation(spectra, "first_passage")


def hold_order(spectra: xr.Dataset) -> xr.DataArray:
    """The same for the hold passage."""
    return _rank_correlation(spectra, "hold_passage")


def area_order(spectra: xr.Dataset) -> xr.DataArray:
    """The same for the area under min(error, 1), of members that captured any frequency, whatever its area says."""
    return _rank_correlation(spectra, "area")


def low_advantage(spectra: xr.Dataset) -> xr.DataArray:
    """Mean of log10(e_high / e_low) over log step and widths (member,): by how many decades the low part is ahead.

    Over the widths at which both parts carry energy.
    """
    telling = spectra.where(
        (spectra["low_share"] >= LEAST_SHARE) & (spectra["low_share"] <= 1 - LEAST_SHARE), drop=True
    )
    telling = telling.sel(step=slice(1, None))
    if telling.sizes["width"] == 0:
        return xr.full_like(spectra["member"], np.nan, dtype=float)
    ratio = np.log10(telling["high_error"] / telling["low_error"]).mean("width", skipna=False)
    if ratio.sizes["step"] == 1:
        return ratio.isel(step=0, drop=True)
    ratio = ratio.assign_coords(step=np.log10(ratio["step"]))
    return ratio.integrate("step") / float(ratio["step"][-1] - ratio["step"][0])


def best_step(spectra: xr.Dataset) -> xr.DataArray:
    """The recorded step with the lowest validation loss (member,): where early stopping would stop."""
    return spectra["step"].isel(step=spectra["loss_validation"].argmin("step")).drop_vars("step")


def signal(spectra: xr.Dataset) -> xr.DataArray:
    """The frequencies (frequency) that the target has without its noise."""
    amplitude = np.sqrt((spectra["clean_amplitude"] ** 2).sum("output"))
    return amplitude >= SIGNAL_HEIGHT * amplitude.where(amplitude["frequency"] > 0).max()


def signal_before_best(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the clean target's frequencies that are captured by the best step, per member (member,)."""
    captured = spectra["first_passage"] <= best_step(spectra)
    return captured.where(spectra["followed"] & signal(spectra)).mean("frequency")


def noise_after_best(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the other followed frequencies that are not captured by the best step, per member (member,).

    NaN where no followed frequency ever is: what captured nothing captures noise no later than anything else.
    """
    captured = spectra["first_passage"] <= best_step(spectra)
    late = 1 - captured.where(spectra["followed"] & ~signal(spectra)).mean("frequency")
    return late.where(_captured_any(spectra, "first_passage"))


def overfitting(spectra: xr.Dataset) -> xr.DataArray:
    """Final test loss over that of the best step, per member (member,): what early stopping saves."""
    best = spectra["loss_test"].isel(step=spectra["loss_validation"].argmin("step"))
    return spectra["loss_test"].isel(step=-1).drop_vars("step") / best.drop_vars("step")


def test_accuracy(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the test samples that are classified correctly at the end, per member (member,)."""
    return spectra["accuracy_test"].isel(step=-1).drop_vars("step")


def rate_correlation(spectra: xr.Dataset) -> xr.DataArray:
    """Spearman's rank correlation of predicted and measured decay rates over frequencies, per member (member,)."""
    return _over_rates(spectra, _spearman)


def rate_slope(spectra: xr.Dataset) -> xr.DataArray:
    """Slope of log measured against log predicted decay rate over frequencies, per member (member,); theory says 1."""
    return _over_rates(spectra, lambda predicted, measured: np.polyfit(np.log(predicted), np.log(measured), 1)[0])


def kernel_change(spectra: xr.Dataset) -> xr.DataArray:
    """By what share of itself the neural tangent kernel changed in training, per member (member,)."""
    return spectra["kernel_change"]


def _captured_any(spectra: xr.Dataset, passage: str) -> xr.DataArray:
    """Whether a member (member,) captured any followed frequency; of a null, which never learned, it is not asked."""
    if "null" in spectra.attrs:
        return xr.ones_like(spectra["member"], bool)
    return (spectra[passage].notnull() & spectra["followed"]).any("frequency")


def _rank_correlation(spectra: xr.Dataset, quantity: str) -> xr.DataArray:
    followed = spectra[quantity].where(spectra["followed"], drop=True).transpose("member", "frequency")
    if quantity != "area":
        followed = followed.fillna(np.inf)
    frequency = followed["frequency"].to_numpy()

    def correlation(values: np.ndarray) -> float:
        # Undefined for fewer than two frequencies; no order at all where every frequency is captured at once.
        if len(values) < 2 or np.isnan(values).any():
            return np.nan
        if (values == values[0]).all():
            return 0.0
        # Rounded: a perfect order is 1, and not the float below it.
        return round(_spearman(frequency, values), 12)

    orders = xr.DataArray([correlation(row) for row in followed.to_numpy()], coords={"member": followed["member"]})
    return orders.where(_captured_any(spectra, "hold_passage" if quantity == "hold_passage" else "first_passage"))


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of ranks, equal values sharing one; NaN where a side has equal values only."""
    ranks = pd.DataFrame({"one": one, "other": other}).rank() - (len(one) + 1) / 2
    product = np.sqrt((ranks["one"] ** 2).sum() * (ranks["other"] ** 2).sum())
    return float((ranks["one"] * ranks["other"]).sum() / product) if product > 0 else np.nan


def _over_rates(spectra: xr.Dataset, summarize: Callable[[np.ndarray, np.ndarray], float]) -> xr.DataArray:
    """A number (member,) from the decay rates at the frequencies where both are known and positive."""
    results = []
    for seed in spectra["member"]:
        predicted, measured = (
            spectra[f"{name}_rate"].sel(member=seed).to_numpy() for name in ("predicted", "measured")
        )
        known = (predicted > 0) & (measured > 0)
        results.append(summarize(predicted[known], measured[known]) if known.sum() > 2 else np.nan)
    return xr.DataArray(results, coords={"member": spectra["member"]})
