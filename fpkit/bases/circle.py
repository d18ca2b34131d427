"""Waves around the circle on which the inputs lie."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.bases.waves import Waves
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError

FREQUENCY = {"long_name": "frequency", "units": "cycles per turn"}


def build(dataset: xr.Dataset, split: str, *, modes: list[int] | None) -> Waves:
    """Of the given modes, or of the target's frequencies, in cycles per turn.

    Raises UserError: inputs that are not equally spaced on the circle, or modes that do not fit it.
    """
    turns = _turns(samples_of(dataset, split)[0])
    return Waves(turns, _modes(dataset, modes), FREQUENCY, {"kind": "circle", "modes": modes})


def fits(x: xr.DataArray) -> bool:
    """Whether inputs (sample, *feature) are equally spaced on the unit circle, all around."""
    return _angles(x) is not None


def _turns(x: xr.DataArray) -> xr.DataArray:
    """Angles (sample) of inputs on the unit circle, in turns.

    Raises UserError unless they are equally spaced, all around.
    """
    turns = _angles(x)
    if turns is None:
        raise UserError(
            "ntk needs training inputs equally spaced on the unit circle for these modes; set embedding: circle on the"
            " dataset, or give the number of eigenvectors in decomposition.ntk.modes"
        )
    return turns


def _angles(x: xr.DataArray) -> xr.DataArray | None:
    points = x.to_numpy().astype(np.float64)
    if points.shape[1:] == (2,) and np.allclose(np.hypot(*points.T), 1, atol=1e-4):
        turns = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
        steps = np.diff(np.sort(turns)) * len(turns)
        if len(turns) > 2 and np.allclose(steps, 1, atol=1e-2):
            return xr.DataArray(turns, dims="sample")
    return None


def _modes(dataset: xr.Dataset, modes: list[int] | None) -> list[int]:
    """The given modes, or the target's frequencies, in cycles per turn."""
    if modes is None:
        if "frequencies" not in dataset.attrs or "position_train" not in dataset:
            raise UserError("ntk cannot tell the target's frequencies; give decomposition.ntk.modes")
        position = dataset["position_train"].to_numpy()
        # netCDF turns a list of one into a number.
        turns = np.atleast_1d(dataset.attrs["frequencies"]) * (position[1] - position[0]) * len(position)
        if not np.allclose(turns, np.round(turns), atol=1e-3):
            raise UserError("ntk needs whole cycles per turn: the target's do not close; give decomposition.ntk.modes")
        modes = sorted({int(mode) for mode in np.round(turns)})
    highest = (dataset.sizes["sample_train"] - 1) // 2
    if not 1 <= min(modes) <= max(modes) <= highest:
        raise UserError(
            f"decomposition.ntk.modes: give modes from 1 to {highest}, what the samples on the circle allow"
        )
    return modes
