"""The lead, and beside it the paper's rank correlations: of variants in rows, or over what they differ in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from fpkit.claims.halves import halves, open_ends
from fpkit.claims.statistics import first_order, hold_order, lead
from fpkit.config.names import NULLS
from fpkit.figures import style

LEAD = "lead\n(decades of training)"
RANK = "rank correlation of\nfrequency and passage"
# The run ends before the high half is learned: with more training, the lead would grow; before the low one: fall.
LOWER, UPPER, NEITHER = "lower bound", "upper bound", "no bound yet"
SIGNS = {LOWER: "\N{GREATER-THAN OR EQUAL TO}", UPPER: "\N{LESS-THAN OR EQUAL TO}", NEITHER: "~"}
# Within a row, the members lie so far above and below the median.
JITTER = 0.2
# Points from the last mark of a lead to the sign that it is a lower bound.
APART = 6
NULL_LINES = {"share": ":", "paces": "--"}
PASSAGES = ((first_order, style.LOW, "o"), (hold_order, style.HIGH, "s"))


def lead_of(spectra: xr.Dataset) -> xr.DataArray:
    """The lead (member,) of the members that did not diverge, in decades of training."""
    return lead(style.kept(spectra))


def bound(spectra: xr.Dataset) -> str:
    """What the lead is, if with more training that of some member might grow or fall: `LOWER`, `UPPER`, `NEITHER`."""
    falls, grows = (bool(side.any()) for side in open_ends(style.kept(spectra)))
    return {(True, True): NEITHER, (True, False): UPPER, (False, True): LOWER}.get((falls, grows), "")


def words(spectra: xr.Dataset) -> str:
    """Median lead and its interval, for a title: `lead 0.83 [0.68, 0.94] decades`; `≥`, and open above, where it is a
    lower bound, `≤` where an upper one, `~` where neither is known yet.
    """
    value, low, high = style.interval_of(style.known_by_most(lead_of(spectra)))
    if not np.isfinite(value):
        return "lead unknown"
    told = bound(spectra)
    lower = "(-\N{INFINITY}" if told == UPPER else f"[{low:.2f}"
    upper = "\N{INFINITY})" if told == LOWER else f"{high:.2f}]"
    ends = f" {lower}, {upper}" if np.isfinite([low, high]).all() else ""
    sign = f"{SIGNS[told]} " if told else ""
    return f"lead {sign}{value:.2f}{ends} decades"


def null_halves(axes: Axes, spectra: xr.Dataset, low, high) -> None:
    """Of each null the remaining share of the low and of the high half, median over members: mean and range over draws.

    Args:
        spectra: of members that did not diverge. low, high: colours.
    """
    for null in spectra["null"].to_numpy():
        control = halves(spectra.sel(null=null), "control_remaining")
        for values, color, name in zip(control, (low, high), ("low half", "high half"), strict=True):
            drawn = values.median("member").transpose("draw", "step")
            axes.fill_between(drawn["step"], drawn.min("draw"), drawn.max("draw"), color=color, alpha=0.1, lw=0)
            label = f"{NULLS[null]}, {name}"
            axes.plot(drawn["step"], drawn.mean("draw"), NULL_LINES[null], color=color, linewidth=0.8, label=label)


def lead_rows(
    axes: Axes, spectra: Sequence[xr.Dataset], titles: Sequence[str] | None = None, looks: Sequence[dict] | None = None
) -> None:
    """The lead, a row for each variant: members, their median with its interval, and a sign at lower bounds.

    Args:
        titles: of the rows; left out, those of the variants. looks: `color` and `marker` of each.
    """
    looks = looks or [{"color": style.LOW, "marker": "o"}] * len(spectra)
    for row, (variant, look) in enumerate(zip(spectra, looks, strict=True)):
        _lead(axes, row, variant, horizontal=True, **look)
    _rows(axes, spectra, titles)
    axes.set_xlabel(LEAD)


def leads_over(axes: Axes, places: Sequence[float], spectra: Sequence[xr.Dataset], color, marker: str = "o") -> None:
    """The lead of each variant at its place on the x axis, as in `lead_rows`, the medians joined by a line."""
    medians = [
        _lead(axes, place, variant, horizontal=False, color=color, marker=marker)
        for place, variant in zip(places, spectra, strict=True)
    ]
    axes.plot(places, medians, color=color, linewidth=1)
    axes.axhline(0, color=style.TARGET, linewidth=0.5)
    axes.set_ylabel(LEAD)


def order_rows(
    axes: Axes, spectra: Sequence[xr.Dataset], titles: Sequence[str] | None = None, looks: Sequence[dict] | None = None
) -> None:
    """Rank correlation of frequency and passage, a row for each variant: `first` and `hold` with their intervals.

    Args:
        titles: of the rows. looks: `color` and `marker` of each variant, of which `first` alone is shown then.
    """
    rows = np.arange(len(spectra))
    if looks:
        for row, variant, look in zip(rows, spectra, looks, strict=True):
            values = first_order(style.kept(variant))
            _members(axes, row, values, horizontal=True, **look)
            style.intervals(axes, [row], [values], linestyle="", **look)
    else:
        for (statistic, color, marker), shift in zip(PASSAGES, (-0.15, 0.15), strict=True):
            values = [statistic(style.kept(variant)) for variant in spectra]
            name = f"{statistic.__name__.split('_')[0]} passage"
            style.intervals(axes, rows + shift, values, fmt=marker, color=color, label=name)
    _rows(axes, spectra, titles)
    axes.set(xlim=(-1.1, 1.1), xlabel=RANK)


def handles(axes: Axes, color=style.LOW) -> list[Line2D]:
    """What a legend says of the marks of the leads drawn on `axes`; of bounds only where there are any."""
    options = {"color": color, "linestyle": ""}
    marks = [
        Line2D([], [], marker="o", markersize=4, label="median [exact interval]", **options),
        Line2D([], [], marker="o", markersize=2, alpha=0.5, label="members", **options),
    ]
    signs = {line.get_gid(): line.get_marker() for line in axes.lines if line.get_gid() in (LOWER, UPPER, NEITHER)}
    return marks + [
        Line2D([], [], marker=sign, markersize=5, mfc="none", label=f"{told} of the lead", **options)
        for told, sign in sorted(signs.items())
    ]


def _rows(axes: Axes, spectra: Sequence[xr.Dataset], titles: Sequence[str] | None) -> None:
    axes.axvline(0, color=style.TARGET, linewidth=0.5)
    axes.set_ylim(len(spectra) - 0.5, -0.5)
    axes.set_yticks(range(len(spectra)), titles or style.short_titles(spectra))


def _lead(axes: Axes, place: float, spectra: xr.Dataset, horizontal: bool, color, marker: str) -> float:
    """One variant's lead at `place` of the other axis; its median."""
    values = lead_of(spectra)
    _members(axes, place, values, horizontal, color, marker)
    style.intervals(axes, [place], [values], horizontal, linestyle="", color=color, marker=marker)
    if values.notnull().any() and (told := bound(spectra)):
        apart = -APART / 72 if told == UPPER else APART / 72
        along = (apart, 0) if horizontal else (0, apart)
        beyond = axes.transData + ScaledTranslation(*along, axes.figure.dpi_scale_trans)
        ends = np.array([*values.to_numpy(), *style.interval_of(values)[1:]])
        ends = ends[np.isfinite(ends)]  # of few members, the interval has none
        last = ends.min() if told == UPPER else ends.max()
        at = (last, place) if horizontal else (place, last)
        sign = {LOWER: ">^", UPPER: "<v", NEITHER: "DD"}[told][not horizontal]
        axes.plot(*[[x] for x in at], sign, color=color, markerfacecolor="none", markersize=4, transform=beyond,
                  clip_on=False, gid=told)  # fmt: skip
    return float(style.known_by_most(values).median())


def _members(axes: Axes, place: float, values: xr.DataArray, horizontal: bool, color, marker: str) -> None:
    """Small marks, beside each other within a row."""
    if horizontal:
        at = (values, place + np.linspace(-JITTER, JITTER, values.size))
    else:
        at = (np.full(values.size, place), values)
    axes.plot(*at, linestyle="", marker=marker, color=color, markersize=2, alpha=0.5, markeredgewidth=0)
