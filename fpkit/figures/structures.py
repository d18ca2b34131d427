"""`structures`: order and speed over depth and width, and of other architectures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from fpkit.claims.statistics import first_order
from fpkit.figures import style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Two maps over depth and width of the fully connected networks, and a row for each other architecture.

    Args:
        spectra: results of `fft` or `projection`, one for each variant. Networks of equal `widths` make the maps.
    """
    on_grid = [variant for variant in spectra if _size(variant)]
    others = [variant for variant in spectra if not _size(variant)]
    width = plt.rcParams["figure.figsize"][0]
    figure = plt.figure(figsize=(width, 0.36 * width + 0.07 * width * (len(others) + 2) * bool(others)))
    parts = figure.subfigures(2 if others else 1, 1, height_ratios=[3, len(others) / 2 + 1.6] if others else None)
    order, speed = np.atleast_1d(parts)[0].subplots(1, 2)
    _map(
        order,
        on_grid,
        lambda v: float(style.known_by_most(first_order(style.kept(v))).median()),
        Normalize(0, 1),
        "rank correlation",
    )
    _map(speed, on_grid, _steps_to_capture, LogNorm(), "training steps")
    style.panel(order, "a", "Rank correlation of frequency and first passage")
    style.panel(speed, "b", "First passage of the last frequency (median)")
    if others:
        rows = parts[1].subplots()
        style.order_rows(rows, others, [_title(variant) for variant in others])
        style.legend(rows)
        style.panel(rows, "c", "Other architectures")
    style.diverged_note(figure, spectra)
    return figure


def _title(spectra: xr.Dataset) -> str:
    """Kind of the model, then data set and variant, in which the kind is not said again."""
    kind = style.recipe(spectra)["model"]["kind"].replace("_", " ")
    return ", ".join([kind, *(part for part in style.variant_title(spectra).split(", ") if part != kind)])


def _size(spectra: xr.Dataset) -> tuple[int, int] | None:
    """(depth, width) of a fully connected network whose layers are equally wide."""
    model = style.recipe(spectra)["model"]
    if model["kind"] != "mlp" or len(set(model["widths"])) != 1:
        return None
    return len(model["widths"]), model["widths"][0]


def _steps_to_capture(spectra: xr.Dataset) -> float:
    """Median over members of the step by which the last frequency is captured; NaN if it is not by most."""
    passage = style.kept(spectra)["first_passage"].where(spectra["followed"], drop=True).fillna(np.inf)
    steps = float(passage.max("frequency").median())
    return steps if np.isfinite(steps) else np.nan


def _map(axes: Axes, spectra: list[xr.Dataset], number, norm, label: str) -> None:
    sizes = {_size(v): np.nan if v["diverged"].all() else number(v) for v in spectra}
    if not sizes:
        axes.set_axis_off()
        return
    depths, widths = (sorted({size[axis] for size in sizes}) for axis in (0, 1))
    table = np.array([[sizes.get((depth, width), np.nan) for width in widths] for depth in depths])
    if np.isnan(table).all():
        norm.vmin, norm.vmax = 1, 10
    mesh = axes.imshow(table, norm=norm, aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(table):
        shown = "\N{MULTIPLICATION SIGN}" if np.isnan(value) else f"{value:.2f}" if value <= 1 else f"{value:.0f}"
        light = not np.isnan(value) and norm(value) > 0.5
        axes.text(
            column,
            row,
            shown,
            ha="center",
            va="center",
            fontsize="small",
            color="k" if light else "w" if not np.isnan(value) else style.NULL,
        )
    axes.set_xticks(range(len(widths)), widths)
    axes.set_yticks(range(len(depths)), depths)
    axes.set(xlabel="width (units per layer)", ylabel="depth (hidden layers)")
    axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.02).outline.set_visible(False)
