"""`generalization`: targets and outputs off the training set, by frequency."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.statistics import test_accuracy
from fpkit.figures import style

COLORS = {"tanh": style.LOW, "relu": style.HIGH}
CLASSES = 10


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Test accuracy of parity over the training fraction and of images; spectra of targets and outputs on all points.

    Args:
        spectra: results of `walsh` (parity) and of `projection` (images), recorded on all points. A data set of one's
            own without test samples, or with one output, has no test accuracy to show.
    """
    parity = [variant for variant in spectra if variant.attrs["measure"] == "walsh"]
    images = [variant for variant in spectra if variant.attrs["measure"] == "projection"]
    width = plt.rcParams["figure.figsize"][0]
    figure, ((curve, bars), (degrees, along)) = plt.subplots(2, 2, figsize=(width, 0.86 * width))
    _curve(curve, parity)
    _images(bars, images)
    _degrees(degrees, parity)
    _along(along, images)
    style.panel(curve, "a", "Parity, off the training set")
    style.panel(bars, "b", "Images, off the training set")
    style.panel(degrees, "c", "Full parity: output against target")
    style.panel(along, "d", "Images: output against target")
    style.diverged_note(figure, spectra)
    return figure


def _of(spectra: xr.Dataset) -> tuple[str, int, int, float]:
    """Activation, bits of the target, dimensions and training fraction of a parity variant."""
    attributes = spectra.attrs
    return (
        style.recipe(spectra).get("model", {}).get("activation", "network"),
        int(attributes["bits"]),
        int(attributes["dimensions"]),
        float(attributes["train_fraction"]),
    )


def _curve(axes: Axes, parity: list[xr.Dataset]) -> None:
    groups: dict[tuple[str, int], list[tuple[float, xr.DataArray]]] = {}
    for variant in (v for v in parity if "accuracy_test" in v):
        activation, bits, _, fraction = _of(variant)
        groups.setdefault((activation, bits), []).append((fraction, test_accuracy(style.kept(variant))))
    full = max((bits for _, bits in groups), default=0)
    for (activation, bits), points in sorted(groups.items(), key=lambda item: (-item[0][1], item[0][0])):
        fractions, accuracies = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        line, label = ("o-", f"all {bits} bits, {activation}") if bits == full else ("^:", f"{bits} bits, {activation}")
        style.intervals(
            axes, fractions, accuracies, horizontal=False, fmt=line, label=label,
            color=COLORS.get(activation, style.TARGET), alpha=1 if bits == full else min(0.4 + 0.15 * bits, 0.9),
        )  # fmt: skip
    axes.axhline(0.5, color=style.NULL, linewidth=0.8, linestyle="--", label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="fraction of all inputs used for training", ylabel="test accuracy")
    style.legend(axes)


def _images(axes: Axes, images: list[xr.Dataset]) -> None:
    images = [variant for variant in images if "accuracy_test" in variant]
    rows = np.arange(len(images))
    style.intervals(axes, rows, [test_accuracy(style.kept(v)) for v in images], fmt="o", color=style.LOW)
    axes.axvline(1 / CLASSES, color=style.NULL, linewidth=0.8, linestyle="--", label="chance")
    axes.set_yticks(rows, [style.variant_title(variant) for variant in images])
    axes.set(xlim=(0, 1.02), ylim=(max(len(rows), 1) - 0.5, -0.5), xlabel="test accuracy")
    style.legend(axes)


def _degrees(axes: Axes, parity: list[xr.Dataset]) -> None:
    """Energy by Walsh degree of full parity at the training fraction nearest one half."""
    full = [variant for variant in parity if _of(variant)[1] == _of(variant)[2]]
    shown = {}
    for variant in sorted(full, key=lambda v: -abs(_of(v)[3] - 0.5)):
        shown[_of(variant)[0]] = variant
    for index, (activation, variant) in enumerate(sorted(shown.items())):
        degree = variant["frequency"].to_numpy()
        if index == 0:
            axes.bar(degree, variant["target_energy"], width=0.9, color=style.NULL, alpha=0.4, label="target")
        energy = style.kept(variant)["energy"].isel(step=-1)
        values = [energy.sel(frequency=k) for k in degree]
        style.intervals(
            axes, degree + 0.2 * (index - 0.5), values, horizontal=False, fmt="o",
            color=COLORS.get(activation, style.TARGET), label=f"{activation}, trained on {_of(variant)[3]:.0%}",
        )  # fmt: skip
    axes.set(xlabel="Walsh degree (bits that interact)", ylabel="energy, on all points")
    style.legend(axes)


def _along(axes: Axes, images: list[xr.Dataset]) -> None:
    for color, variant in zip(style.ordered_colors(len(images)), images, strict=True):
        title, frequency = style.variant_title(variant), variant["frequency"]
        axes.plot(frequency, variant["target_amplitude"], color=color, linewidth=3, alpha=0.3)
        output = style.kept(variant)["amplitude"].isel(step=-1).median("member")
        axes.plot(frequency, output, "o-", color=color, markersize=3, linewidth=0.8, label=title)
    axes.plot([], [], color=style.NULL, linewidth=3, alpha=0.5, label="target")
    named = " or ".join(sorted({variant["frequency"].attrs["long_name"] for variant in images}))
    axes.set(xlabel=f"{named} (cycles per data extent)", ylabel="amplitude, on all points", yscale="log")
    style.legend(axes)
