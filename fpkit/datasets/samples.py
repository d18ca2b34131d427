"""The samples of a data set that a training recorded."""

from __future__ import annotations

import numpy as np
import xarray as xr


def samples_of(dataset: xr.Dataset, split: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs (sample, *feature), as they are, and targets (sample, output), in double precision, of a split."""
    chosen = ("train", "test") if split == "all" else (split,)
    x, y = (
        xr.concat(
            [dataset[f"{name}_{part}"].reset_coords(drop=True).rename({f"sample_{part}": "sample"}) for part in chosen],
            "sample",
        )
        for name in ("x", "y")
    )
    return x, y.astype(np.float64)
