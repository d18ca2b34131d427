"""What every data set keeps to, the package's and one's own: checked once, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fpkit.errors import UserError
from fpkit.store import netcdf

PARTS = ("train", "test", "validation")


def checked(dataset: Any) -> xr.Dataset:
    """The data set as it is to be written, if it keeps to the contract.

    `x_train (sample_train, *feature)`, `y_train (sample_train, output)`, float32 and finite, at least one sample; the
    same for test, which may be empty, and, where there is one, for validation. What a target is the sum of may stand
    beside it, `component_train (sample_train, component)`, with `component_frequency (component)`. Whatever else is in
    it fits a netCDF file. How a file that it was read from had packed it is forgotten, its order of bytes too.

    Raises UserError, one line that names the variable and the remedy, for anything else.
    """
    if not isinstance(dataset, xr.Dataset):
        raise UserError(f"is no xarray.Dataset but of type {type(dataset).__name__}; return one")
    dataset = _native(dataset.drop_encoding())
    for part in PARTS:
        if part != "validation" or f"x_{part}" in dataset or f"y_{part}" in dataset:
            _check_part(dataset, part)
            _check_components(dataset, part)
    if dataset.sizes["sample_train"] == 0:
        raise UserError("x_train holds no sample; give at least one")
    _check_file(dataset)
    return dataset


def _native(dataset: xr.Dataset) -> xr.Dataset:
    """The same numbers in this machine's order of bytes: old netCDF files have another."""
    foreign = {
        name: variable.astype(variable.dtype.newbyteorder("="))
        for name, variable in dataset.variables.items()
        if isinstance(variable.dtype, np.dtype) and not variable.dtype.isnative
    }
    return dataset.assign_coords({name: foreign[name] for name in foreign if name in dataset.coords}).assign(
        {name: foreign[name] for name in foreign if name not in dataset.coords}
    )


def _check_file(dataset: xr.Dataset) -> None:
    """Refuse what netCDF has no place for, and what has readers change the numbers that they read."""
    for name, variable in dataset.variables.items():
        if found := [key for key in netcdf.DECODED if key in variable.attrs]:
            raise UserError(
                f"the attribute {found[0]} of {name} has readers change what they read; unpack the values if they are"
                " packed (xarray does so by itself), and drop it"
            )
    large = [f"{axis}_{part}" for axis in "xy" for part in PARTS if f"{axis}_{part}" in dataset]
    one_sample = dataset[large].isel({f"sample_{part}": slice(1) for part in PARTS}, missing_dims="ignore")
    if _refusal(one_sample) is _refusal(dataset.drop_vars(large)) is None:
        return
    for of, attrs in {"": dataset.attrs, **{f" of {key}": dataset[key].attrs for key in dataset.variables}}.items():
        for name, value in attrs.items():
            if why := _refusal(xr.Dataset(attrs={name: value})):
                what = f"of type {type(value).__name__}, which a netCDF file has no place for"
                raise UserError(f"the attribute {_shown(name)}{of} is {what} ({why}); give numbers or text")
    for name, variable in dataset.variables.items():
        if isinstance(dataset.indexes.get(name), pd.MultiIndex):
            raise UserError(f"the coordinate {_shown(name)} is of several levels; use reset_index({name!r})")
        if name not in large and (why := _refusal(xr.Dataset({name: (variable.dims, variable.data)}))):
            raise UserError(f"netCDF has no place for {_shown(name)} ({why}); give numbers or text, or leave it out")
    raise UserError(f"netCDF has no place for it ({_refusal(dataset)}); give numbers and text alone")


def _refusal(dataset: xr.Dataset) -> str | None:
    """Why a data set cannot be written, in a few words; None if it can."""
    for attrs in (dataset.attrs, *(variable.attrs for variable in dataset.variables.values())):
        for value in attrs.values():
            if isinstance(value, bool | complex | np.bool | np.complexfloating):  # written in HDF5's own way by some
                return f"{type(value).__name__} is neither number nor text"
    try:
        with xr.open_dataset(dataset.to_netcdf(engine="netcdf4"), engine="netcdf4", decode_cf=False) as written:
            return _changed(dataset, written)
    except Exception as error:  # the user's values may fail in any way
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _changed(dataset: xr.Dataset, written: xr.Dataset) -> str | None:
    """What text or attribute is another once written, if any is: netCDF cuts text at a null, and mixes no types."""
    pairs = [(dataset.attrs, written.attrs)]
    for name, variable in dataset.variables.items():
        pairs.append((variable.attrs, written[name].attrs))
        if variable.dtype.kind in "OU" and written[name].dtype.kind == "O":
            pairs.append(({name: variable.values}, {name: written[name].values}))
    for given, found in pairs:
        for name, value in given.items():
            one, other = (np.ravel(np.array(values, dtype=object)).tolist() for values in (value, found[name]))
            # A number that is none is not equal to itself.
            alike = len(one) == len(other) and all(
                a == b or (a != a and b != b) for a, b in zip(one, other, strict=True)
            )
            if not alike:
                return f"it would be read as {str(found[name])[:40]!r}"
    return None


def _shown(name: object) -> str:
    return str(name) if str(name).isprintable() and name != "" else ascii(name)


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


def _check_components(dataset: xr.Dataset, part: str) -> None:
    """What the measure `components` takes of a data set, if it is there: of each part."""
    if not any(f"component_{one}" in dataset for one in PARTS):
        return
    frequency, name = dataset.get("component_frequency"), f"component_{part}"
    if frequency is None or frequency.dims != ("component",) or not {"long_name", "units"} <= set(frequency.attrs):
        raise UserError(f"{name} has no component_frequency (component) with long_name and units; give it")
    if name not in dataset or dataset[name].dims != (f"sample_{part}", "component"):
        raise UserError(f"{name} (sample_{part}, component) is missing, or of other dimensions; give it of each part")
    if not (np.isfinite(dataset[name]).all() and np.isfinite(frequency).all()):
        raise UserError(f"{name} or component_frequency holds NaN or infinity; mend it")
