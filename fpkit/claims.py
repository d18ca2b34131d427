"""Claims: sentences of the paper made measurable, and what our measurements say of them.

A statistic is a number per member. Its value is the median over members, with a 95% bootstrap interval; where a claim
names a control, the same statistic is taken of the null, and value and interval are those of the difference. The
verdict compares the interval, never the value alone, with a bound that was set before the run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats
import xarray as xr

COLUMNS = (
    "claim", "statement", "source", "experiment", "variant", "statistic", "value", "ci_low", "ci_high", "control",
    "bound", "verdict", "members", "censored",
)  # fmt: skip
RESAMPLES = 9999
# A filter width says something where both parts of the target carry at least this share of its energy.
LEAST_SHARE = 0.1


def first_order(spectra: xr.Dataset) -> xr.DataArray:
    """Spearman's rank correlation of frequency and first passage, per member (member,); 1 is low to high.

    Frequencies never captured rank last, together.
    """
    return _rank_correlation(spectra, "first_passage")


def hold_order(spectra: xr.Dataset) -> xr.DataArray:
    """The same for the hold passage."""
    return _rank_correlation(spectra, "hold_passage")


def area_order(spectra: xr.Dataset) -> xr.DataArray:
    """The same for the area under min(error, 1), which needs no threshold."""
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


STATISTICS: dict[str, Callable[[xr.Dataset], xr.DataArray]] = {
    statistic.__name__: statistic for statistic in (first_order, hold_order, area_order, low_advantage)
}


def on_null(spectra: xr.Dataset, null: str) -> xr.Dataset:
    """The spectra with every quantity replaced by its control under `null`."""
    controls = {str(name): spectra[name].sel(null=null) for name in spectra if str(name).startswith("control_")}
    return spectra.assign({name.removeprefix("control_"): values for name, values in controls.items()})


def judge(claim_id: str, claim: dict, variant: str, spectra: xr.Dataset) -> dict:
    """One row of `claims.csv`: the claim on one variant.

    Args:
        claim: the config entry as a plain dictionary. spectra: of the claim's measure; diverged members are left out.
    """
    statistic = STATISTICS[claim["statistic"]]
    kept = spectra.sel(member=~spectra["diverged"])
    control = statistic(on_null(kept, claim["control"])).to_numpy() if claim["control"] else None
    bare = statistic(kept).to_numpy()
    values = bare if control is None else bare - control
    value, low, high = median_interval(values)
    kind, bound = next((kind, bound) for kind, bound in claim["bound"].items() if bound is not None)
    name = claim["statistic"]
    return {
        "claim": claim_id,
        "statement": claim["statement"],
        "source": claim["source"],
        "experiment": claim["experiment"],
        "variant": variant,
        "statistic": name if control is None else f"{name} - {name} under {claim['control']}",
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "control": np.nan if control is None else np.median(control),
        "bound": f"{'>=' if kind == 'at_least' else '<='} {bound:g}",
        "verdict": verdict(low, high, kind, bound),
        "members": f"{kept.sizes['member']} of {spectra.sizes['member']}",
        "censored": censored(kept, claim["statistic"]),
    }


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
    interval = scipy.stats.bootstrap(
        (values,), np.median, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0), vectorized=True
    ).confidence_interval
    # Interpolation between equal values may miss them by the last bit.
    return median, *np.clip([interval.low, interval.high], [values.min(), median], [median, values.max()]).tolist()


def censored(spectra: xr.Dataset, statistic: str) -> str:
    """How many of the followed (member, frequency) pairs were never captured, as `3 of 80`; empty without passages."""
    passage = {"first_order": "first_passage", "hold_order": "hold_passage"}.get(statistic)
    if passage is None:
        return ""
    followed = spectra[passage].where(spectra["followed"], drop=True)
    return f"{int(followed.isnull().sum())} of {followed.size}"


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
        return round(float(scipy.stats.spearmanr(frequency, values).statistic), 12)

    return xr.DataArray([correlation(values) for values in followed.to_numpy()], coords={"member": followed["member"]})
