"""`structures`: lead, order and speed over depth and width, and of other architectures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from fpkit.claims.statistics import first_order
from fpkit.figures import leads, style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Three maps over depth and width of the fully connected networks, and a row for each other architecture.

    Args:
        spectra: results of `fft` or `projection`, one for each variant. Networks of equal `widths` make the maps.
    """
    on_grid = [variant for variant in spectra if _size(variant)]
    others = [variant for variant in spectra if not _size(variant)]
    width = plt.rcParams["figure.figsize"][0]
    above = (0.26 * width + style.lines(5)) * bool(on_grid)
    below = (0.033 * width * len(others) + style.lines(9)) * bool(others)
    figure = plt.figure(figsize=(width, above + below))
    heights = [height for height in (above, below) if height]
    parts = iter(np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights)))
    if on_grid:
        maps = next(parts).subplots(1, 3, sharey=True)
        for axes, letter, (title, number, colors, said) in zip(maps, "abc", MAPS, strict=True):
            _map(axes, on_grid, number, colors, said)
            first = {text.get_text()[:1] for text in axes.texts}
            signs = [f"{sign}: {told}" for told, sign in leads.SIGNS.items() if sign in first]
            style.panel(axes, letter, "\n".join([title, *signs]))
        maps[0].set_ylabel("depth (hidden layers)")
    if others:
        ahead, order = next(parts).subplots(1, 2, sharey=True, width_ratios=[1.3, 1])
        leads.lead_rows(ahead, others, [_title(variant) for variant in others])
        leads.order_rows(order, others, [_title(variant) for variant in others])
        style.legend(ahead, ncols=1, handles=leads.handles(ahead))
        style.legend(order, ncols=1)
        letters = "de" if on_grid else "ab"
        style.panel(ahead, letters[0], "Lead, others" if on_grid else "Lead")
        style.panel(order, letters[1], "Order of passages")
    style.diverged_note(figure, spectra)
    return figure


def _title(spectra: xr.Dataset) -> str:
    """Kind of the model, then data set and variant, in which the kind is not said again."""
    kind = style.recipe(spectra).get("model", {}).get("kind", "network").rpartition(":")[2].replace("_", " ")
    return ", ".join([kind, *(part for part in style.variant_title(spectra).split(", ") if part != kind)])


def _size(spectra: xr.Dataset) -> tuple[int, int] | None:
    """(depth, width) of a fully connected network whose layers are equally wide."""
    model = style.recipe(spectra).get("model", {})
    if model.get("kind") != "mlp" or len(set(model["widths"])) != 1:
        return None
    return len(model["widths"]), model["widths"][0]


def _steps_to_capture(spectra: xr.Dataset) -> float:
    """Median over members of the step by which the last frequency is captured; NaN if it is not by most."""
    passage = style.kept(spectra)["first_passage"].where(spectra["followed"], drop=True).fillna(np.inf)
    steps = float(passage.max("frequency").median())
    return steps if np.isfinite(steps) else np.nan


def _lead(spectra: xr.Dataset) -> float:
    return float(style.known_by_most(leads.lead_of(spectra)).median())


def _order(spectra: xr.Dataset) -> float:
    return float(style.known_by_most(first_order(style.kept(spectra))).median())


def _lead_said(spectra: xr.Dataset, value: float) -> str:
    return f"{leads.SIGNS.get(leads.bound(spectra), '')}{value:.2f}"


# Title, number of a variant, colours of those that are known, and how one is written.
MAPS = (
    (
        "Lead (decades)",
        _lead,
        lambda known: Normalize(0, max(0.1, known.max())),
        _lead_said,
    ),
    (
        "Rank correlation of\nfirst passage",
        _order,
        lambda known: Normalize(0, 1),
        lambda spectra, value: f"{value:.2f}",
    ),
    (
        "First passage of the\nlast frequency (step)",
        _steps_to_capture,
        lambda known: LogNorm(max(1, known.min()), max(2, known.max())),
        lambda spectra, value: f"{value:.0f}",
    ),
)


def _map(axes: Axes, spectra: list[xr.Dataset], number, colors, said) -> None:
    """A cell for each depth and width, coloured by its number, and the number in it; a cross where a network has none.
    Where there is no network, nothing.
    """
    by_size = {_size(variant): variant for variant in spectra}
    numbers = {size: np.nan if v["diverged"].all() else number(v) for size, v in by_size.items()}
    depths, widths = (sorted({size[axis] for size in by_size}) for axis in (0, 1))
    table = np.array([[numbers.get((depth, width), np.nan) for width in widths] for depth in depths])
    known = table[np.isfinite(table)]
    norm = colors(known) if known.size else Normalize(0, 1)
    axes.imshow(table, norm=norm, aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(table):
        if (depths[row], widths[column]) not in by_size:
            continue
        color, text = style.NULL, "\N{MULTIPLICATION SIGN}"
        if np.isfinite(value):
            color, text = "k" if norm(value) > 0.5 else "w", said(by_size[depths[row], widths[column]], value)
        axes.text(column, row, text, ha="center", va="center", fontsize="small", color=color)
    axes.set_xticks(range(len(widths)), widths)
    axes.set_yticks(range(len(depths)), depths)
    axes.set_xlabel("width (units per layer)")
