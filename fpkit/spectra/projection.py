"""Frequencies along the first principal component p of the inputs: NUDFT on peaks above chance (paper, Sec. 4.1)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fpkit.errors import UserError
from fpkit.spectra.common import NULLS, finish, norm, outputs_of, target_of, with_convergence
from fpkit.spectra.principal import centred, coefficients, coordinate

FLOOR_QUANTILE = 0.95
NULL_SEED = 20180704


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
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset, split, threshold, hold, frequencies, max_frequency, permutations: see `fpkit.config.Projection`.

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
    frequency = xr.DataArray(np.arange(1, highest + 1), dims="frequency", attrs=FREQUENCY)
    frequency = frequency.assign_coords(frequency=frequency)

    target_coefficient = coefficients(target, position, frequency)
    target_amplitude = norm(target_coefficient, ["part", "output"])
    floor = _permutation_floor(target, position, frequency, permutations, rng)
    followed = frequency.isin(frequencies) if frequencies else target_amplitude > floor
    if not bool(followed.any()):
        raise UserError("projection: no frequency of the target is above chance; give more samples, or frequencies")

    prediction = outputs_of(predictions)
    coefficient = coefficients(prediction, position, frequency).compute()
    amplitude = norm(coefficient, ["part", "output"])
    error = norm(coefficient - target_coefficient, ["part", "output"]) / target_amplitude.where(followed)
    measured = with_convergence(error, threshold, hold)

    error_norm = norm(centred(prediction - target.astype(np.float32)), ["sample", "output"]).compute()
    white = _white_noise(target.sizes, error_norm, position, frequency, rng) / target_amplitude.where(followed)
    dealt = position.copy(data=rng.permutation(position.to_numpy()))
    shuffled_target = coefficients(target, dealt, frequency)
    shuffled = norm(coefficients(prediction, dealt, frequency).compute() - shuffled_target, ["part", "output"])
    shuffled = shuffled / norm(shuffled_target, ["part", "output"])
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


FREQUENCY = {"long_name": "frequency along p", "units": "cycles per data extent"}


def _permutation_floor(target, position, frequency, permutations: int, rng) -> xr.DataArray:
    """95% quantile over label permutations of the largest amplitude at any frequency: a scalar."""
    largest = []
    for _ in range(permutations):
        dealt = position.copy(data=rng.permutation(position.to_numpy()))
        largest.append(norm(coefficients(target, dealt, frequency), ["part", "output"]).max())
    return xr.concat(largest, "permutation").quantile(FLOOR_QUANTILE, "permutation").drop_vars("quantile")


def _white_noise(sizes, error_norm: xr.DataArray, position, frequency, rng) -> xr.DataArray:
    """|F| (step, member, frequency) of white noise with the norm of each record's error; one draw per member."""
    shape = (error_norm.sizes["member"], sizes["sample"], sizes["output"])
    noise = centred(xr.DataArray(rng.standard_normal(shape), dims=("member", "sample", "output")))
    noise = noise.assign_coords(member=error_norm["member"]) / norm(noise, ["sample", "output"])
    return error_norm * norm(coefficients(noise, position, frequency), ["part", "output"])
