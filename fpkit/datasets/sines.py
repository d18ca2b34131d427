"""A sum of sines on a uniform grid: the synthetic target, whose frequencies are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr


def build(
    frequencies: Sequence[float],
    amplitudes: float | Sequence[float] = 1.0,
    phases: str | float | Sequence[float] = "random",
    interval: tuple[float, float] = (0.0, 1.0),
    samples: int = 200,
    test_samples: int = 200,
    noise: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """y(x) = sum_i a_i sin(2 pi f_i x + phase_i), sampled on [start, stop).

    Arguments:
        frequencies: f (sine), cycles per unit of x.
        amplitudes: a (sine), or one for all.
        phases: radians (sine), or one for all; "random" draws each from [0, 2 pi).
        interval: start, stop of x, in its own units.
        samples, test_samples: points of the training grid, which begins at start, and of the test grid, half a step
            off.
        noise: standard deviation of the Gaussian noise on the training targets; the test targets have none.
        seed: draws phases and noise.

    Returns `x_train (sample_train, feature=1)`, `y_train (sample_train, output=1)`, the same for test, float32. The
    network's x is the position mapped from [start, stop) to [-pi, pi); the coordinates `position_train (sample_train)`
    and `position_test` keep the position itself, float64, because spectra are taken of its spacing. The sines are
    written down as attributes `frequencies`, `amplitudes`, `phases`; netCDF returns lists of one as a number.
    """
    rng = np.random.default_rng(seed)
    frequencies = np.asarray(frequencies, dtype=np.float64)
    amplitudes = np.broadcast_to(np.asarray(amplitudes, dtype=np.float64), frequencies.shape)
    if isinstance(phases, str):
        phases = rng.uniform(0, 2 * np.pi, frequencies.shape)
    phases = np.broadcast_to(np.asarray(phases, dtype=np.float64), frequencies.shape)
    start, stop = interval

    variables, coordinates = {}, {}
    for part, count, offset, spread in (("train", samples, 0.0, noise), ("test", test_samples, 0.5, 0.0)):
        fraction = (np.arange(count) + offset) / max(
            count, 1
        )  # of the interval; no division by zero without a test part
        position = start + fraction * (stop - start)
        x = (2 * fraction - 1) * np.pi
        angles = 2 * np.pi * np.outer(position, frequencies) + phases
        y = np.sin(angles) @ amplitudes + spread * rng.standard_normal(count)
        sample = f"sample_{part}"
        variables[f"x_{part}"] = (
            (sample, "feature"),
            x[:, np.newaxis].astype(np.float32),
            {"units": "1", "long_name": "x, mapped to [-pi, pi)"},
        )
        variables[f"y_{part}"] = (
            (sample, "output"),
            y[:, np.newaxis].astype(np.float32),
            {"units": "1", "long_name": "sum of sines"},
        )
        coordinates[f"position_{part}"] = (sample, position, {"units": "unit of x", "long_name": "x"})
    attrs = {
        "kind": "sines",
        "source": "computed: y = sum_i a_i sin(2 pi f_i x + phase_i)",
        "license": "none needed: computed",
        "frequencies": frequencies.tolist(),
        "amplitudes": amplitudes.tolist(),
        "phases": phases.tolist(),
    }
    return xr.Dataset(variables, coordinates, attrs)
