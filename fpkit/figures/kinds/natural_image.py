"""`natural_image`: a photograph on the way, and the error of each ring of frequency."""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

from fpkit.figures import leads, style


def draw(spectra: list[xr.Dataset]) -> Figure:
    """A row for each variant: the output at telling steps beside the photograph, and the error of each ring of |k|.

    Args:
        spectra: results of `radial`, one for each variant.
    """
    width = plt.rcParams["figure.figsize"][0]
    snapshots = max(variant.sizes["snapshot"] for variant in spectra)
    grid = {"width_ratios": [1] * (snapshots + 1) + [1.9]}
    figure, axes = plt.subplots(
        len(spectra),
        snapshots + 2,
        figsize=(width, (0.17 * width + style.lines(5)) * len(spectra) + style.lines(2)),
        squeeze=False,
        gridspec_kw=grid,
    )
    for index, (row, variant) in enumerate(zip(axes, spectra, strict=True)):
        if style.all_diverged(row, variant):
            continue
        shades = {"cmap": "gray", "vmin": float(variant["target"].min()), "vmax": float(variant["target"].max())}
        for ax, step in zip(row, variant["snapshot"].to_numpy(), strict=False):
            ax.imshow(variant["snapshot_output"].sel(snapshot=step), **shades)
            ax.set_title(f"step {step}", fontsize="small")
        row[snapshots].imshow(variant["target"], **shades)
        row[snapshots].set_title("photograph", fontsize="small")
        for ax in row[:-1]:
            ax.set(xticks=[], yticks=[])
            ax.set_visible(bool(ax.get_images()))
            for spine in ax.spines.values():
                spine.set_visible(False)
        row[0].set_ylabel(f"{style.variant_title(variant)}\n{style.members_note(variant)}", fontsize="small")
        rings = variant["frequency"].to_numpy()
        for color, ring in zip(style.ordered_colors(len(rings)), rings, strict=True):
            ends = ring in (rings[0], rings[-1])
            style.spread(
                row[-1],
                variant["relative_error"].sel(frequency=ring),
                color,
                f"|k| = {ring:g} cycles per image" if ends else None,
            )
        style.log_steps(row[-1], variant["step"])
        style.relative_errors(row[-1])
        name = "" if index else "Error by |k|\n"
        style.panel(row[-1], "" if index else "b", name + leads.words(variant).replace(" [", "\n["))
        if variant is not spectra[-1]:
            row[-1].set_xlabel("")
    shown = [ax for ax in axes[:, -1] if ax.get_lines()]
    if shown:
        style.outer_legend(figure, shown[-1], ncols=2)
    style.panel(axes[0, 0], "a", "", "")
    return figure
