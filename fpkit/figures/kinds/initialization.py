"""`initialization`: the lead and the order of frequencies over the scale of the initial weights."""

from __future__ import annotations

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fpkit.claims.statistics import first_order, hold_order
from fpkit.figures import leads, style

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v")
# Activations stand beside each other, a factor apart on the axis of scales.
APART = 1.05


def draw(spectra: list[xr.Dataset]) -> Figure:
    """Lead and rank correlations against the standard deviation of the initial weights, a line for each activation.

    Args:
        spectra: results of `fft`, one for each variant; their models are initialized by `gaussian`.
    """
    width = plt.rcParams["figure.figsize"][0]
    figure, grid = plt.subplots(2, 2, figsize=(width, 0.52 * width + style.lines(9)), sharex=True)
    ahead, first, hold, never = panels = list(grid.flat)
    by_activation: dict[str, list[tuple[float, xr.Dataset]]] = {}
    for variant in spectra:
        model = style.recipe(variant)["model"]
        by_activation.setdefault(model["activation"], []).append((model["std"], variant))
    looks = zip(cycle(COLORS), cycle(MARKERS), strict=True)
    handles = []
    for index, ((color, marker), (activation, variants)) in enumerate(zip(looks, by_activation.items(), strict=False)):
        scales, members = zip(*sorted(variants, key=lambda pair: pair[0]), strict=True)
        places = np.array(scales) * APART ** (index - (len(by_activation) - 1) / 2)
        look = {"color": color, "marker": marker}
        leads.leads_over(ahead, places, members, **look)
        for axes, statistic in ((first, first_order), (hold, hold_order)):
            values = [statistic(style.kept(variant)) for variant in members]
            style.intervals(axes, places, values, horizontal=False, **look)
        never.plot(places, [_censored(variant) for variant in members], markersize=4, **look)
        handles.append(plt.Line2D([], [], markersize=4, label=activation, **look))
    every = [style.recipe(variant)["model"]["std"] for variant in spectra]
    titles = ("Lead", "Order by first passage", "Order by hold passage", "Never captured")
    for axes, letter, title in zip(panels, "abcd", titles, strict=True):
        style.panel(axes, letter, title)
        # Before the scale, which would look for positive data where there are none to show.
        axes.set_xlim(min(every) / 1.35, max(every) * 1.35)
        axes.set_xscale("log")
    for axes in (hold, never):
        axes.set_xlabel("std of the initial weights")
    for axes in (first, hold):
        axes.axhline(0, color=style.TARGET, linewidth=0.5)
        axes.set(ylim=(-1.05, 1.05), ylabel=leads.RANK)
    handles += leads.handles(ahead, color="0.4")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1)
    never.set(ylim=(-0.03, 1.03), ylabel="fraction of frequencies")
    style.diverged_note(figure, spectra)
    return figure


def _censored(spectra: xr.Dataset) -> float:
    followed = style.kept(spectra)["first_passage"].where(spectra["followed"], drop=True)
    return float(np.mean(followed.isnull())) if followed.size else np.nan
