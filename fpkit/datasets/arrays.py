"""Inputs and targets of one's own, out of a file: `.npz`, `.npy`, netCDF or CSV."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from fpkit.datasets.points import Part, as_dataset, one_hot, too_coarse
from fpkit.errors import UserError
from fpkit.store import netcdf

PARTS = ("train", "test", "validation")


def build(
    path: str,
    targets: str | list[str] | None,
    labels: bool,
    scale: Literal["each", "all", "none"],
    test_fraction: float,
    seed: int,
) -> xr.Dataset:
    """A data set of the dataset contract. See `Arrays` in `fpkit.config.datasets`.

    Raises UserError: no such file, one that holds no such arrays, or values that are no finite numbers.
    """
    place = Path(os.path.expanduser(path))
    if not place.is_file():
        raise UserError(f"path: {path} is not there; put it there, or correct it")
    reader = READERS.get(place.suffix.lower())
    if reader is None:
        raise UserError(f"path: {path} is none of {', '.join(READERS)}; save it as one")
    if targets is not None and reader in NAMED:
        raise UserError(f"targets: {path} names its own, y or y_train; leave it out")
    parts = {part: _checked(part, *pair) for part, pair in reader(place, targets).items()}
    _check_alike(parts)
    if labels:
        parts = _one_hot(parts)
    if test_fraction:
        if "test" in parts:
            raise UserError(f"test_fraction: {path} has a test part of its own; leave it out")
        parts |= _set_aside(parts["train"], test_fraction, seed)
    places = {part: x for part, (x, _) in parts.items()}
    scaled = _scaled(places, scale)
    dataset = as_dataset({part: (scaled[part], y) for part, (_, y) in parts.items()}, places, "arrays")
    return dataset.assign_attrs(kind="arrays", source=place.name)


def _of_npz(path: Path, targets: str | list[str] | None) -> dict[str, Part]:
    try:
        with np.load(path) as file:
            return _named(path, {name: file[name] for name in file.files}, file.files)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _of_npy(path: Path, targets: str | list[str] | None) -> dict[str, Part]:
    if not isinstance(targets, str):
        raise UserError(f"targets: {path} holds inputs alone; name the .npy file of their targets")
    found = []
    for one in (path, Path(os.path.expanduser(targets))):
        try:
            found.append(np.load(one))
        except (OSError, ValueError) as error:
            raise _unreadable(one, error) from error
    return {"train": tuple(found)}


def _of_netcdf(path: Path, targets: str | list[str] | None) -> dict[str, Part]:
    try:
        with netcdf.open_dataset(path) as dataset:
            names = [f"{axis}{part}" for axis in "xy" for part in ("", *(f"_{one}" for one in PARTS))]
            arrays = {name: dataset[name].to_numpy() for name in names if name in dataset}
            return _named(path, arrays, [str(name) for name in dataset.variables])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _of_csv(path: Path, targets: str | list[str] | None) -> dict[str, Part]:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise _unreadable(path, error) from error
    columns = [str(name).strip() for name in table.columns]
    table.columns = columns
    # Names that are numbers in their order are those of pandas.
    if columns and all(map(_is_number, columns)) and columns != [str(number) for number in range(len(columns))]:
        raise UserError(f"path: {path} has no line of names; its first line is {', '.join(columns)}")
    if columns[:1] == [UNNAMED] and np.array_equal(table[UNNAMED], np.arange(len(table))):
        table, columns = table.drop(columns=UNNAMED), columns[1:]  # the numbers of its rows
    if len(columns) == 1:
        raise UserError(f"path: {path} has one column; part them by commas")
    if len(table) == 0:
        raise UserError(f"path: {path} holds no sample; give at least one")
    chosen = [targets] if isinstance(targets, str) else list(targets or columns[-1:])
    if lacking := [name for name in chosen if name not in columns]:
        raise UserError(f"targets: {path} has no column {lacking[0]!r}; there are {', '.join(columns)}")
    inputs = table.drop(columns=chosen)
    if inputs.shape[1] == 0:
        raise UserError(f"targets: all columns of {path} are targets; leave some as inputs")
    return {"train": (inputs.to_numpy(), table[chosen].to_numpy())}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# One-hot targets of more would not fit anywhere.
MOST_CLASSES = 100_000
# What pandas calls a column without a name, in front of all others.
UNNAMED = "Unnamed: 0"
READERS: dict[str, Callable[[Path, str | list[str] | None], dict[str, Part]]] = {
    ".npz": _of_npz,
    ".npy": _of_npy,
    ".nc": _of_netcdf,
    ".csv": _of_csv,
}
# In which arrays have names, those of targets too.
NAMED = _of_npz, _of_netcdf


def _named(path: Path, arrays: dict[str, np.ndarray], there: list[str]) -> dict[str, Part]:
    """Arrays by name, `x` and `y`, or `x_train`, `y_train` and others, as parts; `there` are all that the file has."""
    if "x" in arrays:
        arrays = {"x_train": arrays["x"], **({"y_train": arrays["y"]} if "y" in arrays else {}), **arrays}
    parts = {}
    for part in PARTS:
        pair = [arrays.get(f"{axis}_{part}") for axis in "xy"]
        if part == "train" or any(values is not None for values in pair):
            lacking = [axis for axis, values in zip("xy", pair, strict=True) if values is None]
            if lacking:
                named = f"{lacking[0]} or {lacking[0]}_train" if part == "train" else f"{lacking[0]}_{part}"
                raise UserError(f"path: {path} has no array {named}; there are {', '.join(there) or 'none'}")
            parts[part] = tuple(pair)
    return parts


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"path: {path} cannot be read ({' '.join(str(error).split())[:200]}); mend it, or take another")


def _checked(part: str, x: np.ndarray, y: np.ndarray) -> Part:
    """As inputs (sample, feature, ...) and targets (sample, output) of finite numbers."""
    found = []
    for axis, values in (("x", x), ("y", y)):
        if values.dtype.kind not in "biuf":
            raise UserError(f"path: {axis} of the {part} part is no array of numbers; leave out what is text")
        if values.ndim == 0:
            raise UserError(f"path: {axis} of the {part} part is a single number; give one for each sample")
        if part == "train" and len(values) == 0:
            raise UserError(f"path: {axis} of the train part holds no sample; give at least one")
        if 0 in values.shape[1:]:
            raise UserError(f"path: {axis} of the {part} part has samples that hold nothing; fill them")
        if len(values) != len(x):
            raise UserError(f"path: the {part} part has {len(x)} inputs, and targets of shape {values.shape}")
        bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if bad.any():
            raise UserError(
                f"path: {axis} of the {part} part holds NaN or infinity in {bad.sum()} of {len(bad)} samples, first in"
                f" sample {bad.argmax()}; mend or drop them"
            )
        flat = values.ndim == 1 or axis == "y"
        found.append(values.reshape(len(values), math.prod(values.shape[1:])) if flat else values)
    if lost := too_coarse(found[1]):
        raise UserError(f"path: y of the {part} part, {lost}")
    # Inputs keep their precision until they are scaled.
    return found[0] if found[0].dtype.kind == "f" else found[0].astype(np.float64), found[1].astype(np.float32)


def _check_alike(parts: dict[str, Part]) -> None:
    """Raises UserError where samples of some part have another shape than those of the training part."""
    for part, pair in parts.items():
        for axis, values, like in zip("xy", pair, parts["train"], strict=True):
            if values.shape[1:] != like.shape[1:]:
                shapes = f"{values.shape[1:]}, those of the training part {like.shape[1:]}"
                raise UserError(f"path: {axis} of the {part} part has samples of shape {shapes}; make them alike")


def _one_hot(parts: dict[str, Part]) -> dict[str, Part]:
    """Parts whose targets are classes, one-hot."""
    largest = 0
    for part, (_, y) in parts.items():
        if y.shape[1] != 1 or (y != np.round(y)).any() or y.min(initial=0) < 0:
            what = f"y of the {part} part holds no classes 0, 1, 2, ..."
            raise UserError(f"labels: {what}; number them 0, 1, 2 and on, or leave it out")
        largest = max(largest, int(y.max(initial=0)))
    if largest >= MOST_CLASSES:
        raise UserError(f"labels: y goes up to {largest}, which are too many classes; number them 0, 1, 2 and on")
    return {part: (x, one_hot(y[:, 0].astype(int), largest + 1)) for part, (x, y) in parts.items()}


def _set_aside(whole: Part, fraction: float, seed: int) -> dict[str, Part]:
    """A random part for the test, at least one sample, and what is left of the training part; both in their order."""
    samples = len(whole[0])
    count = max(1, round(fraction * samples))
    if count >= samples:
        raise UserError(f"test_fraction: {fraction:g} of {samples} samples leaves none to train on; lower it")
    chosen = np.zeros(samples, bool)
    chosen[np.random.default_rng(seed).choice(samples, count, replace=False)] = True
    return {"train": tuple(values[~chosen] for values in whole), "test": tuple(values[chosen] for values in whole)}


def _scaled(places: dict[str, np.ndarray], scale: str) -> dict[str, np.ndarray]:
    """Inputs by part, float32, centred by the training part and divided by its standard deviations, or by its one."""
    if scale == "none":
        mean, spread = 0, 1
        if lost := too_coarse(places["train"]):
            raise UserError(f"path: x, {lost}, or scale it")
    else:
        train = places["train"].astype(np.float64)
        mean = train.mean(axis=0)
        spread = train.std(axis=0) if scale == "each" else np.sqrt(np.square(train - mean).mean())
        varies = np.ptp(train, axis=0 if scale == "each" else None) > 0
        spread = np.where(varies, spread, 1)  # what never varies stays as it is
    return {part: ((x.astype(np.float64) - mean) / spread).astype(np.float32) for part, x in places.items()}
