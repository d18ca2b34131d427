"""`projection`: errors and remaining shares along the first principal component of real data, beside their nulls."""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.figures import leads, style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: spectrum with its floor, relative errors and remaining shares over steps.

    Args:
        spectra: results of `fpkit.measures.kinds.projection.decompose`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(
        len(spectra), 3, figsize=(width, (0.17 * width + style.lines(6)) * len(spectra) + style.lines(6)), squeeze=False
    )
    for index, (row, variant) in enumerate(zip(axes, spectra, strict=True)):
        if style.all_diverged(row, variant):
            continue
        _spectrum(row[0], variant)
        _errors(row[1], variant)
        _remaining(row[2], variant)
        note = f"{style.variant_title(variant)} ({style.members_note(variant)})\n{leads.words(variant)}"
        style.panel(row[0], "" if index else "a", "" if index else "Target spectrum", note)
    style.panel(axes[0, 1], "b", "Relative error")
    style.panel(axes[0, 2], "c", "Shares")
    drawn = next((row for row in axes if row[0].axison), axes[0])
    handles = [handle for ax in (drawn[0], drawn[2]) for handle in ax.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1)
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
    style.relative_errors(axes)


def _remaining(axes: Axes, spectra: xr.Dataset) -> None:
    """Of every followed frequency; of the nulls, of the lower and the upper half of them."""
    chosen = spectra.where(spectra["followed"], drop=True)
    colors = style.ordered_colors(chosen.sizes["frequency"])
    for color, frequency in zip(colors, chosen["frequency"], strict=True):
        style.spread(axes, chosen["remaining"].sel(frequency=frequency), color)
    if "control_remaining" in spectra and len(colors) > 1:
        leads.null_halves(axes, style.kept(spectra), colors[0], colors[-1])
    style.log_steps(axes, spectra["step"])
    style.shares(axes)
