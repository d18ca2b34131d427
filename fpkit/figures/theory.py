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
    """Draws a dot for each member, in the colour of the frequency; returns in words what is said of them."""
    rates = {name: spectra[f"{name}_rate"].transpose("frequency", "member") for name in ("predicted", "measured")}
    for color, predicted, measured in zip(
        style.ordered_colors(spectra.sizes["frequency"]), *(rate.to_numpy() for rate in rates.values()), strict=True
    ):
        axes.plot(predicted, measured, "o", color=color, ms=3, alpha=0.7, markeredgewidth=0)
    both = np.concatenate([rate.to_numpy().ravel() for rate in rates.values()])
    if (both > 0).any():
        ends = np.array([both[both > 0].min(), np.nanmax(both)])
        axes.plot(ends, ends, color=style.NULL, linewidth=0.8, linestyle="--", label="equal", zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="predicted rate (1 / step)", ylabel="measured rate (1 / step)")
    style.legend(axes)
    told = {"slope": rate_slope(spectra), "rank correlation": rate_correlation(spectra)}
    if spectra["kernel_change"].notnull().any():
        told["kernel changed by"] = spectra["kernel_change"]
    words = [f"{name} {float(values.median()):.2f}" for name, values in told.items() if values.notnull().any()]
    unmeasured = int(rates["measured"].isnull().sum())
    words += [f"{unmeasured} of {rates['measured'].size} rates not measured"] if unmeasured else []
    return "\n".join(", ".join(words[first : first + 2]) for first in range(0, len(words), 2))


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
    axes.scatter(frequencies, np.full(len(frequencies), 0.02), 10, colors, "s", transform=axes.get_xaxis_transform())
    style.legend(axes, ncols=3, fontsize="x-small")
