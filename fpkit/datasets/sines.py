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
    validation_samples: int = 0,
    noise: float = 0.0,
    embedding: str = "line",
    seed: int = 0,
) -> xr.Dataset:
    """y(x) = sum_i a_i sin(2 pi f_i x + phase_i), sampled on [start, stop).

    Arguments:
        frequencies: f (sine), cycles per unit of x.
        amplitudes: a (sine), or one for all.
        phases: radians (sine), or one for all; "random" draws each from [0, 2 pi).
        interval: start, stop of x, in its own units.
        samples, test_samples, validation_samples: points of the training grid, which begins at start, of the test grid,
            half a step off, and of the validation grid, a quarter step off. None for validation: no such part.
        noise: standard deviation of the Gaussian noise on the training and validation targets; the test targets have
            none.
        embedding: what the network sees of the angle a, the position mapped from [start, stop) to [-pi, pi): "line",
            a itself, or "circle", cos a and sin a.
        seed: draws phases and noise; the validation noise has a stream of its own and changes nothing else.

    Returns `x_train (sample_train, feature=1 or 2)`, `y_train (sample_train, output=1)`, the same for test and
    validation, and `clean_train (sample_train, output)`, the training targets without noise; float32. The coordinates
    `position_train (sample_train)` and so on keep the position itself, float64, because spectra are taken of its
    spacing. The sines are written down as attributes `frequencies`, `amplitudes`, `phases`; netCDF returns lists of one
    as a number.
    """
    rng = np.random.default_rng(seed)
    (rng_validation,) = rng.spawn(1)
    frequencies = np.asarray(frequencies, dtype=np.float64)
    amplitudes = np.broadcast_to(np.asarray(amplitudes, dtype=np.float64), frequencies.shape)
    if isinstance(phases, str):
        phases = rng.uniform(0, 2 * np.pi, frequencies.shape)
    phases = np.broadcast_to(np.asarray(phases, dtype=np.float64), frequencies.shape)
    start, stop = interval
    parts = [("train", samples, 0.0, noise, rng), ("test", test_samples, 0.5, 0.0, rng)]
    if validation_samples:
        parts.append(("validation", validation_samples, 0.25, noise, rng_validation))

    variables, coordinates = {}, {}
    for part, count, offset, spread, stream in parts:
        fraction = (np.arange(count) + offset) / max(count, 1)  # of the interval; an empty part divides nothing by 0
        position = start + fraction * (stop - start)
        x, meaning = _embedded((2 * fraction - 1) * np.pi, embedding)
        angles = 2 * np.pi * np.outer(position, frequencies) + phases
        clean = np.sin(angles) @ amplitudes
        y = clean + spread * stream.standard_normal(count)
        sample = f"sample_{part}"
        variables[f"x_{part}"] = (
            (sample, "feature"),
            x.astype(np.float32),
            {"units": "1", "long_name": meaning},
        )
        variables[f"y_{part}"] = (
            (sample, "output"),
            y[:, np.newaxis].astype(np.float32),
            {"units": "1", "long_name": "sum of sines"},
        )
        if part == "train":
            variables["clean_train"] = (
                (sample, "output"),
                clean[:, np.newaxis].astype(np.float32),
                {"units": "1", "long_name": "sum of sines, without noise"},
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


def _embedded(angle: np.ndarray, embedding: str) -> tuple[np.ndarray, str]:
    """Angles (sample) as inputs (sample, feature), and what these are."""
    if embedding == "circle":
        return np.stack([np.cos(angle), np.sin(angle)], axis=1), "cos and sin of x, mapped to [-pi, pi)"
    return angle[:, np.newaxis], "x, mapped to [-pi, pi)"
