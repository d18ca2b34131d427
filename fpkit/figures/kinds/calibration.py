"""`calibration`: how often each statistic says that low is first, of made dynamics whose truth is known."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fpkit.claims.calibrated import FALSE, TRUE
from fpkit.figures import style

TARGETS = {"flat": (style.TARGET, "o"), "red": (style.HIGH, "D"), "blue": (style.LOW, "s")}
INPUTS = {
    ("line", "fft"): "on a line, Fourier",
    ("digits", "graph"): "on digits, graph modes",
    ("digits", "filtering"): "on digits, Gaussian filter",
}
ROW = ["inputs", "measure", "statistic"]
MARGIN = 0.05


def draw(calibration: pd.DataFrame) -> Figure:
    """A panel for each truth, a row for each statistic, in it a mark for each target with noise and without.

    Args:
        calibration: see `fpkit.claims.calibration.calibrate`.
    """
    width = plt.rcParams["figure.figsize"][0]
    rows = list(calibration[ROW].drop_duplicates().itertuples(index=False, name=None))
    # A line between measures bears the name of the next one.
    places = {row: place + 0.8 * len({row[:2] for row in rows[: place + 1]}) for place, row in enumerate(rows)}
    truths = list(dict.fromkeys(calibration["truth"]))
    figure, grid = plt.subplots(
        1,
        len(truths),
        figsize=(width, 0.045 * width * (max(places.values()) + 4)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for letter, axes, truth in zip("abcdefgh", grid[0], truths, strict=False):
        shown = calibration[calibration["truth"] == truth]
        _right_side(axes, low_first=bool((shown["lead"] > 0).all()))
        for row, variants in shown.groupby(ROW, sort=False):
            _marks(axes, places[row], variants)
        style.panel(axes, letter, textwrap.fill(truth, 12))
    first = grid[0, 0]
    first.set_yticks(list(places.values()), [row[-1].replace("_", " ") for row in rows])
    headed = set()
    for row, place in places.items():
        if row[:2] not in headed:
            headed.add(row[:2])
            first.annotate(
                INPUTS[row[:2]], (0, place - 0.85), xycoords=("axes fraction", "data"), xytext=(-4, 0),
                textcoords="offset points", ha="right", va="center", style="italic", fontsize="small",
            )  # fmt: skip
            for axes in grid[0]:
                axes.axhline(place - 0.85, color="0.85", linewidth=0.6, zorder=0)
    first.set(xlim=(-MARGIN, 1 + MARGIN), ylim=(max(places.values()) + 0.6, -0.2))
    first.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    counts = calibration["ensembles"].drop_duplicates().sort_values(ascending=False)
    figure.supxlabel(
        f"fraction of ensembles ({', '.join(map(str, counts))}; fewer beyond a null, and where five are pooled)\n"
        "of which the claim holds (95% binomial interval)",
        fontsize=plt.rcParams["axes.labelsize"],
    )
    figure.legend(
        handles=_handles(calibration), loc="outside upper center", ncols=5, columnspacing=1, handletextpad=0.3
    )
    return figure


def _right_side(axes: Axes, low_first: bool) -> None:
    """Where marks have to lie: up to `FALSE`, or from `TRUE` on where low is first."""
    limit, border = (TRUE, 1 + MARGIN) if low_first else (FALSE, -MARGIN)
    axes.axvspan(limit, border, color=style.LOW, alpha=0.1, linewidth=0)
    axes.axvline(limit, color=style.TARGET, linewidth=0.8, linestyle="--")


def _marks(axes: Axes, place: float, variants: pd.DataFrame) -> None:
    heights = place + np.linspace(-0.32, 0.32, len(variants))
    for height, variant in zip(heights, variants.itertuples(), strict=True):
        color, marker = TARGETS[variant.target]
        axes.plot([variant.holds_low, variant.holds_high], [height, height], color=color, linewidth=0.8)
        face = "white" if variant.noise else color
        axes.plot(variant.holds, height, marker, color=color, markerfacecolor=face, markersize=3, markeredgewidth=0.8)


def _handles(calibration: pd.DataFrame) -> list[Line2D]:
    def mark(color: str, marker: str, face: str, label: str) -> Line2D:
        return Line2D([], [], color=color, marker=marker, ls="", ms=4, markerfacecolor=face, label=label)

    handles = [mark(color, marker, color, f"{name} target") for name, (color, marker) in TARGETS.items()]
    noise = calibration["noise"].max()
    return [*handles, mark("0.5", "o", "0.5", "no noise"), mark("0.5", "o", "white", f"noise {noise:g} of the norm")]
