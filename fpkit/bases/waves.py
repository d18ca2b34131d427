"""Cosines and sines along a coordinate of the samples, wherever on it they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import xarray as xr

from fpkit.bases.basis import Bands, Basis, dot, over

# From here on, the fast transform is faster than the product with cosines and sines.
MANY_FREQUENCIES = 64
FINUFFT_ERROR = 1e-7


class Waves(Basis):
    """F(k) = 1/n sum_i v_i exp(-2 pi i k t_i) of centred values v (paper, Sec. 4.1), as real and imaginary part.

    Args:
        position: t (sample). frequencies: k. attrs: `long_name` and `units` of a frequency. recipe: see `Basis`.
    """

    def __init__(
        self,
        position: xr.DataArray,
        frequencies: Sequence[float],
        attrs: Mapping[str, str] = MappingProxyType({}),
        recipe: Mapping = MappingProxyType({}),
    ):
        numbers = np.asarray(frequencies)
        self.bands = Bands.along(numbers, attrs, np.arange(len(numbers)).repeat(2))
        self.position, self.recipe = position, dict(recipe)

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`; what is squared and summed over a frequency's two functions is |F|^2."""
        numbers = self.bands.frequency.to_numpy()
        if len(numbers) > MANY_FREQUENCIES and np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
            return self._by_finufft(values)
        return dot(values, self._waves().astype(values.dtype), ["sample"])

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """See `Basis`."""
        return dot(coefficients, self._waves(functions).astype(coefficients.dtype), ["function"])

    def matrix(self, samples: int) -> np.ndarray:
        """See `Basis`; never by the fast transform."""
        return self._waves().to_numpy().astype(np.float32)

    def _waves(self, functions: np.ndarray | slice = slice(None)) -> xr.DataArray:
        """(sample, function), centred over `sample`, which centres every prediction at no cost."""
        frequency = self.bands.frequency.to_numpy().repeat(2)[functions]
        quarter = np.tile([0, 0.5 * np.pi], self.bands.frequency.size)[functions]  # a sine is a cosine, later
        phase = -2 * np.pi * self.position.to_numpy()[:, None] * frequency
        waves = np.cos(phase - quarter) / len(phase)
        return xr.DataArray(waves - waves.mean(axis=0), dims=("sample", "function"))

    def _by_finufft(self, values: xr.DataArray) -> xr.DataArray:
        """The same by a fast transform, whose time hardly grows with the number of frequencies, 1, 2, ... here.

        In double precision: in single precision, positions are too coarse for high frequencies.
        """
        import finufft

        turns, highest = self.position.to_numpy().astype(np.float64), self.bands.frequency.size
        angle = 2 * np.pi * (turns - np.round(turns))

        def transform(block: np.ndarray) -> np.ndarray:
            flat = block.reshape(-1, block.shape[-1]).astype(np.float64, order="C")
            flat -= flat.mean(axis=1, keepdims=True)
            if len(flat) % 2:
                flat = np.concatenate([flat, np.zeros_like(flat[:1])])
            # Two real vectors make one complex one; their coefficients part by symmetry.
            both = finufft.nufft1d1(angle, flat[::2] + 1j * flat[1::2], 2 * highest + 1, eps=FINUFFT_ERROR, isign=-1)
            both = both.reshape(-1, both.shape[-1]) / len(turns)
            positive, negative = both[:, highest + 1 :], both[:, :highest][:, ::-1].conj()
            parted = np.stack([positive + negative, (positive - negative) / 1j], axis=1).reshape(len(flat), -1) / 2
            parts = np.ascontiguousarray(parted).view(np.float64).astype(block.dtype)
            return parts[: block.size // block.shape[-1]].reshape(*block.shape[:-1], 2 * highest)

        return over(transform, values, dim="sample", result="function", size=2 * highest)
