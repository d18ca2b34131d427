"""`projection`: the order of frequencies along the first principal component of real data, beside its controls."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.statistics import area_order
from fpkit.claims.verdicts import on_null
from fpkit.figures import style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: spectrum with its floor, errors of the peaks over steps, order against the controls.

    Args:
        spectra: results of `fpkit.measures.projection.decompose`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(len(spectra), 3, figsize=(width, width * (0.08 + 0.29 * len(spectra))), squeeze=False)
    for index, (row, variant) in enumerate(zip(axes, spectra, strict=True)):
        if style.all_diverged(row, variant):
            continue
        _spectrum(row[0], variant)
        _errors(row[1], variant)
        _order(row[2], variant)
        note = f"{style.variant_title(variant)} ({style.members_note(variant)})"
        style.panel(row[0], "" if index else "a", "" if index else "Spectrum of the target", note)
    style.panel(axes[0, 1], "b", "Relative error of the peaks")
    style.panel(axes[0, 2], "c", "Order, beside its controls")
    style.outer_legend(figure, next((ax for ax in axes[:, 0] if ax.axison), axes[0, 0]), ncols=2)
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    for ax in axes[:, 1]:
        style.legend(ax, ncols=1)
    return figure


def _spectrum(axes: Axes, spectra: xr.Dataset) -> None:
    amplitude, followed = spectra["target_amplitude"], spectra["followed"]
    axes.plot(amplitude["frequency"], amplitude, color=style.TARGET, linewidth=0.8)
    axes.axhline(float(spectra["floor"]), color=style.NULL, linestyle="--", linewidth=0.8, label="95% chance floor")
    peaks = amplitude.where(followed, drop=True)
    axes.plot(peaks["frequency"], peaks, "o", color=style.HIGH, markersize=3.5, label="followed")
    named = amplitude["frequency"].attrs
    axes.set(xlabel=f"{named['long_name']}\n({named['units']})", ylabel="|F[y]|")
    axes.set_ylim(bottom=0)


def _errors(axes: Axes, spectra: xr.Dataset) -> None:
    error = spectra["relative_error"].where(spectra["followed"], drop=True)
    for color, frequency in zip(style.ordered_colors(error.sizes["frequency"]), error["frequency"], strict=True):
        ends = frequency in (error["frequency"][0], error["frequency"][-1])
        style.spread(axes, error.sel(frequency=frequency), color, f"frequency {int(frequency)}" if ends else None)
    axes.axhline(spectra.attrs["threshold"], color=style.NULL, linewidth=0.8, linestyle=":")
    style.log_steps(axes, spectra["step"])
    axes.set(ylabel="relative error", yscale="log")


def _order(axes: Axes, spectra: xr.Dataset) -> None:
    """Rank correlation of frequency and area, per member, for the network and for both nulls."""
    kept = style.kept(spectra)
    rows = [("network", area_order(kept), style.LOW)]
    nulls = [(null, on_null(kept, null, ["area", "first_passage"])) for null in kept["null"].to_numpy()]
    rows += [(style.NULL_NAMES[null], area_order(shown), style.NULL) for null, shown in nulls]
    for height, (_, values, color) in enumerate(rows):
        jitter = np.linspace(-0.18, 0.18, values.size)
        axes.plot(values, height + jitter, "o", color=color, markersize=3, alpha=0.6)
        axes.plot([values.median()] * 2, [height - 0.3, height + 0.3], color=color, linewidth=2)
    axes.axvline(0, color=style.TARGET, linewidth=0.5)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set(
        xlim=(-1.05, 1.05),
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="rank correlation of frequency\nand time to capture (members)",
    )
