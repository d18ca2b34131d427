"""The two-dimensional Fourier transform of a picture under a Hann window, by ring of |k|."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.bases.basis import Bands, Basis, over
from fpkit.errors import UserError

FREQUENCY = {"long_name": "|k|, centre of the ring", "units": "cycles per image"}


def build(dataset: xr.Dataset, split: str, *, rings: int) -> Rings:
    """So many rings of equal width, from 0 to the Nyquist frequency, of the picture that the training samples are.

    Raises UserError: the samples are not the pixels of a picture.
    """
    size = size_of(dataset, split, "radial")
    return Rings(size, rings, size / 2 / rings, 0, {"kind": "rings", "rings": rings})


def size_of(dataset: xr.Dataset, split: str, measure: str) -> int:
    """Pixels per side of the picture whose pixels, row by row, the training samples are, by the attribute `size`.

    Raises UserError, in the name of a measure: they are not, or others were recorded.
    """
    size = int(dataset.attrs.get("size", 0))
    if dataset.sizes["sample_train"] != size**2 or split == "test":
        raise UserError(f"{measure} needs predictions on all pixels of a picture; set record.split to train")
    return size


class Rings(Basis):
    """F(k) = sum_x w(x) (v(x) - mean) exp(-2 pi i k.x) / sum_x w(x), with the mean under the Hann window w.

    Without the window, the jump between opposite edges of the picture leaks into all high frequencies. The constant
    belongs to no ring, nor do the corners beyond the Nyquist frequency.

    Args:
        size: pixels per side. rings: how many. width, start: of a ring, and where the first one begins, in cycles per
            image. recipe: see `Basis`.
    """

    def __init__(self, size: int, rings: int, width: float, start: float, recipe: dict):
        centres = start + (np.arange(rings) + 0.5) * width
        k = np.fft.fftfreq(size, 1 / size)
        radius = np.hypot(*np.meshgrid(k, k)).ravel()
        # The Nyquist frequency itself belongs to the last ring.
        ring = np.minimum((radius - start) / width, rings - 1e-9).astype(int)
        inside = (radius > 0) & (radius >= start) & (radius <= size / 2)
        self.bands = Bands.along(centres, FREQUENCY, np.where(inside, ring, -1).repeat(2))
        self.size, self.recipe = size, recipe

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""
        import scipy.fft  # of pictures alone: it takes as long as much of what is done to a line

        window = self._window()

        def transform(block: np.ndarray) -> np.ndarray:
            w = window.astype(block.dtype)
            pictures = block.reshape(*block.shape[:-1], self.size, self.size)
            mean = (w * pictures).sum(axis=(-2, -1), keepdims=True)
            coefficient = np.ascontiguousarray(scipy.fft.fft2(w * (pictures - mean)))
            return coefficient.view(block.dtype).reshape(*block.shape[:-1], -1)

        return over(transform, values, dim="sample", result="function", size=len(self.bands.of))

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """See `Basis`."""
        import scipy.fft

        window = self._window()

        def transform(block: np.ndarray) -> np.ndarray:
            w = window.astype(block.dtype)
            whole = np.zeros((*block.shape[:-1], len(self.bands.of)), block.dtype)
            whole[..., functions] = block
            pictures = whole.view(np.result_type(block, np.complex64)).reshape(*block.shape[:-1], self.size, self.size)
            waves = w * scipy.fft.ifft2(pictures, norm="forward").real
            return (waves - w * waves.sum(axis=(-2, -1), keepdims=True)).reshape(*block.shape[:-1], -1)

        return over(transform, coefficients, dim="function", result="sample", size=samples)

    def _window(self) -> np.ndarray:
        """The Hann window (row, column), of sum 1."""
        hann = np.hanning(self.size + 1)[:-1]  # of a period
        return np.outer(hann, hann) / hann.sum() ** 2
