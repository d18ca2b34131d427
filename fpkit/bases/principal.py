"""Waves along a principal component of the inputs (paper, Sec. 4.1: the first one), or along a random direction."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.bases.waves import Waves
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError

SAMPLES_TOGETHER = 8192
# A component with less than this share of the largest variance is made of rounding errors.
NEGLIGIBLE = 1e-10


def build(
    dataset: xr.Dataset, split: str, *, highest: int, direction: int | Literal["random"] = 1, seed: int = 0
) -> Waves:
    """Of frequencies 1, 2, ..., highest, in cycles over the extent of the data along a direction: see `coordinate`.

    Raises UserError: fewer than two samples, all inputs alike, or fewer components than asked for.
    """
    position = coordinate(samples_of(dataset, split)[0], direction, seed)
    attrs = {"long_name": f"frequency along {name_of(direction)}", "units": "cycles per data extent"}
    given = {} if direction == 1 else {"direction": direction} | ({"seed": seed} if direction == "random" else {})
    recipe = {"kind": "principal", "highest": highest, **given}
    return Waves(position, range(1, highest + 1), attrs, recipe)


def name_of(direction: int | Literal["random"]) -> str:
    """What figures call it: p is the first principal component, p2 the second."""
    return "a random direction" if direction == "random" else "p" if direction == 1 else f"p{direction}"


def coordinate(x: xr.DataArray, direction: int | Literal["random"] = 1, seed: int = 0) -> xr.DataArray:
    """Projection of centred inputs (sample, *feature) on a direction, scaled to extent 1.

    Dimensionless (sample), so that a frequency along it counts cycles over the extent of the data.

    Args:
        direction: 1 for the first principal component, 2 for the second, ...; `random` for one that `seed` draws, all
            being alike probable.

    Raises:
        UserError: fewer than two samples, all inputs alike, or fewer components than asked for.
    """
    flat = x.to_numpy().reshape(x.sizes["sample"], -1)
    if len(flat) < 2:
        raise UserError("projection needs at least two samples; raise datasets.*.limit")
    if np.ptp(flat, axis=0).max() == 0:
        raise UserError("projection needs inputs that differ; all of them are alike")
    # Some samples at a time: in double precision, all would be twice as large as the data.
    mean = flat.mean(axis=0, dtype=np.float64)
    blocks = [slice(start, start + SAMPLES_TOGETHER) for start in range(0, len(flat), SAMPLES_TOGETHER)]
    if direction == "random":
        along = np.random.default_rng(seed).standard_normal(flat.shape[1])
        along /= np.linalg.norm(along)
    else:
        along = _component(sum(some.T @ some for some in (flat[block] - mean for block in blocks)), direction)
    position = np.concatenate([(flat[block] - mean) @ along for block in blocks])
    extent = np.ptp(position)
    attrs = {"long_name": f"position along {name_of(direction)}", "units": "data extent"}
    return xr.DataArray(position / extent, dims="sample", attrs=attrs)


def _component(covariance: np.ndarray, number: int) -> np.ndarray:
    """The eigenvector (feature) with the largest eigenvalue, or a further one; its largest entry is positive."""
    rank = len(covariance)
    if number > 1:
        variances = scipy.linalg.eigvalsh(covariance)
        rank = int((variances > NEGLIGIBLE * variances[-1]).sum())
    if number > rank:
        raise UserError(
            f"decomposition.projection.direction: the inputs have {rank} principal components, not {number}; lower it"
        )
    place = len(covariance) - number
    direction = scipy.linalg.eigh(covariance, subset_by_index=[place, place])[1][:, 0]
    return direction * np.sign(direction[np.abs(direction).argmax()])
