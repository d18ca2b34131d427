"""`equal_strength`: when the components of made targets are captured, beside the natural target of the same inputs."""

from __future__ import annotations

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.figures import leads, style

# Panels beside each other.
COLUMNS = {1: 1, 2: 2, 4: 2}
MOST_COLUMNS = 3
# Okabe and Ito's, told apart by most eyes; and by their marks by all.
COLORS = (style.LOW, style.HIGH, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "0.2")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NETWORKS = {"mlp": "MLP", "cnn": "CNN", "residual_mlp": "residual MLP", "residual_cnn": "residual CNN"}
# Characters in a line below a panel, which others stand beside.
LABEL = 28
# Of the natural target's bands, the passage of this remaining share; half of a component is as much.
LEVEL = 0.5


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A panel for each data set: passage by frequency, a colour for each network; lead and order of each variant.

    Args:
        spectra: results of `components`, one for each variant, and of `graph`, of the natural target.
    """
    panels: dict[str, list[xr.Dataset]] = {}
    for variant in spectra:
        panels.setdefault(_title(variant), []).append(variant)
    networks = list(dict.fromkeys(map(_network, spectra)))
    looks = {
        network: {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}
        for index, network in enumerate(networks)
    }
    width = plt.rcParams["figure.figsize"][0]
    columns = COLUMNS.get(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    below = 0.03 * (len(spectra) + 4)
    figure = plt.figure(figsize=(width, width * (0.1 + 0.36 * rows + below)))
    above, under = figure.add_gridspec(2, 1, height_ratios=[0.32 * rows, below])
    grid = above.subgridspec(rows, columns)
    first = None
    for index, (title, variants) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[divmod(index, columns)], sharey=first)
        first = first or axes
        _passages(axes, variants, looks)
        style.panel(axes, "abcdefghijklmnopqrstuvwxyz"[index % 26], title)
        if index % columns:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("passage\n(training step)")
    ahead, order = under.subgridspec(1, 2, width_ratios=[1.3, 1]).subplots(sharey=True)
    titles = [
        f"{_title(variant)}, {_network(variant)}" + (" *" if variant["diverged"].any() else "") for variant in spectra
    ]
    by_row = [looks[_network(variant)] for variant in spectra]
    leads.lead_rows(ahead, spectra, titles, by_row)
    leads.order_rows(order, spectra, titles, by_row)
    order.tick_params(labelleft=False)
    for number, (axes, title) in enumerate(((ahead, "Lead"), (order, "Order")), len(panels)):
        style.panel(axes, "abcdefghijklmnopqrstuvwxyz"[number % 26], title)
    handles = [plt.Line2D([], [], linewidth=1, markersize=3.5, label=name, **looks[name]) for name in networks]
    if any(passage_of(style.kept(variant)).isnull().any() for variant in spectra):
        handles.append(plt.Line2D([], [], linestyle="", marker="x", color=style.TARGET, markersize=4, label="never"))
    handles += leads.handles(ahead, color="0.4")
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), columnspacing=1)
    style.diverged_note(figure, spectra)
    return figure


def passage_of(spectra: xr.Dataset) -> xr.DataArray:
    """The passage (member, frequency) that is shown: of made components their own, else that of the remaining share."""
    if spectra.attrs["measure"] == "components":
        passage = spectra["first_passage"]
    else:
        passage = spectra["remaining_first_passage"].sel(level=LEVEL, method="nearest", drop=True)
    return passage.where(spectra["followed"], drop=True).transpose("member", "frequency")


def _title(spectra: xr.Dataset) -> str:
    """Data set and target: `digits, graph bands`."""
    if spectra.attrs["measure"] == "components":
        return spectra.attrs["dataset"].replace("_", " ")
    return f"{spectra.attrs['dataset']}, labels".replace("_", " ")


def _network(spectra: xr.Dataset) -> str:
    """The network as a reader says it: what the variant calls it, or its kind."""
    named = style.variant_title(spectra).split(", ", 1)
    kind = style.recipe(spectra).get("model", {}).get("kind", "network")
    name = named[1].replace(" ", "_") if len(named) > 1 else kind.rpartition(":")[2]
    return NETWORKS.get(name, name.replace("_", " "))


def _passages(axes: Axes, variants: list[xr.Dataset], looks: dict[str, dict]) -> None:
    """Median over members, and their whole range, which ends at a cross above where some never got there."""
    last = max(float(variant["step"].max()) for variant in variants)
    for index, variant in enumerate(variants):
        passage, look = passage_of(style.kept(variant)), looks[_network(variant)]
        if not passage.size:
            continue
        # Beside each other where frequencies are the same.
        place = passage["frequency"].to_numpy() * 1.03 ** (index - (len(variants) - 1) / 2)
        times = np.where(np.isfinite(passage), np.maximum(passage, 1), 2 * last)
        axes.vlines(place, times.min(axis=0), times.max(axis=0), color=look["color"], linewidth=1, alpha=0.5)
        middle = np.median(times, axis=0)
        axes.plot(place, np.where(middle <= last, middle, np.nan), markersize=3.5, linewidth=1, **look)
        never = (times > last).any(axis=0)
        axes.plot(place[never], np.full(never.sum(), 2 * last), "x", color=look["color"], markersize=4)
    axes.set(xscale="log", yscale="log", xlabel=_label(variants[0]["frequency"]))
    style.plain_log(axes.xaxis, widest=20)


def _label(frequency: xr.DataArray) -> str:
    name = fill(frequency.attrs["long_name"], LABEL)
    return f"{name}\n({frequency.attrs['units']})"
