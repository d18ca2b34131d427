"""`early_stopping`: losses on the way, and when the frequencies of the target and of its noise are captured."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.statistics import best_step, signal
from fpkit.figures import style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: losses over steps and, for one-dimensional targets, spectra and passages.

    Args:
        spectra: results of `fft` (with a clean target) or `projection`, one for each variant, with validation losses.
            What a data set of one's own does not have is not shown.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(len(spectra), 3, figsize=(width, 0.42 * width * len(spectra)), squeeze=False)
    for row, variant in zip(axes, spectra, strict=True):
        if style.all_diverged(row, variant):
            continue
        _losses(row[0], variant)
        without = "" if "loss_validation" in variant else ", no validation samples"
        row[0].set_title(f"{style.variant_title(variant)}, {style.members_note(variant)}{without}", loc="left")
        if "clean_amplitude" in variant and not without:
            _spectra(row[1], variant)
            _passages(row[2], variant)
        else:
            _accuracies(row[1], variant)
            row[2].set_visible(False)
    style.outer_legend(figure, next((ax for ax in axes[:, 0] if ax.axison), axes[0, 0]), ncols=4)
    return figure


def _scores(axes: Axes, spectra: xr.Dataset, score: str) -> None:
    """A loss or accuracy of each part that there is, and the best step if validation samples tell it."""
    shown = style.kept(spectra)
    for part, color in (("train", style.NULL), ("validation", style.HIGH), ("test", style.LOW)):
        if f"{score}_{part}" in shown:
            style.spread(axes, shown[f"{score}_{part}"], color, part)
    if "loss_validation" in shown:
        best = best_step(shown)
        axes.axvspan(float(best.quantile(0.1)), float(best.quantile(0.9)), color="0.85", linewidth=0)
        axes.axvline(float(best.median()), color=style.TARGET, linewidth=0.8, linestyle="--", label="best (validation)")
    style.log_steps(axes, shown["step"])
    axes.set_ylabel(score)


def _losses(axes: Axes, spectra: xr.Dataset) -> None:
    _scores(axes, spectra, "loss")
    axes.set_yscale("log")


def _accuracies(axes: Axes, spectra: xr.Dataset) -> None:
    if "accuracy_train" not in spectra:  # a single output
        axes.set_visible(False)
        return
    _scores(axes, spectra, "accuracy")
    axes.set_ylim(0, 1.02)


def _spectra(axes: Axes, spectra: xr.Dataset) -> None:
    """Amplitudes of the noisy samples and the clean target, and of the output at the best step and at the end."""
    shown = style.kept(spectra).isel(output=0)
    frequency = shown["frequency"]
    best = shown["amplitude"].sel(step=best_step(shown)).median("member")
    end = shown["amplitude"].isel(step=-1).median("member")
    axes.plot(frequency, shown["target_amplitude"], color=style.NULL, linewidth=3, alpha=0.5, label="noisy samples")
    axes.plot(frequency, end, color=style.HIGH, label="output at the end")
    axes.plot(frequency, best, color=style.LOW, label="output at the best step")
    clean = shown["clean_amplitude"].where(signal(style.kept(spectra)), drop=True)
    axes.plot(clean["frequency"], clean, "k_", markersize=10, label="clean target")
    axes.set(xlabel=f"frequency ({frequency.attrs['units']})", ylabel="amplitude")
    axes.set_ylim(bottom=0)
    style.legend(axes, ncols=1)


def _passages(axes: Axes, spectra: xr.Dataset) -> None:
    """Every (member, frequency) passage, those of the target and those of the noise, against the best step."""
    shown = style.kept(spectra)
    target = signal(shown)
    for mask, color, marker, label in ((target, style.LOW, "o", "target"), (~target, style.HIGH, "s", "noise")):
        passage = shown["first_passage"].where(shown["followed"] & mask, drop=True)
        frequency = passage["frequency"].broadcast_like(passage)
        axes.plot(
            frequency.to_numpy().ravel(), passage.to_numpy().ravel(), marker, color=color, ms=3, alpha=0.5, label=label
        )
    best = best_step(shown)
    axes.axhspan(float(best.quantile(0.1)), float(best.quantile(0.9)), color="0.85", linewidth=0)
    axes.axhline(float(best.median()), color=style.TARGET, linewidth=0.8, linestyle="--", label="best step")
    axes.set(yscale="log", xlabel=f"frequency ({shown['frequency'].attrs['units']})")
    axes.set_ylabel("first passage (training step)")
    axes.set_ylim(top=1.5 * float(np.asarray(shown["step"]).max()))
    style.legend(axes, ncols=1)
