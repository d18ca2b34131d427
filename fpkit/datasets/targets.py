"""Made targets on real inputs: sums of components of equal energy, each with a frequency.

Where the components of a target are known, and equally strong, the order in which they are learned is not one of their
amplitudes (Rahaman et al. 2019, arXiv:1806.08734; Fridovich-Keil et al. 2022, arXiv:2104.09877, made such targets).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import xarray as xr

from fpkit.datasets import kernel
from fpkit.datasets.contract import PARTS
from fpkit.errors import UserError

# A component whose standard deviation is below this share of its largest value does not vary on the training samples.
CONSTANT = 1e-6
# Of a graph of so many all modes are computed: it is held whole, in double precision.
MOST_SAMPLES = 4096


class Made(NamedTuple):
    """Components (sample, component), the frequency of each (component,), ascending, its `long_name` and `units`."""

    components: np.ndarray
    frequency: np.ndarray
    attrs: dict[str, str]


def with_target(
    dataset: xr.Dataset,
    rng: np.random.Generator,
    *,
    kind: str,
    components: int,
    strength: float | None,
    places: Mapping[str, np.ndarray] | None = None,
    **options,
) -> xr.Dataset:
    """The data set with a made target in place of its own, or added to it.

    Each component is centred and scaled to the same energy over the training samples, their sum y to variance 1. The
    component is a function on the samples of all parts, so that what was learned of it is seen on the others.

    Args:
        dataset: `x_{part}` and `y_{part}` of some parts.
        rng: draws phases, or the combination of modes within a band.
        kind, components, strength, options: see `Target` in `fpkit.config.datasets`.
        places: where the samples of each part lie (sample, feature); left out, the inputs.

    Returns:
        y_{part} (sample_{part}, output), the sum, one output; with a `strength`, what it was plus the sum times the
        strength, alike for each output. component_{part} (sample_{part}, component), what it is the sum of, float32,
        with the coordinate component_frequency (component). The attribute `target` is the kind.

    Raises:
        UserError: more samples than a kernel is made for, or a component that does not vary.
    """
    parts = [part for part in PARTS if f"x_{part}" in dataset]
    given = {part: dataset[f"x_{part}"].to_numpy() for part in parts} if places is None else places
    flat = [
        given[part].astype(np.float64).reshape(len(given[part]), math.prod(given[part].shape[1:])) for part in parts
    ]
    train, cuts = len(flat[0]), np.cumsum([len(values) for values in flat])[:-1]
    made = KINDS[kind](np.concatenate(flat), train, components, rng, **options)
    values = made.components - made.components[:train].mean(axis=0)
    size = values[:train].std(axis=0)
    if (constant := np.flatnonzero(size <= CONSTANT * np.abs(values).max(axis=0))).size:
        raise UserError(
            f"target: component {constant[0] + 1} of {kind} does not vary on the training samples; ask fewer"
        )
    values /= size
    values *= (1 if strength is None else strength) / values[:train].sum(axis=1).std()

    variables = {}
    for part, component in zip(parts, np.split(values, cuts), strict=True):
        sample, own = f"sample_{part}", dataset[f"y_{part}"]
        total = xr.DataArray(component.sum(axis=1), dims=sample)
        about = f"sum of {components} made components of equal energy"
        if strength is None:
            y = total.expand_dims(output=1, axis=1)
        else:
            y, about = own + total, f"{own.attrs['long_name']}, plus a {about}"
        variables[f"y_{part}"] = y.astype(np.float32).assign_attrs(units="1", long_name=about)
        variables[f"component_{part}"] = (
            (sample, "component"),
            component.astype(np.float32),
            {"units": "1", "long_name": f"made component ({kind})"},
        )
    dataset = dataset.drop_vars([f"y_{part}" for part in parts]).assign(variables).assign_attrs(target=kind)
    if strength is not None:
        dataset.attrs["target_strength"] = float(strength)
    return dataset.assign_coords(component_frequency=("component", made.frequency, made.attrs))


def _graph_bands(places: np.ndarray, train: int, components: int, rng: np.random.Generator, width: float) -> Made:
    """Bands of the modes of the Gaussian kernel on all samples, log-spaced by rank, without the constant one.

    Within a band, a combination of its modes with random normal weights. Its frequency is the mean of 1 - mu.
    """
    if not 2 <= len(places) <= MOST_SAMPLES:
        raise UserError(
            f"the modes of {len(places):,} samples are not computed, but of 2 to {MOST_SAMPLES:,}; set limit: and"
            " test_limit: (of a photograph, size:)"
        )
    frequencies, vectors = kernel.modes(*kernel.normalised(kernel.gaussian(places, width)))
    if components > len(frequencies):
        raise UserError(f"target: {len(places)} samples have no {components} bands of modes; ask fewer components")
    edges = [*kernel.log_spaced(len(frequencies), components), len(frequencies)]
    bands = [slice(start, stop) for start, stop in pairwise(edges)]
    values = [vectors[:, band] @ rng.standard_normal(band.stop - band.start) for band in bands]
    frequency = np.array([frequencies[band].mean() for band in bands])
    attrs = {"long_name": "frequency on the graph of the inputs", "units": "1 - eigenvalue"}
    return Made(np.stack(values, axis=1), frequency, attrs)


def _sines(places: np.ndarray, train: int, components: int, rng: np.random.Generator, direction: int) -> Made:
    """sin(2 pi k t + phase), k = 1, 2, ..., along a principal component of the training samples, their extent 1."""
    mean = places[:train].mean(axis=0)
    if direction > min(places[:train].shape):
        raise UserError(f"target.direction: {direction} exceeds the {min(places[:train].shape)} principal components")
    centred = places[:train] - mean
    covariance = centred.T @ centred
    # Rounded: on a square grid, which is as long as it is wide, the directions are its sides (2 is the first of them).
    axis = np.linalg.eigh(np.round(covariance / np.trace(covariance), 12))[1][:, -direction]
    axis *= np.sign(axis[np.abs(axis).argmax()])
    attrs = {
        "long_name": f"frequency along principal component {direction}",
        "units": "cycles per data extent",
    }
    return Made(*_waves((places - mean) @ axis, train, components, rng), attrs)


def _radial_sines(places: np.ndarray, train: int, components: int, rng: np.random.Generator) -> Made:
    """sin(2 pi k r + phase), k = 1, 2, ..., of the norm r = |x|, whose range over the training samples is 1."""
    attrs = {"long_name": "frequency along the norm |x|", "units": "cycles per range of |x|"}
    return Made(*_waves(np.linalg.norm(places, axis=1), train, components, rng), attrs)


def _waves(
    position: np.ndarray, train: int, components: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    extent = np.ptp(position[:train])
    if extent <= CONSTANT * np.abs(position).max():
        raise UserError("target: the training inputs do not vary along it; choose another kind or direction")
    frequency = np.arange(1, components + 1)
    phase = rng.uniform(0, 2 * np.pi, components)
    return np.sin(2 * np.pi * frequency * position[:, None] / extent + phase), frequency.astype(float)


KINDS = {"graph_bands": _graph_bands, "sines": _sines, "radial_sines": _radial_sines}
