"""Statistics: a number for each member, made of its spectra; what each is taken of says `fpkit.config.statistics`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from fpkit.claims import halves, intervals

# A frequency belongs to the clean target from this fraction of its largest amplitude on.
SIGNAL_HEIGHT = 0.1
# A line, or a rank correlation of rates, takes more than two points.
FEWEST_FREQUENCIES = 3
# Of two frequencies one is predicted to be the faster where its rate is larger by this factor.
FASTER = 1.5


def lead(spectra: xr.Dataset) -> xr.DataArray:
    """By how many decades of training the low frequencies are ahead of the high ones, per member (member,).

    The integral over log10(step), from step 1 to the end, of the remaining share of the upper half of the followed
    frequencies less that of the lower half (of an odd number, without the middle one). Each half is pooled by the
    energy that its frequencies start with. Of a filter, the mean over the widths at which both parts carry energy.

    Where the first record from step 1 on is a later one, neither half is ahead at step 1. NaN with fewer than two
    followed frequencies, with a single record from step 1 on, or where `fpkit.claims.halves.starts_late`. What it might
    still become tells `fpkit.claims.halves.open_ends`.
    """
    low, high = halves.halves(spectra)
    ahead = (high - low).sel(step=slice(1, None))
    if ahead.sizes["step"] < 2:
        return xr.full_like(spectra["member"], np.nan, dtype=float)
    ahead = ahead.assign_coords(step=np.log10(ahead["step"]))
    since_start = float(ahead["step"][0]) * ahead.isel(step=0, drop=True) / 2
    return (ahead.integrate("step") + since_start).where(~halves.starts_late(spectra))


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


def passage_exponent(spectra: xr.Dataset) -> xr.DataArray:
    """Slope of log first passage against log frequency, per member (member,): passage grows as frequency to this power.

    By least squares over the followed frequencies that are captured, from step 1 on; NaN of fewer than three. Shallow
    networks on the circle have it at 2 under gradient descent: the eigenvalues of their kernel fall as the frequency
    to the power of -2 (Bietti, Mairal 2019; Basri et al. 2019).
    """
    passage = spectra["first_passage"].where(spectra["followed"]).transpose("member", "frequency")
    frequency = passage["frequency"].to_numpy()

    def exponent(steps: np.ndarray) -> float:
        told = (frequency > 0) & (steps >= 1)
        if told.sum() < FEWEST_FREQUENCIES:
            return np.nan
        return float(np.polyfit(np.log(frequency[told]), np.log(steps[told]), 1)[0])

    return _for_each(spectra, [exponent(row) for row in passage.to_numpy()])


def captured(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the followed frequencies that are captured at all, per member (member,)."""
    return spectra["first_passage"].notnull().where(spectra["followed"]).mean("frequency")


def low_advantage(spectra: xr.Dataset) -> xr.DataArray:
    """Mean of log10(e_high / e_low) over log step and widths (member,): by how many decades the low part is ahead.

    Over the widths at which both parts carry energy.
    """
    telling = spectra.isel(width=halves.telling(spectra).to_numpy()).sel(step=slice(1, None))
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
    """Fraction of the other followed frequencies that are captured later than the best step, per member (member,).

    What is never captured is not captured later. NaN where no followed frequency ever is.
    """
    late = (spectra["first_passage"] > best_step(spectra)).where(spectra["followed"] & ~signal(spectra))
    return late.mean("frequency").where(_captured_any(spectra, "first_passage"))


def overfitting(spectra: xr.Dataset) -> xr.DataArray:
    """Final test loss over that of the best step, per member (member,): what early stopping saves."""
    best = spectra["loss_test"].isel(step=spectra["loss_validation"].argmin("step"))
    return spectra["loss_test"].isel(step=-1).drop_vars("step") / best.drop_vars("step")


def train_accuracy(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the training samples that are classified correctly at the end, per member (member,)."""
    return spectra["accuracy_train"].isel(step=-1).drop_vars("step")


def test_accuracy(spectra: xr.Dataset) -> xr.DataArray:
    """Fraction of the test samples that are classified correctly at the end, per member (member,)."""
    return spectra["accuracy_test"].isel(step=-1).drop_vars("step")


def predicted_order(spectra: xr.Dataset) -> xr.DataArray:
    """Spearman's rank correlation of frequency and predicted slowness (member,); 1: the lower, the faster.

    NaN with fewer than three predicted rates.
    """
    frequency = spectra["frequency"].to_numpy()

    def order(predicted: np.ndarray) -> float:
        known = predicted > 0
        return _spearman(frequency[known], -predicted[known]) if known.sum() >= FEWEST_FREQUENCIES else np.nan

    predicted = spectra["predicted_rate"].transpose("member", "frequency").to_numpy()
    return _for_each(spectra, [order(row) for row in predicted])


def rate_correlation(spectra: xr.Dataset) -> xr.DataArray:
    """Spearman's rank correlation of predicted and measured decay rates over frequencies, per member (member,)."""
    return _over_rates(spectra, _spearman)


def rate_slope(spectra: xr.Dataset) -> xr.DataArray:
    """Slope of log measured against log predicted decay rate over frequencies, per member (member,); theory says 1."""
    return _over_rates(spectra, lambda predicted, measured: np.polyfit(np.log(predicted), np.log(measured), 1)[0])


def kernel_change(spectra: xr.Dataset) -> xr.DataArray:
    """By what share of itself the neural tangent kernel changed in training, per member (member,)."""
    return spectra["kernel_change"]


def violations_seen(spectra: xr.Dataset) -> xr.DataArray:
    """Of what theory predicts to be learned against the order of frequencies, the fraction that is (member,).

    Of the pairs of frequencies of which the higher is predicted to be faster, by a factor of 1.5 at least, those whose
    measured rates are in that order; rates that were not measured are in none. NaN without such a pair.
    """

    def seen(predicted: np.ndarray, measured: np.ndarray) -> float:
        violated = np.triu((predicted > 0) & (predicted >= FASTER * predicted[:, None]) & (predicted[:, None] > 0), 1)
        return float((measured > measured[:, None])[violated].mean()) if violated.any() else np.nan

    return _of_rates(spectra.sortby("frequency"), seen)


def _for_each(spectra: xr.Dataset, values: list[float]) -> xr.DataArray:
    """A number for each member."""
    return xr.DataArray(np.array(values, float), coords={"member": spectra["member"]})


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

    orders = _for_each(spectra, [correlation(row) for row in followed.to_numpy()])
    return orders.where(_captured_any(spectra, "hold_passage" if quantity == "hold_passage" else "first_passage"))


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of ranks, equal values sharing one; NaN where a side has equal values only."""
    one, other = (intervals.ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    product = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / product) if product > 0 else np.nan


def _over_rates(spectra: xr.Dataset, summarize: Callable[[np.ndarray, np.ndarray], float]) -> xr.DataArray:
    """A number (member,) from the decay rates at the frequencies where both are known and positive."""

    def over_known(predicted: np.ndarray, measured: np.ndarray) -> float:
        known = (predicted > 0) & (measured > 0)
        return summarize(predicted[known], measured[known]) if known.sum() >= FEWEST_FREQUENCIES else np.nan

    return _of_rates(spectra, over_known)


def _of_rates(spectra: xr.Dataset, summarize: Callable[[np.ndarray, np.ndarray], float]) -> xr.DataArray:
    """A number (member,) from the predicted and the measured decay rates (frequency,) of each member."""
    rates = [spectra[f"{name}_rate"].transpose("member", "frequency").to_numpy() for name in ("predicted", "measured")]
    return _for_each(spectra, [summarize(*pair) for pair in zip(*rates, strict=True)])
