"""`order`: the lead and the order of frequencies under other activations, algorithms or losses."""

from __future__ import annotations

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fpkit.figures import leads, style

# Panels of fewer would be too low to be read.
LEAST_ROWS = 4
# Letters of a line of a label that has more than one: it may not reach the panel beside.
LABEL = 22


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: first passage by frequency, the lead, and the rank correlations of both passages.

    Args:
        spectra: results of measures with first passages, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    grid = {"width_ratios": [1.2, 1, 1.2]}
    height = 0.033 * width * max(LEAST_ROWS, len(spectra)) + style.lines(9)
    figure, (passages, lead, order) = plt.subplots(1, 3, figsize=(width, height), gridspec_kw=grid, sharey=True)
    _passages(passages, spectra)
    leads.lead_rows(lead, spectra)
    leads.order_rows(order, spectra)
    style.legend(lead, ncols=1, handles=leads.handles(lead))
    style.legend(order, ncols=1)
    style.panel(passages, "a", "Median first passage")
    style.panel(lead, "b", "Lead")
    style.panel(order, "c", "Order")
    style.diverged_note(figure, spectra)
    return figure


def _passages(axes: Axes, spectra: list[xr.Dataset]) -> None:
    """Median first passage by variant and frequency; a cross where the median member never captures it."""
    medians = []
    for variant in spectra:
        followed = style.kept(variant)["first_passage"].where(variant["followed"], drop=True)
        # A median over members in which "never" counts as later than any step.
        medians.append(followed.fillna(np.inf).median("member"))
    frequencies = np.unique(np.concatenate([median["frequency"] for median in medians]))
    table = np.full((len(spectra), len(frequencies)), np.nan)
    for row, median in enumerate(medians):
        table[row, np.searchsorted(frequencies, median["frequency"])] = median
    seen = table[np.isfinite(table)]
    norm = LogNorm(max(1, seen.min()), max(2, seen.max())) if seen.size else LogNorm(1, 2)
    mesh = axes.imshow(np.where(np.isfinite(table), np.maximum(table, 1), np.nan), norm=norm, aspect="auto")
    for row, column in np.argwhere(np.isinf(table)):
        axes.plot(column, row, "x", color=style.NULL, markersize=4)
    axes.set_xticks(range(len(frequencies)), [f"{frequency:g}" for frequency in frequencies])
    units = {variant["frequency"].attrs["units"] for variant in spectra}
    never = "\n\N{MULTIPLICATION SIGN} never" if np.isinf(table).any() else ""
    label = f"frequency ({' or '.join(sorted(units))})"
    axes.set_xlabel((fill(label, LABEL) if len(units) > 1 else label) + never)
    # Below, where the other panels have their legends: beside it, its label would read like that of the next panel.
    bar = axes.figure.colorbar(mesh, ax=axes, label="training step", location="bottom", aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    style.plain_log(bar.ax.xaxis)
