"""Plain inputs and targets as a data set, with what can be read off the inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imported where it is used: recording needs none of it
    import xarray as xr

# Pixels a side of a picture, which has a frequency then.
FEWEST_PIXELS = 3
# Of the distance between neighbours on a grid, how far it may be off.
UNEVEN = 1e-3
# The same of a grid that is fine for single precision.
ROUNDED = 1e-2
# Digits that single precision keeps of inputs: steps of this part of their spread, at most.
COARSE = 1e-3

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
    flat = {part: at.reshape(len(at), math.prod(at.shape[1:])) for part, at in places.items()}
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


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Classes (sample,), whole numbers from 0 on, as (sample, class), float32: 1 for the own one, 0 for all others."""
    targets = np.zeros((len(labels), classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1
    return targets


def evenly_spaced(places: np.ndarray) -> bool:
    """Whether places (sample,), at least two, ascend or descend by equal steps."""
    spacing = np.diff(places.astype(np.float64))
    mean = spacing.mean() if len(spacing) else 0
    if mean == 0:
        return False
    # Many places on a grid are nearer to each other than single precision tells them apart by.
    rounding = 2 * float(np.spacing(np.float32(np.abs(places).max())))
    return np.allclose(spacing, mean, rtol=UNEVEN, atol=min(rounding, ROUNDED * abs(mean)))


def too_coarse(x: np.ndarray) -> str | None:
    """What single precision, which inputs (sample, ...) are kept in, would not tell apart; None of others."""
    if x.dtype.kind == "f" and x.dtype.itemsize <= 4:
        return None
    if x.size == 0:
        return None
    flat = x.reshape(len(x), -1).astype(np.float64)
    spread, largest = flat.std(axis=0), np.abs(flat).max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # of what is beyond single precision
        lost = (np.ptp(flat, axis=0) > 0) & ~(np.spacing(largest.astype(np.float32)) <= COARSE * spread)
    if not lost.any():
        return None
    at = int(lost.argmax())
    return (
        f"up to {largest[at]:g} with a spread of {spread[at]:g} leaves too few digits in single precision; subtract an"
        " offset, or take another unit"
    )


def _pixels(flat: np.ndarray) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Pixels a side, row and column of each point (sample, 2) of an even grid, row after row, as many rows as columns;
    None of other points.
    """
    size = int(np.sqrt(len(flat)))
    if flat.shape[1] != 2 or size**2 != len(flat) or size < FEWEST_PIXELS:
        return None
    found = [np.unique(values, return_inverse=True) for values in flat.T]
    if not all(evenly_spaced(lines) for lines, _ in found):
        return None
    places = [at for _, at in found]
    for row, column in (places, places[::-1]):  # the first feature may be either
        if np.array_equal(row * size + column, np.arange(len(flat))):
            return size, row, column
    return None
