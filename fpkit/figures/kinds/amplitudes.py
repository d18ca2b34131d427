"""`amplitudes`: the lead, and the order by the relative error, where amplitude grows with frequency."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.figures import leads, style

# Panels beside each other.
COLUMNS = 2


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Targets whose amplitude grows as a power of frequency, their passages, lead and order against the exponent.

    Args:
        spectra: results of `fft`, one for each variant. Those whose amplitudes follow no power law, or that have
            other frequencies than the first, get an error map each.
    """
    frequencies = _peaks(spectra[0])["frequency"].to_numpy()
    family = [v for v in spectra if np.array_equal(_peaks(v)["frequency"], frequencies)]
    others = [v for v in spectra if not np.array_equal(_peaks(v)["frequency"], frequencies)]
    width = plt.rcParams["figure.figsize"][0]
    rows = -(-len(others) // COLUMNS)
    figure, axes = plt.subplots(
        2 + rows, COLUMNS, figsize=(width, width * (0.5 + 0.25 * rows) + style.lines(20 + 5 * rows))
    )
    (targets, passages), (order, ahead) = axes[:2]
    for color, variant in zip(style.ordered_colors(len(family)), family, strict=True):
        peaks, label = _peaks(variant), f"$k^{{{_exponent(variant):.0f}}}$"
        targets.plot(peaks["frequency"], peaks / peaks.max(), "o-", color=color, markersize=3, label=label)
        style.passage_ranges(passages, variant, "first_passage", color, marker="o", markersize=3, label=label)
    _orders(order, ahead, family)
    units = spectra[0]["frequency"].attrs["units"]
    targets.set(xlabel=f"frequency\n({units})", ylabel="|F[y]|, largest = 1", yscale="log")
    style.plain_log(targets.yaxis)
    targets.set_ylim(bottom=min(targets.get_ylim()[0], 0.5), top=1.3)  # of equal ones, not their rounding errors
    passages.set(xlabel=f"frequency\n({units})", ylabel="first passage\n(training step)", yscale="log")
    style.legend(targets, ncols=2)
    titles = ("Targets", "Passages: median, range", "Order by relative error", "Lead by remaining share")
    for ax, letter, title in zip(axes.flat, "abcd", titles, strict=False):
        style.panel(ax, letter, title)
    letters = (chr(ord("e") + index) for index in range(len(others)))
    for ax, letter, variant in zip(axes[2:].flat, letters, others, strict=False):
        error = variant["relative_error"].where(variant["followed"], drop=True).median("member")
        style.heat_map(ax, error, "frequency", "relative error", vmin=0, vmax=1)
        ax.set_ylabel(f"frequency\n({units})")
        lead = leads.words(variant).replace(" [", "\n[")
        style.panel(ax, letter, f"{style.variant_title(variant)}\n{lead}")
    for ax in axes.flat[4 + len(others) :]:
        ax.set_visible(False)
    style.diverged_note(figure, spectra)
    return figure


def _peaks(spectra: xr.Dataset) -> xr.DataArray:
    """|F[y]| at the followed frequencies."""
    return np.sqrt((spectra["target_amplitude"] ** 2).sum("output")).where(spectra["followed"], drop=True)


def _exponent(spectra: xr.Dataset) -> float:
    """p in |F[y]| ~ k^p, fitted; numerically zero is zero."""
    peaks = _peaks(spectra)
    return round(float(np.polyfit(np.log(peaks["frequency"]), np.log(peaks), 1)[0]), 3) + 0.0


def _orders(order: Axes, ahead: Axes, family: list[xr.Dataset]) -> None:
    """Over the exponent: the rank correlations of passages of the relative error, and the lead."""
    exponents = [_exponent(variant) for variant in family]
    for statistic, color, marker in leads.PASSAGES:
        values = [statistic(style.kept(variant)) for variant in family]
        name = f"{statistic.__name__.split('_')[0]} passage"
        style.intervals(order, exponents, values, horizontal=False, color=color, marker=marker, label=name)
    order.axhline(0, color=style.TARGET, linewidth=0.5)
    order.set(ylim=(-1.05, 1.05), ylabel=leads.RANK)
    leads.leads_over(ahead, exponents, family, style.LOW)
    for ax in (order, ahead):
        ax.set(xlabel="exponent of the amplitude", xticks=np.unique(np.round(exponents)))
    style.legend(order, ncols=1)
    style.legend(ahead, ncols=1, handles=leads.handles(ahead))
