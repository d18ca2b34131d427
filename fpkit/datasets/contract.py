"""What every data set keeps to, the package's and one's own: checked once, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from fpkit.errors import UserError

PARTS = ("train", "test", "validation")


def checked(dataset: Any) -> xr.Dataset:
    """The data set, if it keeps to the contract.

    `x_train (sample_train, *feature)`, `y_train (sample_train, output)`, float32 and finite, at least one sample; the
    same for test, which may be empty, and, where there is one, for validation.

    Raises UserError, one line that names the variable and the remedy, for anything else.
    """
    if not isinstance(dataset, xr.Dataset):
        raise UserError(f"is no xarray.Dataset but of type {type(dataset).__name__}; return one")
    for part in PARTS:
        if part != "validation" or f"x_{part}" in dataset or f"y_{part}" in dataset:
            _check_part(dataset, part)
    if dataset.sizes["sample_train"] == 0:
        raise UserError("x_train holds no sample; give at least one")
    for name, value in dataset.attrs.items():
        if np.asarray(value).dtype.kind not in "iufU":
            what = f"of type {type(value).__name__}, which a netCDF file has no place for"
            raise UserError(f"the attribute {name} is {what}; give numbers or text")
    return dataset


def _check_part(dataset: xr.Dataset, part: str) -> None:
    sample = f"sample_{part}"
    for axis, others in (("x", "feature, ..."), ("y", "output")):
        name = f"{axis}_{part}"
        if name not in dataset:
            raise UserError(f"{name} is missing; give it, without any sample if there is no {part} part")
        values = dataset[name]
        if values.dims[:1] != (sample,) or values.ndim < 2 or (axis == "y" and values.dims[1:] != ("output",)):
            given = ", ".join(map(str, values.dims))
            raise UserError(f"{name} has the dimensions ({given}); give ({sample}, {others})")
        if values.dtype != np.float32:
            raise UserError(f"{name} is of type {values.dtype}; give float32")
        like = dataset[f"{axis}_train"].shape[1:]
        if values.shape[1:] != like or 0 in like:
            shapes = f"{values.shape[1:]}, of {axis}_train {like}"
            raise UserError(f"a sample of {name} has the shape {shapes}; make them alike, and not empty")
        bad = ~np.isfinite(values.to_numpy()).all(axis=tuple(range(1, values.ndim)))
        if bad.any():
            raise UserError(
                f"{name} holds NaN or infinity in {bad.sum()} of {len(bad)} samples, first in sample {bad.argmax()};"
                " mend or drop them"
            )
