"""Walsh functions over all sign vectors: what a network makes of parity off the training set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.bases import walsh
from fpkit.bases.basis import dot
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import described, finish, target_of
from fpkit.store.predictions import diverged

RESPONSES = 64
# A degree whose target amplitude is below this share of the largest holds rounding errors only.
NEGLIGIBLE = 1e-6


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float = 0.2,
    hold: float = 0.05,
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Energy by degree, how much of the target was learned, and the response along (1, ..., 1).

    Beside output and target stands the naive completion: the training targets, zero on the test points, times
    2^d / n_train. It is all that the training points suggest by themselves: the target and its aliases.

    The response is |F[v](k)| = |1/2^d sum_i v_i exp(-2 pi i k t_i)| along t = sum_j x_j / 2, whose values lie one
    apart: k ends at 0.5, where full parity lies.

    Args:
        predictions: of one output, training, then test samples; see `fpkit.measures.decomposition.Decomposition`.
        dataset: with `index_train` and `index_test`, the numbers i of the sign vectors.
        split, threshold, hold, nulls, null_draws: see `Walsh` in `fpkit.config.measures`; split must be `all`.

    Returns:
        energy (step, member, frequency), target_energy, train_energy (frequency, the degree): sums of squared
        coefficients, which add up to the mean square; what `Decomposition.spectra` gives, where the followed degrees
        are those that the target holds; target_coefficient (step, member): <h, y> / <y, y>, of parity the coefficient
        on its subset, 1 when learned; target_response, train_response (wave). Of predictions also
        accuracy_train, accuracy_test (step, member), by sign, of a target of signs, and response (wave, member) of the
        final output. NaN for members that diverged. Attributes: dimensions, bits (the target's highest degree),
        train_fraction.

    Raises:
        UserError: another split than `all`, several outputs, or samples that are not all sign vectors.
    """
    basis = walsh.build(dataset, split)
    index, n_train = basis.index, dataset.sizes["sample_train"]
    if "prediction" in predictions and predictions.sizes["sample"] != len(index):
        raise UserError(
            f"walsh needs predictions on all {len(index)} samples, not {predictions.sizes['sample']};"
            " set record.split to all"
        )
    if predictions.sizes["output"] != 1:
        raise UserError(f"walsh needs a single output, not {predictions.sizes['output']}")
    _, target = target_of(dataset, "all")
    along = Decomposition(predictions, basis, target, "walsh")
    trained_on = xr.DataArray(np.arange(len(index)) < n_train, dims="sample")
    completion = target.where(trained_on, 0) * (len(index) / n_train)
    amplitude = along.target_amplitude
    spectra = along.spectra(amplitude > NEGLIGIBLE * amplitude.max(), threshold, hold, nulls, null_draws)

    wanted = along.target_coefficient.isel(output=0, drop=True)
    own = np.flatnonzero(abs(wanted) > NEGLIGIBLE * abs(wanted).max())
    wanted, made = wanted.isel(function=own), along.coefficient.isel(function=own, output=0, drop=True)
    learned = (made * wanted).sum("function", skipna=False) / (wanted**2).sum("function")
    energy = {
        "energy": (along.coefficient, "energy of the output by degree"),
        "target_energy": (along.target_coefficient, "energy of the target by degree"),
        "train_energy": (basis.coefficients(completion), "energy of the naive completion by degree"),
    }
    measured = {
        name: (basis.bands.energy(coefficients).isel(output=0, drop=True), long_name)
        for name, (coefficients, long_name) in energy.items()
    }
    measured["target_coefficient"] = learned, "coefficient on the target itself"
    y, along_ones = target.isel(output=0, drop=True), "along (1, ..., 1)"
    measured["target_response"] = _response(y, index), f"|F[y]| {along_ones}"
    measured["train_response"] = (
        _response(completion.isel(output=0, drop=True), index),
        f"|F| of the naive completion {along_ones}",
    )
    if along.recorded is None:
        bad, output = diverged(predictions), along.outputs.isel(output=0, drop=True)
        correct = output * y > 0  # an output of zero takes no side
        parts = {"train": slice(n_train), "test": slice(n_train, None)}
        told = ["train", "test"][: 1 + (n_train < len(index))] if bool((abs(y) == 1).all()) else []
        for part in told:
            accuracy = correct.isel(sample=parts[part]).mean("sample").where(~bad)
            measured[f"accuracy_{part}"] = accuracy, f"fraction of {part}ing samples with the right sign"
        measured["response"] = _response(output.isel(step=-1, drop=True), index), f"|F[h]| {along_ones}, at the end"
    for name, (values, long_name) in measured.items():
        spectra[name] = described(values.astype(np.float32), long_name)
    attributes = {
        "dimensions": len(index).bit_length() - 1,
        "bits": int(np.bitwise_count(own).max()),
        "train_fraction": n_train / len(index),
    }
    return finish(spectra, predictions, measure="walsh", threshold=threshold, hold=hold, **attributes)


def _response(values: xr.DataArray, index: np.ndarray) -> xr.DataArray:
    """|F[v](k)| (wave, ...) of values (..., sample) along t = sum_j x_j / 2."""
    # Vectors with as many minus signs share one t.
    counts = np.bitwise_count(index)[:, None] == np.arange(len(index).bit_length())
    by_minuses = xr.DataArray(counts.astype(values.dtype), dims=("sample", "minuses"))
    sums = dot(values, by_minuses, ["sample"]) / len(index)
    bits = by_minuses.sizes["minuses"] - 1
    t = bits / 2 - np.arange(bits + 1)
    k = np.linspace(0, 0.5, RESPONSES + 1)[1:]
    wave = xr.DataArray(np.exp(-2j * np.pi * np.outer(k, t)), dims=("wave", "minuses"))
    attrs = {"long_name": "frequency along (1, ..., 1)", "units": "cycles per unit of t = sum_j x_j / 2"}
    response = abs(dot(sums, wave, ["minuses"]))
    return response.assign_coords(wave=("wave", k, attrs)).transpose("wave", ...)
