"""`theory`: decay rates as the neural tangent kernel predicts them, at the start and at the end, and as measured."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fpkit.claims.statistics import rate_correlation, rate_slope
from fpkit.figures import style

# Up to so many frequencies each has a tick of its own.
MOST_TICKS = 10


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: measured against predicted decay rates, and the rates by frequency.

    Args:
        spectra: results of `ntk`, one for each variant.
    """
    width, rows = plt.rcParams["figure.figsize"][0], len(spectra)
    figure, axes = plt.subplots(rows, 2, figsize=(width, (0.37 * rows + 0.08) * width), squeeze=False)
    for title, row, variant in zip(style.short_titles(spectra), axes, spectra, strict=True):
        if style.all_diverged(row, variant):
            continue
        shown = style.kept(variant)
        _against(row[0], shown)
        _by_frequency(row[1], shown)
        row[0].set_title(f"{title} ({style.members_note(variant)})\n{_rates_in_words(shown)}", loc="left")
        row[1].set_title(_kernel_in_words(shown), loc="left")
    handles = {
        label: handle for one in axes.flat for handle, label in zip(*one.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), columnspacing=1)
    style.diverged_note(figure, spectra)
    return figure


def _rates_in_words(spectra: xr.Dataset) -> str:
    told = {"slope": rate_slope(spectra), "rank correlation": rate_correlation(spectra)}
    return ", ".join(f"{name} {float(values.median()):.2f}" for name, values in told.items() if values.notnull().any())


def _kernel_in_words(spectra: xr.Dataset) -> str:
    change, unmeasured = spectra["kernel_change"], int(spectra["measured_rate"].isnull().sum())
    lines = [f"kernel changed by {float(change.median()):.2g} of its norm"] if change.notnull().any() else []
    lines += [f"{unmeasured} of {spectra['measured_rate'].size} rates not measured"] if unmeasured else []
    return "\n".join(lines)


def _against(axes: Axes, spectra: xr.Dataset) -> None:
    """A dot for each member, in the colour of the frequency."""
    rates = [spectra[f"{name}_rate"].transpose("frequency", "member").to_numpy() for name in ("predicted", "measured")]
    for color, predicted, measured in zip(style.ordered_colors(spectra.sizes["frequency"]), *rates, strict=True):
        axes.plot(predicted, measured, "o", color=color, ms=3, alpha=0.7, markeredgewidth=0)
    both = np.ravel(rates)
    if (both > 0).any():
        ends = np.array([both[both > 0].min(), np.nanmax(both)])
        axes.plot(ends, ends, color=style.NULL, linewidth=0.8, linestyle="--", label="equal rates", zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="predicted rate (1 / step)", ylabel="measured rate (1 / step)")


def _by_frequency(axes: Axes, spectra: xr.Dataset) -> None:
    """Medians and their intervals; the end's prediction where the networks of the end were kept."""
    series = [("predicted", "predicted at the start", style.NULL, "s"), ("measured", "measured", style.LOW, "o")]
    if spectra["final_rate"].notnull().any():
        series.append(("final", "predicted at the end", style.HIGH, "^"))
    frequencies = spectra["frequency"].to_numpy()
    for shift, (name, label, color, marker) in zip(np.linspace(-0.12, 0.12, len(series)), series, strict=True):
        values = [spectra[f"{name}_rate"].sel(frequency=frequency) for frequency in frequencies]
        look = {"fmt": marker, "color": color, "label": label, "markersize": 3}
        style.intervals(axes, frequencies + shift, values, horizontal=False, **look)
    attributes = spectra["frequency"].attrs
    unit = "" if attributes["units"] == "1" else f" ({attributes['units']})"
    axes.set(yscale="log", xlabel=f"{attributes['long_name']}{unit}", ylabel="rate (1 / step)")
    if len(frequencies) <= MOST_TICKS:
        axes.set_xticks(frequencies)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # The colours of the dots above.
    colors = style.ordered_colors(len(frequencies))
    axes.scatter(
        frequencies, np.full(len(frequencies), 0.02), 10, colors, marker="s", transform=axes.get_xaxis_transform()
    )
