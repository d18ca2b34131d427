"""The components that a made target is the sum of (`fpkit.datasets.targets`), whatever functions they are."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.bases.basis import Bands, Basis, dot
from fpkit.errors import UserError

# Singular values below this share of the largest are rounding errors: the components are not independent.
DEPENDENT = 1e-5


def build(dataset: xr.Dataset, split: str) -> Components:
    """Of `component_{part} (sample_{part}, component)`, at their `component_frequency (component)`.

    Raises UserError: no such variables, or components that depend on each other on these samples.
    """
    parts = ("train", "test") if split == "all" else (split,)
    lacking = [
        name for name in (*(f"component_{part}" for part in parts), "component_frequency") if name not in dataset
    ]
    if lacking:
        raise UserError(f"components needs {lacking[0]} in the data set; give it a made target (target:)")
    frequency = dataset["component_frequency"]
    order = np.argsort(frequency.to_numpy(), kind="stable")
    values = np.concatenate([dataset[f"component_{part}"].to_numpy() for part in parts]).astype(np.float64)[:, order]
    return Components(values, frequency.to_numpy()[order], frequency.attrs)


class Components(Basis):
    """Coefficients c of values v by least squares, v - mean = sum_b c_b C_b + rest, over centred components C.

    Of the sum of the components each is 1, whatever else they have in common.

    Args:
        components: (sample, component). frequency: (component), ascending; several may share one. attrs: `long_name`
            and `units` of a frequency.
    """

    def __init__(self, components: np.ndarray, frequency: np.ndarray, attrs: dict):
        numbers, of = np.unique(frequency, return_inverse=True)
        self.bands, self.recipe = Bands.along(numbers, attrs, of), {"kind": "components"}
        centred = components - components.mean(axis=0)
        singular = np.linalg.svd(centred, compute_uv=False)
        if len(centred) <= centred.shape[1] or singular[-1] <= DEPENDENT * singular[0]:
            few = f"{components.shape[1]} components are not independent on {len(components)} samples"
            raise UserError(f"components: {few}; give fewer components, or more samples")
        self.rows = np.linalg.pinv(centred)

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""
        return dot(values, self._rows().astype(values.dtype), ["sample"])

    def adjoint(self, coefficients: xr.DataArray, functions: np.ndarray, samples: int) -> xr.DataArray:
        """See `Basis`."""
        return dot(coefficients, self._rows().isel(function=functions).astype(coefficients.dtype), ["function"])

    def matrix(self, samples: int) -> np.ndarray:
        """See `Basis`."""
        return self.rows.T.astype(np.float32)

    def _rows(self) -> xr.DataArray:
        return xr.DataArray(self.rows, dims=("function", "sample"))
