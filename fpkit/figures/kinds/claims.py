"""`claims`: claim by claim, interval against bound, and the verdict."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fpkit.claims import bounds, findings
from fpkit.config.names import NULLS
from fpkit.figures import style

VERDICTS = {"holds": (style.LOW, "o"), "undecided": ("#E69F00", "D"), "does not hold": (style.HIGH, "X")}
LIMIT = 1.2  # margins beyond are drawn at the border


def draw(claims: pd.DataFrame) -> Figure:
    """A row for each claim: the margin by which each variant's interval clears the bound, and how many do.

    Args:
        claims: the rows of `claims.csv`.
    """
    width = plt.rcParams["figure.figsize"][0]
    names = list(dict.fromkeys(claims["claim"]))
    figure, axes = plt.subplots(figsize=(width, 0.034 * width * (len(names) + 4)))
    axes.axvspan(0, LIMIT * 1.05, color=style.LOW, alpha=0.07, linewidth=0)
    for row, name in enumerate(names):
        variants = claims[claims["claim"] == name]
        _margins(axes, row, variants)
        counts = [f"{(variants['verdict'] == verdict).sum()}" for verdict in VERDICTS]
        for column, (count, (color, _)) in enumerate(zip(counts, VERDICTS.values(), strict=True)):
            shown = {"color": color, "weight": "bold"} if count != "0" else {"color": "0.8"}
            axes.annotate(count, (1.03 + 0.06 * column, row), xycoords=("axes fraction", "data"), va="center", **shown)
    axes.axvline(0, color=style.TARGET, linewidth=1)
    axes.set_yticks(range(len(names)), [_label(claims, name) for name in names])
    axes.set(xlim=(-LIMIT * 1.05, LIMIT * 1.05), ylim=(len(names) - 0.5, -0.7))
    axes.set_xlabel(
        "margin to the bound, in units of the statistic\n(median and interval over members, one mark per variant)\n"
        + findings.by_chance(claims["level"])
    )
    handles = [
        Line2D([], [], color=color, marker=marker, ls="", ms=5, label=verdict)
        for verdict, (color, marker) in VERDICTS.items()
    ]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return figure


def _margins(axes: Axes, row: int, variants: pd.DataFrame) -> None:
    heights = row + np.linspace(-0.28, 0.28, len(variants) + 2)[1:-1]
    for height, variant in zip(heights, variants.itertuples(), strict=True):
        interval = bounds.margins(variant.ci_low, variant.ci_high, variant.bound)
        margins = np.array([bounds.margin(variant.value, variant.bound), *interval])
        if np.isnan(margins[0]):  # no number, which counts as undecided
            continue
        value, *interval = np.clip(np.where(np.isnan(margins), margins[0], margins), -LIMIT, LIMIT)
        color, marker = VERDICTS[variant.verdict]
        axes.plot(interval, [height, height], color=color, linewidth=1, alpha=0.7)
        axes.plot(value, height, marker, color=color, markersize=3.5)


def _label(claims: pd.DataFrame, name: str) -> str:
    """The claim's id, its statistic and null, and its bound."""
    first = claims[claims["claim"] == name].iloc[0]
    null = str(first["statistic"]).partition(" under ")[2]
    beyond = f" beyond {NULLS[null]}" if null else ""
    statistic = str(first["statistic"]).split(" ")[0].replace("_", " ")
    return f"{name.replace('_', ' ')}\n{statistic}{beyond} {first['bound']}"
