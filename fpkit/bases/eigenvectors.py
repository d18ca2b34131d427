"""The leading eigenvectors of a kernel on the samples, by rank."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.bases.basis import Bands, Basis, dot

FREQUENCY = {"long_name": "rank of the kernel's eigenvector", "units": "1"}


class Eigenvectors(Basis):
    """Coefficients 1/sqrt(n) sum_i u_i v_i along eigenvectors u of unit norm, of rank 1 (largest eigenvalue), 2, ...

    Along all of them, the sum of squares is the mean square of the values.

    Args:
        kernel: (sample, sample), symmetric. count: how many; all, where there are fewer samples.
    """

    def __init__(self, kernel: np.ndarray, count: int):
        size = len(kernel)
        count = min(count, size)
        vectors = scipy.linalg.eigh(kernel, subset_by_index=[size - count, size - 1])[1][:, ::-1]
        # Either sign is one; the largest entry is positive.
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
        self.functions = xr.DataArray(vectors / np.sqrt(size), dims=("sample", "function"))
        self.bands = Bands.along(np.arange(1, count + 1), FREQUENCY, np.arange(count))
        self.recipe = {"kind": "eigenvectors", "modes": count}

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""
        return dot(values, self.functions.astype(values.dtype), ["sample"])
