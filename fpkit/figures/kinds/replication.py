"""The verdicts of a run against those of its replications; not of `figures:`, it is drawn by `make replicate`."""

from __future__ import annotations

from string import ascii_lowercase

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.replication import counts, numbers
from fpkit.figures import style
from fpkit.figures.kinds.claims import VERDICTS

# Values of different statistics share an axis: where some are large, it is linear up to here and logarithmic beyond.
LINEAR = 2


def draw(table: pd.DataFrame) -> Figure:
    """A row for each replication: how often each verdict met each, and value against value of each claim and variant.

    Args:
        table: of `fpkit.claims.replication.beside`, with one replication at least.
    """
    width = plt.rcParams["figure.figsize"][0]
    found = numbers(table)
    figure, axes = plt.subplots(
        len(found), 2, figsize=(width, 0.47 * width * len(found)), squeeze=False, width_ratios=[1, 1.25]
    )
    letters = iter(ascii_lowercase)
    for (left, right), number in zip(axes, found, strict=True):
        met = counts(table, number)
        _verdicts(left, met.to_numpy(), number)
        style.panel(left, next(letters, ""), f"Verdicts: {np.trace(met)} of {met.to_numpy().sum()} the same")
        _values(right, table, number)
        style.panel(right, next(letters, ""), "Medians with their 95% intervals")
    style.outer_legend(figure, axes[0, 1], ncols=3, title="verdict of the run")
    return figure


def _verdicts(axes: Axes, met: np.ndarray, number: int) -> None:
    """The table of counts; on its diagonal both say the same."""
    axes.imshow(met, cmap="Greys", vmin=0, vmax=max(1, 1.6 * met.max()), aspect="equal")
    for (row, column), count in np.ndenumerate(met):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{count}", ha="center", va="center", weight=weight, color="0" if count else "0.6")
    names = [verdict.replace("does not", "does\nnot") for verdict in VERDICTS]
    axes.set_xticks(range(len(VERDICTS)), names)
    axes.set_yticks(range(len(VERDICTS)), names)
    axes.set(xlabel=f"replication {number}", ylabel="run")
    axes.tick_params(length=0)


def _values(axes: Axes, table: pd.DataFrame, number: int) -> None:
    both = table[np.isfinite(table["value_0"]) & np.isfinite(table[f"value_{number}"])]
    for verdict, (color, marker) in VERDICTS.items():
        rows = both[both["verdict_0"] == verdict]
        x, y = rows["value_0"], rows[f"value_{number}"]
        reach = {"xerr": _ends(rows, 0), "yerr": _ends(rows, number)}
        axes.errorbar(x, y, **reach, fmt=marker, ms=3, mew=0, color=color, elinewidth=0.6, label=verdict)
    shown = both[["value_0", f"value_{number}"]].to_numpy()
    ends = [1.4 * shown.min(initial=-1), 1.4 * shown.max(initial=1)]
    if max(-ends[0], ends[1]) > 5 * LINEAR:
        axes.set_xscale("symlog", linthresh=LINEAR)
        axes.set_yscale("symlog", linthresh=LINEAR)
    axes.plot(ends, ends, color=style.TARGET, linewidth=0.6, linestyle="--")
    axes.set(xlim=ends, ylim=ends, xlabel="statistic in the run (its own units)")
    axes.set_ylabel(f"statistic in replication {number}")


def _ends(rows: pd.DataFrame, number: int) -> np.ndarray:
    """How far the interval reaches below and above the value; an open end is not drawn."""
    value, low, high = (rows[f"{name}_{number}"].to_numpy(float) for name in ("value", "ci_low", "ci_high"))
    reach = np.array([value - low, high - value])
    return np.where(np.isfinite(reach), reach, 0).clip(min=0)
