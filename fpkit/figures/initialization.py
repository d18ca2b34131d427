"""`initialization`: the order of frequencies over the scale of the initial weights."""

from __future__ import annotations

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fpkit.claims.statistics import first_order, hold_order
from fpkit.figures import style

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Rank correlation against the standard deviation of the initial weights, a line for each activation.

    Args:
        spectra: results of `fft`, one for each variant; their models are initialized by `gaussian`.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, panels = plt.subplots(1, 3, figsize=(width, 0.4 * width))
    by_activation: dict[str, list[tuple[float, xr.Dataset]]] = {}
    for variant in spectra:
        model = style.recipe(variant)["model"]
        by_activation.setdefault(model["activation"], []).append((model["std"], variant))
    for color, (activation, variants) in zip(cycle(COLORS), by_activation.items(), strict=False):
        scales, members = zip(*sorted(variants, key=lambda pair: pair[0]), strict=True)
        for axes, statistic in zip(panels, (first_order, hold_order), strict=False):
            values = [statistic(style.kept(variant)) for variant in members]
            style.intervals(axes, scales, values, horizontal=False, color=color, marker="o", label=activation)
        panels[2].plot(scales, [_censored(variant) for variant in members], "o-", color=color, markersize=4)
    for axes, letter, title in zip(
        panels, "abc", ("Order by first passage", "Order by hold passage", "Never captured"), strict=True
    ):
        style.panel(axes, letter, title)
        axes.set(xscale="log", xlabel="std of the initial weights")
    for axes in panels[:2]:
        axes.axhline(0, color=style.TARGET, linewidth=0.5)
        axes.set(ylim=(-1.05, 1.05), ylabel="rank correlation of\nfrequency and passage")
    style.outer_legend(figure, panels[0], ncols=6)
    panels[2].set(ylim=(-0.03, 1.03), ylabel="fraction of frequencies")
    style.diverged_note(figure, spectra)
    return figure


def _censored(spectra: xr.Dataset) -> float:
    followed = style.kept(spectra)["first_passage"].where(spectra["followed"], drop=True)
    return float(np.mean(followed.isnull())) if followed.size else np.nan
