"""What remains of the error by frequency, of one run: the picture of `fpkit watch`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fpkit.figures import style

# Lines that a legend names.
MOST_NAMED = 12


def draw(spectra: xr.Dataset) -> Figure:
    """Remaining share over steps, a line for each followed frequency: median over members and their spread.

    Args:
        spectra: of any measure, of members that did not diverge.
    """
    with style.context(width_mm=160, font_size=8, colormap="cividis"):
        figure, axes = plt.subplots()
        shown = spectra.isel(frequency=np.flatnonzero(spectra["followed"]))
        if "width" in shown.dims:
            shown = shown.isel(width=shown.sizes["width"] // 2)
        count = shown.sizes["frequency"]
        named = set(np.linspace(0, count - 1, min(count, MOST_NAMED)).round().astype(int))
        for number, color in enumerate(style.ordered_colors(count)):
            one = shown["remaining"].isel(frequency=number)
            label = f"{float(shown['frequency'][number]):.3g}" if number in named else None
            style.spread(axes, one, color, label)
        attrs = spectra["frequency"].attrs
        style.shares(axes)
        axes.set(title=f"{attrs['long_name']} ({attrs['units']})")
        style.log_steps(axes, shown["step"])
        style.legend(axes, ncols=6)
    plt.close(figure)
    return figure
