"""Waves along the first principal component of the inputs (paper, Sec. 4.1)."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.bases.waves import Waves
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError

SAMPLES_TOGETHER = 8192
FREQUENCY = {"long_name": "frequency along p", "units": "cycles per data extent"}


def build(dataset: xr.Dataset, split: str, *, highest: int) -> Waves:
    """Of frequencies 1, 2, ..., highest, in cycles over the extent of the data.

    Raises UserError: fewer than two samples, or all inputs alike.
    """
    position = coordinate(samples_of(dataset, split)[0])
    return Waves(position, range(1, highest + 1), FREQUENCY, {"kind": "principal", "highest": highest})


def coordinate(x: xr.DataArray) -> xr.DataArray:
    """Projection of centred inputs (sample, *feature) on their first principal component, scaled to extent 1.

    Dimensionless (sample), so that a frequency along it counts cycles over the extent of the data.

    Raises:
        UserError: fewer than two samples, or all inputs alike.
    """
    flat = x.to_numpy().reshape(x.sizes["sample"], -1)
    if len(flat) < 2:
        raise UserError("projection needs at least two samples; raise datasets.*.limit")
    if np.ptp(flat, axis=0).max() == 0:
        raise UserError("projection needs inputs that differ; all of them are alike")
    # Some samples at a time: in double precision, all would be twice as large as the data.
    mean = flat.mean(axis=0, dtype=np.float64)
    blocks = [slice(start, start + SAMPLES_TOGETHER) for start in range(0, len(flat), SAMPLES_TOGETHER)]
    covariance = sum(some.T @ some for some in (flat[block] - mean for block in blocks))
    # The eigenvector of the covariance with the largest eigenvalue; its largest entry is positive.
    last = flat.shape[1] - 1
    direction = scipy.linalg.eigh(covariance, subset_by_index=[last, last])[1][:, 0]
    direction *= np.sign(direction[np.abs(direction).argmax()])
    position = np.concatenate([(flat[block] - mean) @ direction for block in blocks])
    extent = np.ptp(position)
    return xr.DataArray(
        position / extent, dims="sample", attrs={"long_name": "position along p", "units": "data extent"}
    )
