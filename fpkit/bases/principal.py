"""The first principal component of the inputs, and Fourier coefficients along it.

Taken of predictions when they are decomposed, or of outputs while they are made (`record.content: spectrum`).
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.errors import UserError

# From here on, the fast transform is faster than the product with cosines and sines.
MANY_FREQUENCIES = 64
FINUFFT_ERROR = 1e-7
SAMPLES_TOGETHER = 8192
DEAL_SEED = 20180705
FREQUENCY = {"long_name": "frequency along p", "units": "cycles per data extent"}


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
    whole = np.array_equal(frequency, np.arange(1, frequency.size + 1))
    if whole and frequency.size > MANY_FREQUENCIES:
        return _by_finufft(values, position, frequency)
    # Centring the basis instead of the values centres every prediction at no cost.
    return xr.dot(values, basis(position, frequency).astype(values.dtype), dim="sample")


def basis(position: xr.DataArray, frequency: xr.DataArray) -> xr.DataArray:
    """What values are multiplied with to give their coefficients: (part, sample, frequency), centred over `sample`."""
    phase = -2 * np.pi * position * frequency
    return centred(xr.concat([np.cos(phase), np.sin(phase)], "part") / position.size)


def frequency_grid(highest: int) -> xr.DataArray:
    """1, 2, ..., highest (frequency), in cycles per data extent."""
    numbers = np.arange(1, highest + 1)
    return xr.DataArray(numbers, {"frequency": ("frequency", numbers, FREQUENCY)}, "frequency")


def deals(position: xr.DataArray) -> list[xr.DataArray]:
    """The positions as they are, and dealt out anew over the samples: always in the same way."""
    order = np.random.default_rng(DEAL_SEED).permutation(position.size)
    return [position, position.copy(data=position.to_numpy()[order])]


def record_basis(x: np.ndarray, highest: int) -> np.ndarray:
    """What a training multiplies its outputs with, to record coefficients instead.

    Args:
        x: inputs (sample, *feature) of the recorded samples. highest: the largest frequency.

    Returns:
        (sample, deal * frequency * part), float32; see `fpkit.store.predictions.Writer`.

    Raises:
        UserError: fewer than two samples, or all inputs alike.
    """
    position = coordinate(xr.DataArray(x, dims=("sample", *(f"feature_{axis}" for axis in range(1, x.ndim)))))
    both = [basis(dealt, frequency_grid(highest)).astype(np.float32) for dealt in deals(position)]
    return xr.concat(both, "deal").transpose("sample", "deal", "frequency", "part").to_numpy().reshape(len(x), -1)


def _by_finufft(values: xr.DataArray, position: xr.DataArray, frequency: xr.DataArray) -> xr.DataArray:
    """The same by a fast transform, whose time hardly grows with the number of frequencies, 1, 2, ... here.

    In double precision: in single precision, positions are too coarse for high frequencies.
    """
    import finufft

    turns = position.to_numpy().astype(np.float64)
    angle = 2 * np.pi * (turns - np.round(turns))

    def transform(block: np.ndarray) -> np.ndarray:
        flat = block.reshape(-1, block.shape[-1]).astype(np.float64, order="C")
        flat -= flat.mean(axis=1, keepdims=True)
        if len(flat) % 2:
            flat = np.concatenate([flat, np.zeros_like(flat[:1])])
        # Two real vectors make one complex one; their coefficients part by symmetry.
        both = finufft.nufft1d1(angle, flat[::2] + 1j * flat[1::2], 2 * frequency.size + 1, eps=FINUFFT_ERROR, isign=-1)
        both = both.reshape(-1, both.shape[-1]) / len(turns)
        positive, negative = both[:, frequency.size + 1 :], both[:, : frequency.size][:, ::-1].conj()
        parted = np.stack([positive + negative, (positive - negative) / 1j], axis=1).reshape(len(flat), -1) / 2
        parts = np.stack([parted.real, parted.imag], axis=-1).astype(block.dtype)
        return parts[: block.size // block.shape[-1]].reshape(*block.shape[:-1], frequency.size, 2)

    transformed = xr.apply_ufunc(
        transform,
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[["frequency", "part"]],
        dask="parallelized",
        output_dtypes=[values.dtype],
        dask_gufunc_kwargs={"output_sizes": {"frequency": frequency.size, "part": 2}},
    )
    return transformed.assign_coords(frequency.coords)
