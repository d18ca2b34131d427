"""`amplitudes`: the order of frequencies where amplitude grows with frequency."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.statistics import first_order, hold_order
from fpkit.figures import style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Targets whose amplitude grows as a power of frequency, their passages, and the order against the exponent.

    Args:
        spectra: results of `fft`, one for each variant. Those whose amplitudes follow no power law, or that have
            other frequencies than the first, get an error map each.
    """
    frequencies = _peaks(spectra[0])["frequency"].to_numpy()
    family = [v for v in spectra if np.array_equal(_peaks(v)["frequency"], frequencies)]
    others = [v for v in spectra if not np.array_equal(_peaks(v)["frequency"], frequencies)]
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(
        1 + bool(others), max(3, len(others)), figsize=(width, width * (0.4 + 0.33 * bool(others))), squeeze=False
    )
    for color, variant in zip(style.ordered_colors(len(family)), family, strict=True):
        peaks, label = _peaks(variant), f"$k^{{{_exponent(variant):.0f}}}$"
        axes[0, 0].plot(peaks["frequency"], peaks / peaks.max(), "o-", color=color, markersize=3, label=label)
        style.passage_ranges(axes[0, 1], variant, "first_passage", color, marker="o", markersize=3, label=label)
    _order(axes[0, 2], family)
    units = spectra[0]["frequency"].attrs["units"]
    axes[0, 0].set(xlabel=f"frequency ({units})", ylabel="|F[y]|, largest = 1", yscale="log")
    axes[0, 1].set(xlabel=f"frequency ({units})", ylabel="first passage (training step)", yscale="log")
    style.legend(axes[0, 0], title="amplitude")
    for column, (letter, title) in enumerate(
        zip("abc", ("Targets", "Passages: median, range", "Order by exponent"), strict=True)
    ):
        style.panel(axes[0, column], letter, title)
    for ax, letter, variant in zip(axes[-1], "defgh", others, strict=False):
        error = variant["relative_error"].where(variant["followed"], drop=True).median("member").clip(0, 1)
        style.heat_map(ax, error, "frequency", "relative error (median)", vmin=0, vmax=1)
        ax.set_ylabel(f"frequency ({units})")
        style.panel(ax, letter, style.variant_title(variant))
    for ax in axes[-1, len(others) :] if others else ():
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


def _order(axes: Axes, family: list[xr.Dataset]) -> None:
    exponents = [_exponent(variant) for variant in family]
    for statistic, color, marker in ((first_order, style.LOW, "o"), (hold_order, style.HIGH, "s")):
        values = [statistic(style.kept(variant)) for variant in family]
        style.intervals(
            axes,
            exponents,
            values,
            horizontal=False,
            color=color,
            marker=marker,
            label=f"{statistic.__name__.split('_')[0]} passage",
        )
    axes.axhline(0, color=style.TARGET, linewidth=0.5)
    axes.set(ylim=(-1.05, 1.05), xlabel="exponent of the amplitude", ylabel="rank correlation")
    style.legend(axes, ncols=1)
