"""A basis along which a training records its outputs, in place of predictions (`record.content: spectrum`)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from fpkit.bases.basis import Basis
from fpkit.datasets.samples import samples_of
from fpkit.store import netcdf


def rows(path: str | Path, split: str, kind: str, **options) -> np.ndarray:
    """What a training multiplies its outputs with, to record coefficients instead.

    Args:
        path: netCDF file of a data set. split: the recorded samples. kind, options: see `Basis.recipe`.

    Returns:
        (sample, function), float32.

    Raises:
        UserError: the basis does not suit the data set.
    """
    with netcdf.open_dataset(path) as dataset:
        basis: Basis = import_module(f"fpkit.bases.{kind}").build(dataset, split, **options)
        return basis.matrix(samples_of(dataset, split)[0].sizes["sample"])
