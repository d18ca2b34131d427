"""Discrete Fourier transform of outputs on their uniform grid: in one dimension (paper, Sec. 3), or of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from fpkit.bases import fourier
from fpkit.bases.rings import Rings
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import check_present, described, finish, target_of, telling_steps
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
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
    file: Path | None = None,
) -> xr.Dataset:
    """Amplitudes |F[h]|, |F[y]| and relative errors at the followed frequencies.

    F[y](k) = 1/n sum_j y_j exp(-2 pi i k x_j), k in cycles per unit of x; of a picture, see `fpkit.bases.rings.Rings`:
    there an amplitude is the root mean square over a ring of |k|, one cycle per image wide.

    Args:
        predictions: see `fpkit.measures.decomposition.Decomposition`.
        dataset: with `position_{split}`, the uniform grid, or with `row_train` and `column_train` of a picture.
        split, threshold, hold, frequencies, peak_height, nulls, null_draws: see `Fft` in
            `fpkit.config.measures`.
        file: takes `amplitude`, `output_median`, errors and remaining shares of a large store, while they are made:
            see `fpkit.measures.spectra.compute`. What is returned lacks them, then.

    Returns:
        amplitude (step, member, frequency, output) up to the Nyquist frequency, target_amplitude (output, frequency),
        and what `Decomposition.spectra` gives; `target` (sample, output) and, of predictions, `snapshot_output`
        (snapshot, member, sample, output), the outputs at three telling steps, and `output_median` (step, sample,
        output), over members; of a noisy target also `clean_amplitude` (output, frequency), that of the target without
        the noise.

    Raises:
        UserError: the grid is not there or not uniform, a followed frequency is not on the FFT grid, or the target is
            constant, or has nothing at its frequencies.
    """
    _, target = target_of(dataset, split)
    basis = fourier.build(dataset, split)
    along = Decomposition(predictions, basis, target, "fft")

    picture = isinstance(basis, Rings)
    # Complex coefficients: one for each frequency of a line, many for a ring.
    count = np.bincount(basis.bands.of[basis.bands.of >= 0]) // 2
    scale = xr.DataArray(1 / np.sqrt(count), dims="frequency")

    def amplitude(coefficients: xr.DataArray, long_name: str = "|F[y]|") -> xr.DataArray:
        """|F| of each output."""
        size = basis.bands.amplitude(coefficients)
        if picture:
            size, long_name = size * scale.astype(size.dtype), f"RMS {long_name} in the ring"
        return described(size, long_name)

    large = {"amplitude": amplitude(along.coefficient, "|F[h]|").astype(np.float32)}
    if along.recorded is None:
        large["output_median"] = _median(along.outputs, diverged(predictions))
    check_present(along.target_amplitude, target, "fft")
    followed = _followed(along.target_amplitude * scale, frequencies, peak_height)
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws, large=large, file=file)
    spectra["target_amplitude"] = amplitude(along.target_coefficient)
    spectra["target"] = described(target, "target y")
    if along.recorded is None:
        snapshot = along.outputs.sel(step=telling_steps(spectra["first_passage"], predictions["step"]))
        spectra["snapshot_output"] = snapshot.rename(step="snapshot")
    if f"clean_{split}" in dataset:
        clean = dataset[f"clean_{split}"].rename({f"sample_{split}": "sample"}).astype(np.float64)
        spectra["clean_amplitude"] = amplitude(basis.coefficients(clean), "|F[y]| without noise")
    spectra = spectra.assign_coords(_places(dataset, basis))
    return finish(spectra, predictions, measure="fft", threshold=threshold, hold=hold)


def _places(dataset: xr.Dataset, basis: fourier.Grid | Rings) -> dict[str, tuple]:
    """Coordinates (sample): of a line its `position`, of a picture `row` and `column` of the pixel."""
    if not isinstance(basis, Rings):
        return {"position": ("sample", basis.position, {"long_name": "x", "units": "unit of x"})}
    names = {"row": "row of the pixel", "column": "column of the pixel"}
    return {
        name: ("sample", dataset[f"{name}_train"].to_numpy(), {"long_name": long_name, "units": "pixel"})
        for name, long_name in names.items()
    }


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

    if kept.chunks:  # of several stores, each of which has members of its own
        kept = kept.chunk(member=-1)
    values = xr.apply_ufunc(
        median,
        kept,
        input_core_dims=[["member"]],
        dask="parallelized",
        output_dtypes=[outputs.dtype],
    )
    return described(values.astype(np.float32), "median output over members")


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
