"""Discrete Fourier transform of one-dimensional outputs on their uniform grid (paper, Sec. 3)."""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr

from fpkit.errors import UserError
from fpkit.predictions import diverged
from fpkit.spectra.common import finish, norm, outputs_of, target_of, telling_steps, with_convergence


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    frequencies: list[float] | None,
    peak_height: float,
) -> xr.Dataset:
    """Amplitudes |F[h]|, |F[y]| and relative errors at the followed frequencies.

    F[y](k) = 1/n sum_j y_j exp(-2 pi i k x_j), k in cycles per unit of x.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset: with `position_{split}`, the uniform grid.
        split, threshold, hold, frequencies, peak_height: see `fpkit.config.Fft`.

    Returns:
        amplitude (step, member, frequency, output) up to the Nyquist frequency, target_amplitude (frequency, output),
        relative_error (step, member, frequency), NaN off the followed frequencies, with its convergence; `followed`
        (frequency); `target` (sample, output), `snapshot_output` (snapshot, member, sample, output), the outputs at
        three telling steps, and `output_median` (step, sample, output), over members; of a noisy target also
        `clean_amplitude` (frequency, output), that of the target without the noise.

    Raises:
        UserError: the grid is not uniform, a followed frequency is not on the FFT grid, or the target is constant.
    """
    _, target = target_of(dataset, split)
    position = dataset[f"position_{split}"].to_numpy().astype(np.float64)
    spacing = np.diff(position)
    if len(spacing) == 0 or not np.allclose(spacing, spacing.mean(), rtol=1e-3):
        raise UserError(f"fft needs a uniform grid of {split} samples; give at least two, equally spaced")
    grid = scipy.fft.rfftfreq(len(position), spacing.mean())

    target_coefficient = _coefficients(target, grid)
    target_amplitude = abs(target_coefficient)
    followed = _followed(norm(target_amplitude, "output"), frequencies, peak_height)
    outputs = outputs_of(predictions)
    coefficient = _coefficients(outputs, grid)
    bad = diverged(predictions)
    kept = outputs.isel(member=np.flatnonzero(~bad | bad.all()))  # of nobody the median is NaN
    # Off the followed frequencies |F[y]| may be zero, and the ratio says nothing.
    some = {"frequency": np.flatnonzero(followed)}
    error = norm((coefficient - target_coefficient).isel(some), "output")
    error = error / norm(target_coefficient.isel(some), "output")
    # All at once: a lazy store is read once.
    computed = xr.Dataset(
        {
            "error": error.astype(np.float32),
            "amplitude": abs(coefficient).astype(np.float32),
            "output_median": kept.median("member", skipna=False).astype(np.float32),
        }
    ).compute()
    measured = with_convergence(computed["error"].isel(some), threshold, hold)
    measured = {name: values.reindex(frequency=grid) for name, values in measured.items()}
    snapshot = outputs.sel(step=telling_steps(measured["first_passage"], predictions["step"]))

    spectra = xr.Dataset(
        {
            "amplitude": computed["amplitude"].assign_attrs(long_name="|F[h]|", units="1"),
            "target_amplitude": target_amplitude.assign_attrs(long_name="|F[y]|", units="1"),
            "followed": followed.assign_attrs(long_name="frequency is followed", units="1"),
            "target": target.assign_attrs(long_name="target y", units="1"),
            "snapshot_output": snapshot.rename(step="snapshot"),
            "output_median": computed["output_median"].assign_attrs(long_name="median output over members", units="1"),
            **measured,
        }
    )
    if f"clean_{split}" in dataset:
        clean = dataset[f"clean_{split}"].rename({f"sample_{split}": "sample"}).astype(np.float64)
        amplitude = abs(_coefficients(clean, grid))
        spectra["clean_amplitude"] = amplitude.assign_attrs(long_name="|F[y]| without noise", units="1")
    spectra = spectra.assign_coords(position=("sample", position, {"long_name": "x", "units": "unit of x"}))
    return finish(spectra, predictions, measure="fft", threshold=threshold, hold=hold)


def _coefficients(values: xr.DataArray, grid: np.ndarray) -> xr.DataArray:
    """Fourier coefficients over `sample`, one per frequency of the grid; float32 stays single precision."""
    n = values.sizes["sample"]
    coefficient = xr.apply_ufunc(
        lambda block: scipy.fft.rfft(block, axis=-1) / np.float32(n),
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[["frequency"]],
        dask="parallelized",
        output_dtypes=[np.complex64 if values.dtype == np.float32 else np.complex128],
        dask_gufunc_kwargs={"output_sizes": {"frequency": len(grid)}},
    )
    return coefficient.assign_coords(frequency=("frequency", grid, FREQUENCY))


FREQUENCY = {"long_name": "frequency", "units": "cycles per unit of x"}


def _followed(amplitude: xr.DataArray, frequencies: list[float] | None, peak_height: float) -> xr.DataArray:
    """The given frequencies, or the peaks (zero frequency excluded), as a mask (frequency)."""
    grid = amplitude["frequency"]
    if frequencies is None:
        rest = amplitude.where(grid > 0, 0)
        # A peak stands above both neighbours' slopes or is high by itself: neighbouring sines are peaks too.
        return rest >= peak_height * rest.max()
    spacing = float(grid[1] - grid[0])
    nearest = grid.sel(frequency=frequencies, method="nearest")
    off = [f for f, g in zip(frequencies, nearest.to_numpy(), strict=True) if abs(f - g) > 1e-3 * spacing]
    if off:
        raise UserError(
            f"decomposition.fft.frequencies: {off[0]:g} is not a multiple of {spacing:g}, the grid's resolution"
        )
    return grid.isin(nearest)
