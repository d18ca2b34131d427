"""Frequencies along a direction p of the inputs, their first principal component: NUDFT on peaks above chance (paper,
Sec. 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from fpkit.bases import principal
from fpkit.bases.waves import Waves
from fpkit.config.names import NULLS
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS, SEED
from fpkit.measures.spectra import described, finish, target_of

FLOOR_QUANTILE = 0.95


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    frequencies: list[int] | None,
    max_frequency: int,
    permutations: int,
    direction: int | Literal["random"] = 1,
    seed: int = 0,
    nulls: Sequence[str] = tuple(NULLS),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Amplitudes and relative errors along p, at the frequencies whose target amplitude is above chance.

    Inputs and targets are centred. Chance is a permutation of the labels: the floor is the 95% quantile, over
    permutations, of the largest amplitude at any frequency, so that one frequency in twenty *spectra* passes by luck,
    not one in twenty frequencies.

    Args:
        predictions: see `fpkit.measures.decomposition.Decomposition`.
        dataset, split and all others: see `Projection` in `fpkit.config.measures`.

    Returns:
        amplitude (step, member, frequency), target_amplitude (frequency), floor (), and what `Decomposition.spectra`
        gives. Norms are taken over outputs.

    Raises:
        UserError: a constant target, inputs all alike or with fewer components, or a target without any frequency above
            chance.
    """
    rng = np.random.default_rng(SEED)
    _, target = target_of(dataset, split)
    highest = max([max_frequency, *(frequencies or [])])
    basis = principal.build(dataset, split, highest=highest, direction=direction, seed=seed)
    along = Decomposition(predictions, basis, target, "projection")
    floor = _permutation_floor(target, basis, permutations, rng)
    frequency = basis.bands.frequency
    followed = frequency.isin(frequencies) if frequencies else along.target_amplitude > floor
    if not bool(followed.any()):
        raise UserError("projection: no frequency of the target is above chance; give more samples, or frequencies")
    amplitude = basis.bands.norm(along.coefficient).astype(np.float32)
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws, {"amplitude": described(amplitude, "|F[h]|")})
    spectra["target_amplitude"] = described(along.target_amplitude, "|F[y]|")
    spectra["floor"] = described(floor, "95% permutation floor of |F[y]|")
    return finish(spectra, predictions, measure="projection", threshold=threshold, hold=hold)


def _permutation_floor(target: xr.DataArray, basis: Waves, permutations: int, rng: np.random.Generator) -> xr.DataArray:
    """95% quantile over label permutations of the largest amplitude at any frequency: a scalar."""
    samples, largest = target.sizes["sample"], []
    for _ in range(permutations):
        dealt = target.isel(sample=rng.permutation(samples))
        largest.append(basis.bands.norm(basis.coefficients(dealt)).max())
    return xr.concat(largest, "permutation").quantile(FLOOR_QUANTILE, "permutation").drop_vars("quantile")
