"""`graph`: what remains of the error by band of graph modes, and the mean frequency of outputs and errors."""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.halves import halves
from fpkit.figures import leads, style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: remaining share by band, by half of the bands beside the nulls, and mean frequencies.

    Args:
        spectra: results of `fpkit.measures.kinds.graph.decompose`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(
        len(spectra), 3, figsize=(width, (0.18 * width + style.lines(4)) * len(spectra) + style.lines(9)), squeeze=False
    )
    for index, (row, variant) in enumerate(zip(axes, spectra, strict=True)):
        if style.all_diverged(row, variant):
            continue
        _bands(row[0], variant)
        _halves(row[1], variant)
        _means(row[2], variant)
        note = f"{style.variant_title(variant)} ({style.members_note(variant)})\n{leads.words(variant)}"
        style.panel(row[0], "" if index else "a", "" if index else "Share by band", note)
        for ax in row:
            style.log_steps(ax, variant["step"])
            if variant is not spectra[-1]:
                ax.set_xlabel("")
    style.panel(axes[0, 1], "b", "The same, by half")
    style.panel(axes[0, 2], "c", "Frequency")
    for column in axes.T:
        style.legend(next((ax for ax in column[::-1] if ax.axison), column[0]), ncols=1)
    return figure


def _bands(axes: Axes, spectra: xr.Dataset) -> None:
    remaining = spectra["remaining"].where(spectra["followed"], drop=True)
    count = remaining.sizes["frequency"]
    for number, color in enumerate(style.ordered_colors(count)):
        band = remaining.isel(frequency=number)
        ranks = (int(spectra[f"band_{end}_rank"].sel(frequency=band["frequency"])) for end in ("first", "last"))
        label = "rank " + "\N{EN DASH}".join(str(rank) for rank in dict.fromkeys(ranks))
        style.spread(axes, band, color, label if number in (0, count // 2, count - 1) else None)
    style.shares(axes)


def _halves(axes: Axes, spectra: xr.Dataset) -> None:
    """Both halves, pooled by energy: of the network with its spread, and of the nulls."""
    kept = style.kept(spectra)
    low, high = halves(kept)
    for values, color, name in ((low, style.LOW, "low half"), (high, style.HIGH, "high half")):
        style.spread(axes, values, color, f"network, {name}")
    if "control_remaining" in kept:
        leads.null_halves(axes, kept, style.LOW, style.HIGH)
    style.shares(axes)


def _means(axes: Axes, spectra: xr.Dataset) -> None:
    if "mean_frequency_output" not in spectra:  # of coefficients of some modes
        axes.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axes.transAxes)
        return
    for of, color in (("output", style.LOW), ("residual", style.HIGH)):
        style.spread(axes, spectra[f"mean_frequency_{of}"], color, {"residual": "error"}.get(of, of))
    axes.axhline(float(spectra["mean_frequency_target"]), color=style.TARGET, linestyle="--", label="target")
    axes.set(ylabel="mean of $1 - \\mu$", ylim=(0, None))
