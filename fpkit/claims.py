"""Claims: sentences of the paper made measurable, and what our measurements say of them.

A statistic is a number per member. Its value is the median over members, with a 95% bootstrap interval; where a claim
names a control, the same statistic is taken of the null, and value and interval are those of the difference. The
verdict compares the interval, never the value alone, with a bound that was set before the run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from fpkit.errors import UserError
from fpkit.statistics import STATISTIC_ARRAYS

COLUMNS = (
    "claim", "statement", "source", "experiment", "variant", "statistic", "value", "ci_low", "ci_high", "control",
    "bound", "verdict", "members", "censored", "why_not", "remark",
)  # fmt: skip
RESAMPLES = 9999
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


STATISTICS: dict[str, Callable[[xr.Dataset], xr.DataArray]] = {
    statistic.__name__: statistic
    for statistic in (
        first_order, hold_order, area_order, low_advantage, signal_before_best, noise_after_best, overfitting,
        test_accuracy, rate_correlation, rate_slope,
    )
}  # fmt: skip


def on_null(spectra: xr.Dataset, null: str, arrays: Sequence[str]) -> xr.Dataset:
    """The spectra with every quantity replaced by its control under `null`, whose name is then among the attributes.

    Args:
        arrays: those that a statistic is about to be taken of.

    Raises:
        UserError: one of them has no such control: the statistic would be that of the spectra themselves.
    """
    there = "null" in spectra.coords and null in spectra["null"]
    lacking = [name for name in arrays if not (there and f"control_{name}" in spectra)]
    if lacking:
        measure = spectra.attrs.get("measure", "the measure")
        raise UserError(f"{null}: {measure} computes no control of {' and '.join(lacking)}; leave it out of the claim")
    controls = {str(name): spectra[name].sel(null=null) for name in spectra if str(name).startswith("control_")}
    nulled = spectra.assign({name.removeprefix("control_"): values for name, values in controls.items()})
    return nulled.assign_attrs(null=null)


def judge(claim_id: str, claim: dict, variant: str, spectra: xr.Dataset) -> dict:
    """One row of `claims.csv`: the claim on one variant. Where there is no number or no interval, `remark` says why.

    Args:
        claim: the config entry as a plain dictionary. spectra: of the claim's measure; diverged members are left out.

    Raises:
        UserError: the claim names a control that was not computed.
    """
    name, null = claim["statistic"], claim["control"]
    kept = spectra.sel(member=~spectra["diverged"])
    nulled = on_null(kept, null, STATISTIC_ARRAYS[name]) if null else None
    values, control, counted, remark = np.array([]), np.nan, "", ""
    lacking = [array for array in STATISTIC_ARRAYS[name] if array not in kept]
    if lacking:
        remark = f"{name} needs {' and '.join(lacking)}, which the run does not have"
    else:
        try:
            counted = censored(kept, name)
            values = STATISTICS[name](kept).to_numpy()
            if nulled is not None:
                under = STATISTICS[name](nulled).to_numpy()
                values, control = values - under, np.median(under) if len(under) else np.nan
        except Exception as error:  # whatever one variant's spectra hold, the other claims are judged
            traceback.print_exc(file=sys.stdout)
            values, remark = np.array([]), " ".join(f"{name} failed: {type(error).__name__}: {error}".split())
    value, low, high = _known_interval(values)
    known = int(np.isfinite(values).sum())
    if kept.sizes["member"] == 0:
        remark = "all members diverged"
    elif not remark and known == 0:
        remark = f"{name} is undefined for every member"
    elif not remark and not np.isfinite([low, high]).all():
        few = "one member alone has no interval"
        remark = few if known == 1 else f"{name} is undefined for {len(values) - known} of {len(values)} members"
    kind, bound = next((kind, bound) for kind, bound in claim["bound"].items() if bound is not None)
    found = verdict(low, high, kind, bound)
    return {
        "claim": claim_id,
        "statement": claim["statement"],
        "source": claim["source"],
        "experiment": claim["experiment"],
        "variant": variant,
        "statistic": f"{name} - {name} under {null}" if null else name,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "control": control,
        "bound": f"{'>=' if kind == 'at_least' else '<='} {bound:g}",
        "verdict": found,
        "members": f"{kept.sizes['member']} of {spectra.sizes['member']}",
        "censored": counted,
        "why_not": (claim["why_not"] or "") if found == "does not hold" else "",
        "remark": remark,
    }


def read_claims(path: str | Path, rows: int, **options) -> pd.DataFrame:
    """The table that was written from `rows` rows of `judge`; options are those of `pandas.read_csv`.

    Raises UserError where it is damaged.
    """
    try:
        table = pd.read_csv(path, **options)
        whole = tuple(table.columns) == COLUMNS and len(table) == rows and Path(path).read_bytes().endswith(b"\n")
    except ValueError:  # no table at all
        whole = False
    if not whole:
        raise UserError(f"{path}: damaged (not the {rows} rows once written); delete it, the next run makes it anew")
    return table


def verdict(low: float, high: float, kind: str, bound: float) -> str:
    """`holds` or `does not hold` where all of [low, high] lies on one side of the bound, or `undecided`."""
    if not np.isfinite([low, high]).all():
        return "undecided"
    if kind == "at_most":
        low, high, bound = -high, -low, -bound
    return "holds" if low >= bound else "does not hold" if high < bound else "undecided"


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


def _known_interval(values: np.ndarray) -> tuple[float, float, float]:
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


def censored(spectra: xr.Dataset, statistic: str) -> str:
    """How many of the followed (member, frequency) pairs were never captured, as `3 of 80`; empty without passages."""
    passage = {"first_order": "first_passage", "hold_order": "hold_passage"}.get(statistic)
    if passage is None:
        return ""
    followed = spectra[passage].where(spectra["followed"], drop=True)
    return f"{int(followed.isnull().sum())} of {followed.size}"


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
