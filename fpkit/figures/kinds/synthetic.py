"""`synthetic`: the order in which a one-dimensional target's frequencies are learned."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.figures import leads, style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Four panels for each variant: outputs on the way, spectrum of the target, error map, passages.

    Args:
        spectra: results of `fpkit.measures.kinds.fft.decompose`, one for each variant.
    """
    width, height = plt.rcParams["figure.figsize"]
    figure = plt.figure(figsize=(width, (0.8 * height + style.lines(11)) * len(spectra)))
    for variant, part in zip(spectra, np.atleast_1d(figure.subfigures(len(spectra), 1)), strict=True):
        ((outputs, spectrum), (errors, passages)) = part.subplots(2, 2)
        note = f"{style.variant_title(variant)} ({style.members_note(variant)}), {leads.words(variant)}"
        part.suptitle(note, fontsize="medium")
        _outputs(outputs, variant)
        _spectrum(spectrum, variant)
        _errors(errors, variant)
        _passages(passages, variant)
    return figure


def _outputs(axes: Axes, spectra: xr.Dataset) -> None:
    position = style.position(spectra)
    axes.plot(position, spectra["target"].isel(output=0), color=style.TARGET, linewidth=2.5, alpha=0.35, label="target")
    snapshots = spectra["snapshot_output"].isel(output=0)
    for color, step in zip(style.ordered_colors(snapshots.sizes["snapshot"]), snapshots["snapshot"], strict=True):
        middle = snapshots.sel(snapshot=step).where(~spectra["diverged"]).median("member")
        axes.plot(position, middle, color=color, linewidth=1, label=f"step {int(step)}")
    axes.set(xlabel="x", ylabel="y\n(median over members)")
    style.legend(axes)
    style.panel(axes, "a", f"Outputs and target{style.of_the_first(spectra)}")


def _spectrum(axes: Axes, spectra: xr.Dataset) -> None:
    amplitude = np.sqrt((spectra["target_amplitude"] ** 2).sum("output"))
    peaks = amplitude.where(spectra["followed"], drop=True)
    shown = amplitude.sel(frequency=slice(0, 2 * float(peaks["frequency"].max())))
    axes.vlines(shown["frequency"], 0, shown, color=style.TARGET, linewidth=1.5)
    axes.plot(peaks["frequency"], peaks, "o", color=style.HIGH, markersize=4, label="followed peaks")
    axes.set(xlabel=f"frequency\n({amplitude['frequency'].units})", ylabel="|F[y]|")
    axes.set_ylim(0, 1.15 * float(shown.max()))
    style.legend(axes)
    style.panel(axes, "b", f"Spectrum of the target{style.of_the_first(spectra)}")


def _errors(axes: Axes, spectra: xr.Dataset) -> None:
    error = spectra["relative_error"].where(spectra["followed"], drop=True).median("member")
    style.heat_map(axes, error, "frequency", "median over members", vmin=0, vmax=1)
    axes.set_ylabel(f"frequency\n({spectra['frequency'].units})")
    style.panel(axes, "c", "Relative error")


def _passages(axes: Axes, spectra: xr.Dataset) -> None:
    style.passage_ranges(axes, spectra, "first_passage", style.LOW, -0.1, marker="o", ms=4, lw=0, label="first passage")
    style.passage_ranges(axes, spectra, "hold_passage", style.HIGH, 0.1, marker="s", ms=3.5, lw=0, label="hold passage")
    followed = spectra["frequency"].where(spectra["followed"], drop=True)
    threshold = spectra.attrs["threshold"]
    axes.set(xlabel=f"frequency\n({spectra['frequency'].units})", yscale="log")
    axes.set_ylabel("training step\n(median and range)")
    style.plain_log(axes.yaxis)
    axes.set_xticks(followed.to_numpy(), [f"{value:g}" for value in followed.to_numpy()])
    style.legend(axes)
    style.panel(axes, "d", f"Error below {threshold:g}")
