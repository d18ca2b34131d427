"""`theory`: decay rates as the neural tangent kernel at initialization predicts them, and as measured."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.intervals import median_interval
from fpkit.claims.statistics import rate_correlation, rate_slope
from fpkit.figures import style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A column for each variant: measured against predicted decay rates, and the rates by frequency.

    Args:
        spectra: results of `ntk`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    columns = len(spectra)
    figure, axes = plt.subplots(2, columns, figsize=(width, 0.82 * width if columns > 1 else width), squeeze=False)
    for column, variant in enumerate(spectra):
        if style.all_diverged(axes[:, column], variant):
            continue
        shown = style.kept(variant)
        found = _against(axes[0, column], shown)
        _by_frequency(axes[1, column], shown)
        title = f"{style.short_titles(spectra)[column]} ({style.members_note(variant)})\n{found}"
        axes[0, column].set_title(title, loc="left")
    style.diverged_note(figure, spectra)
    return figure


def _against(axes: Axes, spectra: xr.Dataset) -> str:
    """Draws, and returns slope and rank correlation in words."""
    frequencies = spectra["frequency"].to_numpy()
    for color, frequency in zip(style.ordered_colors(len(frequencies)), frequencies, strict=True):
        rates = spectra.sel(frequency=frequency)
        axes.plot(rates["predicted_rate"], rates["measured_rate"], "o", color=color, ms=3, label=f"{frequency:g}")
    both = np.concatenate([spectra[f"{name}_rate"].to_numpy().ravel() for name in ("predicted", "measured")])
    ends = np.array([np.nanmin(both[both > 0]), np.nanmax(both)])
    axes.plot(ends, ends, color=style.NULL, linewidth=0.8, linestyle="--", label="equal")
    slope, correlation = (median_interval(stat(spectra).to_numpy())[0] for stat in (rate_slope, rate_correlation))
    axes.set(xscale="log", yscale="log", xlabel="predicted rate (1 / step)", ylabel="measured rate (1 / step)")
    style.legend(axes, title="frequency", ncols=4, fontsize="x-small")
    return f"slope {slope:.2f}, rank correlation {correlation:.2f}"


def _by_frequency(axes: Axes, spectra: xr.Dataset) -> None:
    for name, color, marker in (("predicted", style.NULL, "s"), ("measured", style.LOW, "o")):
        rate = spectra[f"{name}_rate"]
        values = [rate.sel(frequency=frequency) for frequency in rate["frequency"]]
        style.intervals(axes, rate["frequency"], values, horizontal=False, fmt=marker, color=color, label=name)
    axes.set(yscale="log", xlabel=f"frequency ({spectra['frequency'].attrs['units']})", ylabel="rate (1 / step)")
    axes.set_xticks(spectra["frequency"].to_numpy())
    style.legend(axes)
