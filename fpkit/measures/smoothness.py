"""How rough an output is on its inputs, without a target: one number for each record, of a million samples, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fpkit.bases import graph
from fpkit.datasets import kernel
from fpkit.errors import UserError
from fpkit.measures.spectra import described, outputs_of
from fpkit.recording import runs
from fpkit.xarrays import by_numpy


@by_numpy()
def mean_frequency(
    run: Any, x: Any = None, *, steps: Sequence[int] | None = None, neighbours: int = graph.NEIGHBOURS
) -> xr.DataArray:
    """Mean frequency of the output by step, on a graph that links each input to its nearest ones.

    The Rayleigh quotient v^T (I - S) v / v^T v of the outputs v less mean and constant mode, summed over outputs,
    with S of `fpkit.datasets.kernel`: 0 is constant on each part of the graph, 1 white noise. Once the graph is
    there, a record takes one sparse product. Neighbours are found by a tree where inputs have few features; of many
    samples with many features, which are compared pair by pair, that takes long.

    Args:
        run: what `fpkit.open_run` gives, with targets or not; or predictions (step, sample, output) of one network, or
            (step, member, sample, output) of several. x: (sample, *feature), inputs of plain predictions.
        steps: of plain predictions. neighbours: of each input.

    Returns:
        (step, member), dimensionless; NaN for members that diverged, and where the output is constant.

    Raises:
        UserError: what is given does not fit together, or coefficients were recorded in place of predictions.
    """
    if not isinstance(run, xr.Dataset):
        if x is None:
            raise UserError("mean_frequency: predictions alone; give the inputs x, too, or a run")
        run = runs.of_arrays(run, x, None, steps)
    if "prediction" not in run:
        raise UserError("mean_frequency needs predictions; coefficients were recorded")
    inputs = runs.inputs_of(run).to_numpy()
    flat = inputs.reshape(len(inputs), -1)
    if not 0 < neighbours < len(flat):
        raise UserError(
            f"mean_frequency: {len(flat)} samples have {len(flat) - 1} neighbours at most, not {neighbours}"
        )
    similarity, root = kernel.normalised(graph.nearest(flat, neighbours))
    with np.errstate(invalid="ignore", divide="ignore"):  # of an output that is constant
        found = graph.rayleigh(outputs_of(run), similarity, root).astype(np.float32).compute()
    return described(found.rename("mean_frequency"), "mean graph frequency 1 - mu of the output")
