"""`filtering`: low and high frequencies of real data, split by a Gaussian filter in the whole input space."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpkit.claims.halves import telling
from fpkit.config.names import NULLS
from fpkit.figures import leads, style

SHOWN_WIDTHS = 2


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: both errors over steps for some widths, then the whole width x step map.

    Args:
        spectra: results of `fpkit.measures.kinds.filtering.decompose`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    columns = SHOWN_WIDTHS + 1
    grid = {"width_ratios": [1] * SHOWN_WIDTHS + [1.3]}
    figure, axes = plt.subplots(
        len(spectra),
        columns,
        figsize=(width, (0.17 * width + style.lines(5)) * len(spectra) + style.lines(4)),
        squeeze=False,
        gridspec_kw=grid,
    )
    for index, (row, variant) in enumerate(zip(axes, spectra, strict=True)):
        if style.all_diverged(row, variant):
            continue
        note = f"{style.variant_title(variant)} ({style.members_note(variant)})\n{leads.words(variant)}"
        for ax, filter_width in zip(row, _telling_widths(variant), strict=False):
            _errors(ax, variant.sel(width=filter_width))
            title = f"Width {float(filter_width):g}"
            first = ax is row[0]
            style.panel(ax, "a" if first and not index else "", title, note if first else "")
        _map(row[-1], variant)
    style.panel(axes[0, -1], "b", "High over low")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    for ax in axes[:, 1:SHOWN_WIDTHS].flat:
        ax.set_ylabel("")
    style.outer_legend(figure, next((ax for ax in axes[:, 0] if ax.axison), axes[0, 0]), ncols=2)
    return figure


def _telling_widths(spectra: xr.Dataset) -> np.ndarray:
    """The narrowest and the widest filters at which both parts carry energy, evenly picked."""
    widths = spectra["width"].to_numpy()
    told = widths[telling(spectra).to_numpy()]
    pool = told if len(told) >= SHOWN_WIDTHS else widths
    return pool[np.linspace(0, len(pool) - 1, min(SHOWN_WIDTHS, len(pool))).round().astype(int)]


def _errors(axes: Axes, spectra: xr.Dataset) -> None:
    parts = {"low": style.LOW, "high": style.HIGH}
    for part, color in parts.items():
        style.spread(axes, spectra[f"{part}_error"], color, f"network: $e_\\mathrm{{{part}}}$")
    if "control_low_error" in spectra and "share" in spectra["null"]:
        for part, color in parts.items():
            # Of each draw the median over members, as of the network; the band is over draws.
            control = spectra[f"control_{part}_error"].sel(null="share").median("member")
            low, high = control.quantile([0.1, 0.9], "draw").transpose("quantile", "step").to_numpy()
            axes.fill_between(spectra["step"], low, high, color=color, alpha=0.15, linewidth=0)
            name = f"{NULLS['share']}: $e_\\mathrm{{{part}}}$"
            middle = control.mean("draw")
            axes.plot(spectra["step"], middle, color=color, linestyle="--", linewidth=0.9, label=name)
    style.log_steps(axes, spectra["step"])
    style.relative_errors(axes)


def _map(axes: Axes, spectra: xr.Dataset) -> None:
    ratio = np.log10(spectra["high_error"] / spectra["low_error"]).median("member")
    bound = float(abs(ratio).quantile(0.99))
    mesh = style.heat_map(
        axes, ratio, "width", "$\\log_{10}\\, e_\\mathrm{high}/e_\\mathrm{low}$", vmin=-bound, vmax=bound
    )
    mesh.set_cmap("PuOr_r")
    axes.set_ylabel("filter width\n(median distance)")
