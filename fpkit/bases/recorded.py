"""A basis along which a training records its outputs, in place of predictions (`record.content: spectrum`)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from fpkit.bases.basis import Basis, deal
from fpkit.datasets.samples import samples_of
from fpkit.store import netcdf


def rows(path: str | Path, split: str, kind: str, **options) -> np.ndarray:
    """What a training multiplies its outputs with, to record coefficients instead.

    Args:
        path: netCDF file of a data set. split: the recorded samples. kind, options: see `Basis.recipe`.

    Returns:
        (sample, deal * function), float32, with the samples as they are and dealt out anew; see
        `fpkit.store.predictions.Writer`.

    Raises:
        UserError: the basis does not suit the data set.
    """
    with netcdf.open_dataset(path) as dataset:
        basis: Basis = import_module(f"fpkit.bases.{kind}").build(dataset, split, **options)
        samples = samples_of(dataset, split)[0].sizes["sample"]
    both = (basis, basis.dealt(deal(samples)))
    return np.concatenate([one.matrix(samples) for one in both], axis=1)
