"""Frequencies on a graph of the inputs: coefficients along its modes, by band of rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.bases import graph
from fpkit.config.names import NULLS
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import NEGLIGIBLE, described, finish, target_of


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    width: float,
    neighbours: int | None,
    modes: int,
    bands: int,
    dense_limit: int,
    nulls: Sequence[str] = tuple(NULLS),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Errors in bands of graph modes, and the mean frequency of the outputs and of their error.

    Args:
        predictions: see `fpkit.measures.decomposition.Decomposition`.
        dataset, split and all others: see `Graph` in `fpkit.config.measures`, and `fpkit.bases.graph.build`.

    Returns:
        What `Decomposition.spectra` gives, where the followed bands are those in which the target is; amplitude (step,
        member, frequency) and target_amplitude (frequency), over modes and outputs; band_first_rank and band_last_rank
        (frequency), from 1; mode_share (), the part of the target's energy that is in the modes;
        mean_frequency_target (), mean_frequency_output and mean_frequency_residual (step, member): v^T (I - S) v / v^T
        v of centred values without the constant mode. The last two are lacking where coefficients were recorded, of
        some modes alone.

    Raises:
        UserError: a constant target, or inputs that make no graph.
    """
    _, target = target_of(dataset, split)
    options = {"width": width, "neighbours": neighbours, "modes": modes, "bands": bands, "dense_limit": dense_limit}
    basis = graph.build(dataset, split, **options)
    along = Decomposition(predictions, basis, target, "graph")
    outputs = along.outputs if along.recorded is None else None
    residual = None if outputs is None else outputs - target.astype(np.float32)
    own, coefficients = along.target_coefficient, along.coefficient
    means = {
        "mean_frequency_output": basis.mean_frequency(coefficients, outputs),
        "mean_frequency_residual": basis.mean_frequency(coefficients - own.astype(np.float32), residual),
    }
    means = {
        name: described(mean.astype(np.float32), f"mean graph frequency 1 - mu of the {name.split('_')[-1]}")
        for name, mean in means.items()
        if mean is not None
    }
    mean_of_target = basis.mean_frequency(own, target)
    amplitude = described(basis.bands.norm(coefficients).astype(np.float32), "|F[h]|")
    followed = along.target_amplitude > NEGLIGIBLE * along.target_amplitude.max()
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws, large={"amplitude": amplitude, **means})
    spectra["target_amplitude"] = described(along.target_amplitude, "|F[y]|")
    spectra["band_first_rank"] = described(basis.first_rank, "rank of the first mode in the band")
    spectra["band_last_rank"] = described(basis.last_rank, "rank of the last mode in the band")
    energy = ((target - target.mean("sample")) ** 2).sum()
    spectra["mode_share"] = described((own**2).sum() / energy, "share of the target's energy in the modes")
    spectra["mean_frequency_target"] = described(mean_of_target, "mean graph frequency 1 - mu of the target")
    return finish(spectra, predictions, measure="graph", threshold=threshold, hold=hold)
