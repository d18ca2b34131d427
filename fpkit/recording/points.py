"""Points that outputs are known at, as the data set that measures are taken on."""

from __future__ import annotations

import numpy as np
import xarray as xr

FEATURE = "feature_{}"
# The training part, on which measures are taken; the test part is empty.
SAMPLE, NONE = "sample_train", "sample_test"


def features(x: np.ndarray) -> list[str]:
    """Names of the dimensions of inputs (sample, ...) behind the first."""
    return [FEATURE.format(axis) for axis in range(x.ndim - 1)]


def as_dataset(x: np.ndarray, y: np.ndarray, name: str = "points") -> xr.Dataset:
    """Inputs (sample, *feature) and targets (sample, output) as a data set of `fpkit.datasets.contract`.

    What can be read off the inputs stands beside them: of one feature the position on a line, of a picture's pixels
    their rows and columns, of sign vectors their numbers.
    """
    variables, coordinates, attrs = {}, {}, {"name": name}
    for part, sample, chosen in (("train", SAMPLE, slice(None)), ("test", NONE, slice(0))):
        variables[f"x_{part}"] = (sample, *features(x)), x[chosen]
        variables[f"y_{part}"] = (sample, "output"), y[chosen]
    flat = x.reshape(len(x), -1)
    if flat.shape[1] == 1:
        coordinates["position_train"] = SAMPLE, flat[:, 0].astype(np.float64)
    elif (pixels := _pixels(flat)) is not None:
        size, row, column = pixels
        attrs["size"] = size
        coordinates |= {"row_train": (SAMPLE, row), "column_train": (SAMPLE, column)}
    if (np.abs(flat) == 1).all() and flat.shape[1] < 63:
        numbers = (flat < 0).astype(np.int64) @ (1 << np.arange(flat.shape[1], dtype=np.int64))
        coordinates |= {"index_train": (SAMPLE, numbers), "index_test": (NONE, numbers[:0])}
    return xr.Dataset(variables, coordinates, attrs)


def _pixels(flat: np.ndarray) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Pixels a side, row and column of each point (sample, 2) of a square grid, row after row; None of other points."""
    size = int(np.sqrt(len(flat)))
    if flat.shape[1] != 2 or size**2 != len(flat) or size < 2:
        return None
    row, column = (np.unique(values, return_inverse=True)[1] for values in flat.T)
    whole = np.array_equal(row * size + column, np.arange(len(flat)))
    if not whole:  # the first feature may be the column as well
        row, column = column, row
        whole = np.array_equal(row * size + column, np.arange(len(flat)))
    return (size, row, column) if whole else None
