"""The first principal component of the inputs, and Fourier coefficients along it."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.errors import UserError


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
    flat = flat - flat.mean(axis=0, dtype=np.float64)
    # The eigenvector of the covariance with the largest eigenvalue; its largest entry is positive.
    last = flat.shape[1] - 1
    direction = scipy.linalg.eigh(flat.T @ flat, subset_by_index=[last, last])[1][:, 0]
    position = flat @ (direction * np.sign(direction[np.abs(direction).argmax()]))
    extent = np.ptp(position)
    return xr.DataArray(
        position / extent, dims="sample", attrs={"long_name": "position along p", "units": "data extent"}
    )


def centred(values: xr.DataArray) -> xr.DataArray:
    """Values less their mean over `sample`: otherwise the mean leaks into the low frequencies."""
    return values - values.mean("sample", skipna=False)


def coefficients(values: xr.DataArray, position: xr.DataArray, frequency: xr.DataArray) -> xr.DataArray:
    """Non-uniform Fourier coefficients F(k) = 1/n sum_i v_i exp(-2 pi i k t_i) (paper, Sec. 4.1), as cos and sin parts.

    Args:
        values: (..., sample, ...), real; centred here. position: t (sample). frequency: k (frequency).

    Returns:
        Real (..., frequency, part) with the real and imaginary parts along `part`: the squared norm over `part` is
        |F|^2, and all arithmetic stays in the precision of the values.
    """
    phase = -2 * np.pi * position * frequency
    basis = xr.concat([np.cos(phase), np.sin(phase)], "part") / values.sizes["sample"]
    # Centring the basis instead of the values centres every prediction at no cost.
    return xr.dot(values, centred(basis).astype(values.dtype), dim="sample")
