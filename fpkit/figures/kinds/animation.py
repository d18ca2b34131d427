"""`animation`: the output and its spectrum, side by side, as training goes on."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.animation import Animation, FuncAnimation

from fpkit.figures import style

FRAMES, MILLISECONDS = 60, 100


def draw(spectra: list[xr.Dataset]) -> Animation:
    """Median output over members against the target, and its amplitudes, at log-spaced steps.

    Args:
        spectra: results of `fft`; the first is shown.
    """
    shown = spectra[0].isel(output=0)
    position = style.position(shown)
    width = plt.rcParams["figure.figsize"][0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(width, 0.43 * width))
    left.plot(position, shown["target"], color=style.TARGET, linewidth=2.5, alpha=0.35, label="target")
    (output,) = left.plot(position, shown["target"], color=style.LOW, label="network")
    left.set(xlabel="x", ylabel=f"y (median over members{style.of_the_first(shown)})")
    style.legend(left)

    last = 1.5 * float(shown["frequency"].where(shown["followed"], drop=True).max())
    amplitude = style.kept(shown)["amplitude"].sel(frequency=slice(0, last)).load()
    amplitude = amplitude.median("member").transpose("step", "frequency")
    target = shown["target_amplitude"].sel(frequency=slice(0, last))
    right.bar(target["frequency"], target, width=0.8 * float(target["frequency"][1]), color=style.TARGET, alpha=0.35)
    (dots,) = right.plot(amplitude["frequency"], amplitude[0], "o", color=style.LOW, markersize=4)
    right.set(xlabel=f"frequency ({shown['frequency'].attrs['units']})", ylabel="amplitude")
    right.set_ylim(0, 1.3 * float(max(target.max(), amplitude.quantile(0.99))))

    records = shown.sizes["step"]
    chosen = np.unique(np.linspace(0, records - 1, min(FRAMES, records)).round().astype(int))

    # Laid out once: another layout for every frame would take most of the time.
    figure.suptitle(" ", fontsize="medium")
    figure.canvas.draw()
    figure.set_layout_engine("none")

    def frame(record: int):
        output.set_ydata(shown["output_median"].isel(step=record))
        dots.set_ydata(amplitude.isel(step=record))
        figure.suptitle(f"step {int(shown['step'][record])}", fontsize="medium")
        return output, dots

    return FuncAnimation(figure, frame, frames=[*chosen, *chosen[-1:].repeat(10)], interval=MILLISECONDS)
