"""The discrete Fourier transform on a uniform grid, in one dimension or, of a picture, in two."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.bases import rings
from fpkit.bases.basis import Bands, Basis, over
from fpkit.datasets.points import evenly_spaced
from fpkit.errors import UserError

FREQUENCY = {"long_name": "frequency", "units": "cycles per unit of x"}


def build(dataset: xr.Dataset, split: str) -> Grid | rings.Rings:
    """On `position_{split}`, or on the pixels of a picture (`row_train`, `column_train`), up to the Nyquist frequency.

    Of a picture the frequency is |k|, in rings one cycle per image wide around 1, 2, ... cycles.

    Raises UserError: no such grid is there, or not uniform.
    """
    if {"row_train", "column_train"} <= set(dataset.coords):
        size = rings.size_of(dataset, split, "fft")
        return rings.Rings(size, size // 2, 1, 0.5, {"kind": "fourier"})
    if f"position_{split}" not in dataset:
        raise UserError(
            "fft needs inputs on a line, or the pixels of a picture, row by row, equally spaced:"
            f" position_{split} (sample_{split}) is not there; add it to the data set, set"
            " record.split to train or test, or take another measure"
        )
    position = dataset[f"position_{split}"].to_numpy().astype(np.float64)
    if not evenly_spaced(position):
        raise UserError(f"fft needs a uniform grid of {split} samples; give at least two, equally spaced")
    return Grid(position)


class Grid(Basis):
    """F(k) = 1/n sum_j v_j exp(-2 pi i k x_j), k in cycles per unit of x, as real and imaginary part.

    Args:
        position: x (sample,), equally spaced.
    """

    def __init__(self, position: np.ndarray):
        # One that descends is the same grid: of real values, what is turned round has the same energies and products.
        grid = np.fft.rfftfreq(len(position), abs(np.diff(position).mean()))
        self.bands = Bands.along(grid, FREQUENCY, np.arange(len(grid)).repeat(2))
        self.position, self.recipe = position, {"kind": "fourier"}

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""

        def transform(block: np.ndarray) -> np.ndarray:
            # Real and imaginary parts lie side by side, as a frequency's two functions do.
            return np.ascontiguousarray(np.fft.rfft(block, axis=-1, norm="forward")).view(block.dtype)

        return over(transform, values, dim="sample", result="function", size=len(self.bands.of))

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """See `Basis`."""

        def transform(block: np.ndarray) -> np.ndarray:
            whole = np.zeros((*block.shape[:-1], len(self.bands.of)), block.dtype)
            whole[..., functions] = block
            half = whole.view(np.result_type(block, np.complex64)) / 2  # which stands for its mirror image, too
            half[..., 0] *= 2
            if samples % 2 == 0:
                half[..., -1] *= 2
            return np.fft.irfft(half, samples, axis=-1)

        return over(transform, coefficients, dim="function", result="sample", size=samples)
