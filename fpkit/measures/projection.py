"""Frequencies along the first principal component p of the inputs: NUDFT on peaks above chance (paper, Sec. 4.1)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.bases.principal import centred, coefficients, coordinate, deals, frequency_grid
from fpkit.errors import UserError
from fpkit.measures.common import NULLS, finish, norm, outputs_of, target_of, with_convergence
from fpkit.store.predictions import diverged

FLOOR_QUANTILE = 0.95
NULL_SEED = 20180704
OUTPUTS_TOGETHER = 64


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
) -> xr.Dataset:
    """Amplitudes and relative errors along p, at the frequencies whose target amplitude is above chance.

    Inputs and targets are centred. Chance is a permutation of the labels: the floor is the 95% quantile, over
    permutations, of the largest amplitude at any frequency, so that one frequency in twenty *spectra* passes by luck,
    not one in twenty frequencies.

    The controls replace the error h - y of each record by one without any preference for a frequency:
    `white_noise`, Gaussian noise of equal norm; `shuffled_labels`, the pairs (y_i, h_i) dealt out anew over the inputs.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not, or what was recorded in its place:
            coefficient (step, member, deal, frequency, part, output) and error_norm (step, member).
        dataset, split, threshold, hold, frequencies, max_frequency, permutations: see `fpkit.config.measures`.

    Returns:
        amplitude (step, member, frequency), target_amplitude, followed (frequency), floor (), relative_error (step,
        member, frequency) with its convergence, and `control_...` of the same with a leading `null` dimension.
        Norms are taken over outputs.

    Raises:
        UserError: a constant target, inputs all alike, or a target without any frequency above chance.
    """
    rng = np.random.default_rng(NULL_SEED)
    x, target = target_of(dataset, split)
    position = coordinate(x)
    highest = max([max_frequency, *(frequencies or [])])
    frequency = frequency_grid(highest)

    target_coefficient = coefficients(target, position, frequency)
    target_amplitude = norm(target_coefficient, ["part", "output"])
    floor = _permutation_floor(target, position, frequency, permutations, rng)
    followed = frequency.isin(frequencies) if frequencies else target_amplitude > floor
    if not bool(followed.any()):
        raise UserError("projection: no frequency of the target is above chance; give more samples, or frequencies")

    recorded = _recorded(predictions, target, position, frequency)
    coefficient, coefficient_dealt = recorded["coefficient"].transpose("deal", ...)
    amplitude = norm(coefficient, ["part", "output"])
    error = norm(coefficient - target_coefficient, ["part", "output"]) / target_amplitude.where(followed)
    measured = with_convergence(error, threshold, hold)

    white = _white_noise(target.sizes, recorded["error_norm"], position, frequency, rng)
    white = white / target_amplitude.where(followed)
    shuffled_target = coefficients(target, deals(position)[1], frequency)
    shuffled = norm(coefficient_dealt - shuffled_target, ["part", "output"]) / norm(shuffled_target, ["part", "output"])
    null = xr.concat([white, shuffled], xr.Variable("null", list(NULLS)))
    controls = with_convergence(null.where(followed), threshold, hold)

    spectra = xr.Dataset(
        {
            "amplitude": amplitude.astype(np.float32).assign_attrs(long_name="|F[h]|", units="1"),
            "target_amplitude": target_amplitude.assign_attrs(long_name="|F[y]|", units="1"),
            "floor": floor.assign_attrs(long_name="95% permutation floor of |F[y]|", units="1"),
            "followed": followed.assign_attrs(long_name="frequency is followed", units="1"),
            **measured,
            **{f"control_{name}": values for name, values in controls.items()},
        }
    )
    return finish(spectra, predictions, measure="projection", threshold=threshold, hold=hold)


def _permutation_floor(target, position, frequency, permutations: int, rng) -> xr.DataArray:
    """95% quantile over label permutations of the largest amplitude at any frequency: a scalar."""
    largest = []
    for _ in range(permutations):
        dealt = position.copy(data=rng.permutation(position.to_numpy()))
        largest.append(norm(coefficients(target, dealt, frequency), ["part", "output"]).max())
    return xr.concat(largest, "permutation").quantile(FLOOR_QUANTILE, "permutation").drop_vars("quantile")


def _recorded(predictions: xr.Dataset, target: xr.DataArray, position: xr.DataArray, frequency) -> xr.Dataset:
    """coefficient (deal, step, member, frequency, part, output), with the positions as they are and dealt out anew, and
    error_norm (step, member), the norm of the centred error: as recorded, or in one pass over the predictions."""
    if "coefficient" in predictions:
        if (highest := predictions.sizes["frequency"]) < frequency.size:
            raise UserError(f"projection: frequencies up to {highest} were recorded, not {frequency.size}; train again")
        recorded = predictions[["coefficient", "error_norm"]].isel(frequency=slice(frequency.size))
        return recorded.drop_vars(["deal", "part"]).where(~diverged(predictions)).compute()
    prediction = outputs_of(predictions)
    error = centred(prediction - target.astype(np.float32))
    both = [coefficients(prediction, dealt, frequency) for dealt in deals(position)]
    return xr.Dataset(
        {"coefficient": xr.concat(both, "deal"), "error_norm": norm(error, ["sample", "output"])}
    ).compute()


def _white_noise(sizes, error_norm: xr.DataArray, position, frequency, rng) -> xr.DataArray:
    """|F| (step, member, frequency) of white noise with the norm of each record's error; one draw per member."""
    drawn = []
    for _ in range(error_norm.sizes["member"]):
        energy, parts = 0.0, []
        for start in range(0, sizes["output"], OUTPUTS_TOGETHER):  # all would be as large as the target
            noise = rng.standard_normal((sizes["sample"], min(OUTPUTS_TOGETHER, sizes["output"] - start)))
            noise -= noise.mean(axis=0)
            energy += np.vdot(noise, noise)
            parts.append(coefficients(xr.DataArray(noise, dims=("sample", "output")), position, frequency))
        drawn.append(norm(xr.concat(parts, "output"), ["part", "output"]) / np.sqrt(energy))
    return error_norm * xr.concat(drawn, error_norm["member"])
