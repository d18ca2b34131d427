"""Discrete Fourier transform of one-dimensional outputs on their uniform grid (paper, Sec. 3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.fft
import xarray as xr

from fpkit.errors import UserError
from fpkit.measures.common import (
    add_some,
    compute,
    finish,
    norm,
    outputs_of,
    target_of,
    telling_steps,
    with_convergence,
)
from fpkit.store.predictions import diverged


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    frequencies: list[float] | None,
    peak_height: float,
    file: Path | None = None,
) -> xr.Dataset:
    """Amplitudes |F[h]|, |F[y]| and relative errors at the followed frequencies.

    F[y](k) = 1/n sum_j y_j exp(-2 pi i k x_j), k in cycles per unit of x.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset: with `position_{split}`, the uniform grid.
        split, threshold, hold, frequencies, peak_height: see `Fft` in `fpkit.config.measures`.
        file: takes `amplitude`, `output_median` and `relative_error` of a store that is large, while they are made:
            see `fpkit.measures.common.compute`. What is returned lacks them, then.

    Returns:
        amplitude (step, member, frequency, output) up to the Nyquist frequency, target_amplitude (frequency, output),
        relative_error (step, member, frequency), NaN off the followed frequencies, with its convergence; `followed`
        (frequency); `target` (sample, output), `snapshot_output` (snapshot, member, sample, output), the outputs at
        three telling steps, and `output_median` (step, sample, output), over members; of a noisy target also
        `clean_amplitude` (frequency, output), that of the target without the noise.

    Raises:
        UserError: the grid is not there or not uniform, a followed frequency is not on the FFT grid, or the target is
            constant.
    """
    _, target = target_of(dataset, split)
    if f"position_{split}" not in dataset:
        raise UserError(
            f"fft needs the coordinate position_{split} (sample_{split}); add it to the data set, or set record.split"
            " to train or test"
        )
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
    # Off the followed frequencies |F[y]| may be zero, and the ratio says nothing.
    some = {"frequency": np.flatnonzero(followed)}
    target_part = target_coefficient.isel(some)
    error = norm(coefficient.isel(some) - target_part, "output") / norm(target_part, "output")
    large = {
        "amplitude": abs(coefficient).astype(np.float32).assign_attrs(long_name="|F[h]|", units="1"),
        "output_median": _median(outputs, diverged(predictions)),
    }
    error, large = compute(error.astype(np.float32), xr.Dataset(large), file)
    measured = with_convergence(error, threshold, hold)
    if not large:
        add_some(file, "relative_error", measured.pop("relative_error").transpose(..., "frequency"), followed)
    measured = {name: values.reindex(frequency=grid) for name, values in measured.items()}
    snapshot = outputs.sel(step=telling_steps(measured["first_passage"], predictions["step"]))

    spectra = xr.Dataset(
        {
            "target_amplitude": target_amplitude.assign_attrs(long_name="|F[y]|", units="1"),
            "followed": followed.assign_attrs(long_name="frequency is followed", units="1"),
            "target": target.assign_attrs(long_name="target y", units="1"),
            "snapshot_output": snapshot.rename(step="snapshot"),
            **large,
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
    coefficient = xr.apply_ufunc(
        lambda block: scipy.fft.rfft(block, axis=-1, norm="forward"),
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[["frequency"]],
        dask="parallelized",
        output_dtypes=[np.complex64 if values.dtype == np.float32 else np.complex128],
        dask_gufunc_kwargs={"output_sizes": {"frequency": len(grid)}},
    )
    return coefficient.assign_coords(frequency=("frequency", grid, FREQUENCY))


FREQUENCY = {"long_name": "frequency", "units": "cycles per unit of x"}


def _median(outputs: xr.DataArray, bad: xr.DataArray) -> xr.DataArray:
    """Median (step, sample, output) over the members that did not diverge; NaN where all did."""
    kept = outputs if bad.all() or not bad.any() else outputs.isel(member=np.flatnonzero(~bad))
    middle = [(kept.sizes["member"] - 1) // 2, kept.sizes["member"] // 2]

    def median(block: np.ndarray) -> np.ndarray:
        result = np.empty(block.shape[:-1], block.dtype)
        for record, values in zip(result, block, strict=True):  # one fits into the cache
            ordered = np.sort(np.ascontiguousarray(values), axis=-1)  # five times as fast as np.median
            # What is not a number comes last.
            record[...] = np.where(np.isnan(ordered[..., -1]), np.nan, ordered[..., middle].mean(axis=-1))
        return result

    values = xr.apply_ufunc(
        median,
        kept,
        input_core_dims=[["member"]],
        dask="parallelized",
        output_dtypes=[outputs.dtype],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return values.astype(np.float32).assign_attrs(long_name="median output over members", units="1")


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
    if off and off[0] > grid[-1]:
        raise UserError(
            f"decomposition.fft.frequencies: {off[0]:g} is beyond {float(grid[-1]):g}, the grid's highest; lower it"
        )
    if off:
        raise UserError(
            f"decomposition.fft.frequencies: {off[0]:g} is not a multiple of {spacing:g}, the grid's resolution"
        )
    return grid.isin(nearest)
