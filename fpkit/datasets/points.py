"""Plain inputs and targets as a data set, with what can be read off the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imported where it is used: recording needs none of it
    import xarray as xr

Part = tuple[np.ndarray, np.ndarray]
"""Inputs (sample, feature, ...) and targets (sample, output)."""


def features(x: np.ndarray) -> list[str]:
    """Names of the dimensions of inputs (sample, ...) behind the first."""
    return [f"feature_{axis}" for axis in range(x.ndim - 1)]


def as_dataset(parts: Mapping[str, Part], places: Mapping[str, np.ndarray], name: str) -> xr.Dataset:
    """Parts, `train` and perhaps others, as a data set of `fpkit.datasets.contract`; without a test part it is empty.

    Beside them stand, of one feature the position on a line, of a picture's pixels, row after row, their rows and
    columns, of all sign vectors their numbers: what `fft`, `radial` and `walsh` go by.

    Args:
        places: by part, inputs as they were before they were scaled.
    """
    import xarray as xr

    x, y = parts["train"]
    parts = {"test": (x[:0], y[:0]), **parts}
    variables, coordinates, attrs = {}, {}, {"name": name}
    for part, (inputs, targets) in parts.items():
        variables[f"x_{part}"] = (f"sample_{part}", *features(x)), inputs
        variables[f"y_{part}"] = (f"sample_{part}", "output"), targets
    flat = {part: places[part].reshape(len(places[part]), -1) for part in places}
    wide = flat["train"].shape[1]
    if wide == 1:
        coordinates = {f"position_{part}": (f"sample_{part}", at[:, 0].astype(np.float64)) for part, at in flat.items()}
    elif (pixels := _pixels(flat["train"])) is not None:
        attrs["size"], *rows_and_columns = pixels
        names = ("row_train", "column_train")
        coordinates = {name: ("sample_train", at) for name, at in zip(names, rows_and_columns, strict=True)}
    if wide < 32 and all((np.abs(at) == 1).all() for at in flat.values()):
        signs = {"test": flat["train"][:0], **flat}
        for part in ("train", "test"):
            numbers = (signs[part] < 0).astype(np.int64) @ (1 << np.arange(wide, dtype=np.int64))
            coordinates[f"index_{part}"] = f"sample_{part}", numbers
    return xr.Dataset(variables, coordinates, attrs)


def _pixels(flat: np.ndarray) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Pixels a side, row and column of each point (sample, 2) of a square grid, row after row; None of other points."""
    size = int(np.sqrt(len(flat)))
    if flat.shape[1] != 2 or size**2 != len(flat) or size < 2:
        return None
    places = [np.unique(values, return_inverse=True)[1] for values in flat.T]
    for row, column in (places, places[::-1]):  # the first feature may be either
        if np.array_equal(row * size + column, np.arange(len(flat))):
            return size, row, column
    return None
