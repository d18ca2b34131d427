"""Walsh functions on all sign vectors: products of their signs over subsets of the bits.

The Walsh coefficient of v on a subset S of the bits is 1/2^d sum_x v(x) prod_{j in S} x_j; the degree |S| plays the
frequency's part. Vectors and subsets are numbered alike: bit j of i is set where x_j = -1, or where j is in S.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.bases.basis import Bands, Basis, over
from fpkit.errors import UserError

FREQUENCY = {"long_name": "degree |S|", "units": "bits"}


def build(dataset: xr.Dataset, split: str) -> Walsh:
    """Of the sign vectors that `index_train` and `index_test` number.

    Raises UserError: another split than `all`, or samples that are not all sign vectors.
    """
    if "index_train" not in dataset or "index_test" not in dataset:
        raise UserError("walsh needs all vectors of signs, -1 and 1, as inputs; use kind: parity, or another measure")
    index = np.concatenate([dataset["index_train"], dataset["index_test"]])
    if split != "all":
        raise UserError(f"walsh needs predictions on all {len(index)} samples ({split}); set record.split to all")
    if len(index).bit_count() != 1 or not np.array_equal(np.sort(index), np.arange(len(index))):
        raise UserError(f"walsh needs each of 2^d sign vectors once; the dataset's {len(index)} samples are others")
    return Walsh(index)


class Walsh(Basis):
    """Functions by the number of their subset, with its degree for a frequency.

    Args:
        index: number of the sign vector of each sample (sample,).
    """

    def __init__(self, index: np.ndarray):
        degrees = np.arange(len(index).bit_length())
        self.bands = Bands.along(degrees, FREQUENCY, np.bitwise_count(np.arange(len(index))).astype(int))
        self.index, self.recipe = index, {"kind": "walsh"}

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""
        order = np.argsort(self.index)
        return over(
            lambda block: transform(block[..., order]), values, dim="sample", result="function", size=len(order)
        )

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """See `Basis`."""

        def synthesis(block: np.ndarray) -> np.ndarray:
            whole = np.zeros((*block.shape[:-1], samples), block.dtype)
            whole[..., functions] = block
            return transform(whole)[..., self.index]

        return over(synthesis, coefficients, dim="function", result="sample", size=samples)


def transform(values: np.ndarray) -> np.ndarray:
    """Walsh coefficients (..., subset) of values (..., vector), both by number, in the precision of the values.

    The Hadamard matrix is a Kronecker product: two small ones, on the high and on the low bits, do its work.
    """
    size = values.shape[-1]
    low = 2 ** ((size.bit_length() - 1) // 2)
    on_high, on_low = (scipy.linalg.hadamard(n).astype(values.dtype) for n in (size // low, low))
    grid = values.reshape(*values.shape[:-1], size // low, low)
    return (on_high @ grid @ on_low).reshape(values.shape) / values.dtype.type(size)
