"""A basis: functions on the samples, each with a frequency; what a measure makes of coefficients goes by frequency.

Several functions may share a frequency: a cosine and a sine, the coefficients of a ring, the Walsh functions of a
degree. All are real.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Bands:
    """Which frequency each function has.

    Attributes:
        frequency: (frequency), ascending, with `long_name` and `units`.
        of: index into it of each function (function); -1 of those that count for none.
    """

    frequency: xr.DataArray
    of: np.ndarray

    @classmethod
    def along(cls, numbers: np.ndarray, attrs: Mapping[str, str], of: np.ndarray) -> Bands:
        """Of frequencies (frequency,) with these `long_name` and `units`."""
        return cls(xr.DataArray(numbers, {"frequency": ("frequency", numbers, attrs)}, "frequency"), of)

    def energy(self, coefficients: xr.DataArray) -> xr.DataArray:
        """Sum of squares (..., frequency) of coefficients (..., function), in their precision; NaN stays NaN."""
        return self.product(coefficients, coefficients)

    def product(self, one: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
        """Sum of products (..., frequency) of two arrays of coefficients (..., function), as of squares."""

        count, each = self.frequency.size, self._each

        def by_frequency(block: np.ndarray, second: np.ndarray) -> np.ndarray:
            if each is None:
                return (block * second) @ (self.of[:, None] == np.arange(count)).astype(block.dtype)
            parts, others = (values.reshape(*values.shape[:-1], count, each) for values in (block, second))
            total = parts[..., 0] * others[..., 0]
            for part in range(1, each):
                total = total + parts[..., part] * others[..., part]
            return total

        return self._reduced(by_frequency, one, other)

    def amplitude(self, coefficients: xr.DataArray) -> xr.DataArray:
        """The root of it."""
        if self._each != 2:
            return np.sqrt(self.energy(coefficients))
        # Real and imaginary part, side by side: three times as fast.
        return self._reduced(
            lambda block: np.abs(np.ascontiguousarray(block).view(np.result_type(block, np.complex64))), coefficients
        )

    @property
    def _each(self) -> int | None:
        """How many functions a frequency has, if they stand together and all have as many."""
        count = self.frequency.size
        each = len(self.of) // max(count, 1)
        return each if np.array_equal(self.of, np.arange(count).repeat(each)) else None

    def _reduced(self, reduce: Callable[..., np.ndarray], *coefficients: xr.DataArray) -> xr.DataArray:
        reduced = over(reduce, *coefficients, dim="function", result="frequency", size=self.frequency.size)
        return reduced.assign_coords(frequency=self.frequency["frequency"])

    def norm(self, coefficients: xr.DataArray) -> xr.DataArray:
        """|F| (..., frequency) of coefficients (..., function, output), over functions and outputs."""
        return np.sqrt(self.energy(coefficients).sum("output", skipna=False))

    def only(self, chosen: xr.DataArray) -> tuple[Bands, np.ndarray]:
        """The chosen ones (frequency,) of the frequencies, and the numbers of the functions that they have."""
        mask = chosen.to_numpy()
        functions = np.flatnonzero((self.of >= 0) & mask[self.of])
        return Bands(self.frequency[mask], (np.cumsum(mask) - 1)[self.of[functions]]), functions


class Basis(ABC):
    """Functions on the samples of a data set.

    Attributes:
        bands: the frequency of each.
        recipe: `kind`, the module of `fpkit.bases` whose `build` makes it, and the options that it takes.
    """

    bands: Bands
    recipe: dict

    @abstractmethod
    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """Coefficients (..., function) of values (..., sample, ...), in their precision; lazy where the values are."""

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """The functions with these numbers, each times its coefficient, summed: (..., sample) from (..., function).

        Of `coefficients` the adjoint, with all that it does to values (centring, a window), so that
        <F[v], c> = <v, adjoint(c)>; not its inverse.

        Args:
            coefficients: of the functions with the numbers `functions` alone, in their order.
        """
        matrix = self.matrix(samples)[:, functions].astype(coefficients.dtype)
        return dot(coefficients, xr.DataArray(matrix, dims=("sample", "function")), ["function"])

    def matrix(self, samples: int) -> np.ndarray:
        """What values are multiplied with to give their coefficients: (sample, function), float32."""
        unit = xr.DataArray(np.eye(samples, dtype=np.float32), dims=("row", "sample"))
        return self.coefficients(unit).transpose("row", "function").to_numpy()


def over(function: Callable[..., np.ndarray], *values: xr.DataArray, dim: str, result: str, size: int) -> xr.DataArray:
    """What `function` makes of arrays (..., dim): (..., result) of that size, in their precision; lazy like them."""
    return xr.apply_ufunc(
        function,
        *values,
        input_core_dims=[[dim]] * len(values),
        output_core_dims=[[result]],
        dask="parallelized",
        output_dtypes=[values[0].dtype],
        dask_gufunc_kwargs={"output_sizes": {result: size}},
    )


def dot(one: xr.DataArray, other: xr.DataArray, dims: Sequence[str]) -> xr.DataArray:
    """The products of two arrays, summed over `dims`, which are all that they share; lazy like the first.

    A matrix product, as `xr.dot` is only where opt_einsum is installed; without, it takes five to twenty times as long.
    """
    kept = [dim for dim in other.dims if dim not in dims]
    return xr.apply_ufunc(
        lambda left, right: np.tensordot(left, right, len(dims)),
        one,
        other,
        input_core_dims=[dims, [*dims, *kept]],
        output_core_dims=[kept],
        dask="parallelized",
        output_dtypes=[np.result_type(one, other)],
        dask_gufunc_kwargs={"output_sizes": {dim: other.sizes[dim] for dim in kept}},
    )
