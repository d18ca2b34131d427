"""Walsh-Hadamard transform over all sign vectors: what a network makes of parity off the training set.

The Walsh coefficient of v on a subset S of the bits is 1/2^d sum_x v(x) prod_{j in S} x_j; the degree |S| plays the
frequency's part. Vectors and subsets are numbered alike: bit j of i is set where x_j = -1, or where j is in S.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import xarray as xr

from fpkit.errors import UserError
from fpkit.measures.common import finish
from fpkit.store.predictions import diverged

RESPONSES = 64


def decompose(predictions: xr.Dataset, dataset: xr.Dataset, *, split: str) -> xr.Dataset:
    """Energy by degree, how much of the target was learned, and the response along (1, ..., 1).

    Beside output and target stands the naive completion: the training targets, zero on the test points, times
    2^d / n_train. It is all that the training points suggest by themselves: the target and its aliases.

    The response is |F[v](k)| = |1/2^d sum_i v_i exp(-2 pi i k t_i)| along t = sum_j x_j / 2, whose values lie one
    apart: k ends at 0.5, where full parity lies.

    Args:
        predictions: prediction (step, member, sample, output=1), training, then test samples; lazily or not.
        dataset: with `index_train` and `index_test`, the numbers i of the sign vectors.
        split: must be `all`.

    Returns:
        energy (step, member, degree), target_energy, train_energy (degree): sums of squared coefficients, which add up
        to the mean square; target_coefficient (step, member): coefficient on the target's own (largest) subset over
        the target's, 1 when learned; accuracy_train, accuracy_test (step, member), by sign; response (frequency,
        member) of the final output, target_response, train_response (frequency). NaN for members that diverged.
        Attributes: dimensions, bits (of the target's subset), train_fraction.

    Raises:
        UserError: another split than `all`, several outputs, or samples that are not all sign vectors.
    """
    index = _numbers(predictions, dataset, split)
    n_train = dataset.sizes["sample_train"]
    y = np.concatenate([dataset["y_train"], dataset["y_test"]])[:, 0]
    target = xr.DataArray(y, dims="sample")
    completion = target.where(np.arange(len(index)) < n_train, 0) * (len(index) / n_train)
    bad = diverged(predictions)
    output = predictions["prediction"].isel(output=0, drop=True).where(~bad)

    order = np.argsort(index)
    target_coefficients = coefficients(y[order])
    subset = int(np.argmax(np.abs(target_coefficients)))
    energy, coefficient = _spectrum(output, order, subset)
    learned = coefficient / target_coefficients[subset]
    correct = output * target > 0  # an output of zero takes no side
    accuracy_train = correct.isel(sample=slice(n_train)).mean("sample").where(~bad)
    accuracy_test = correct.isel(sample=slice(n_train, None)).mean("sample").where(~bad)
    along = "along (1, ..., 1)"
    measured = {
        "energy": (energy, "energy of the output by degree"),
        "target_energy": (_spectrum(target, order, subset)[0], "energy of the target by degree"),
        "train_energy": (_spectrum(completion, order, subset)[0], "energy of the naive completion by degree"),
        "target_coefficient": (learned, "coefficient on the target's subset, relative to the target's"),
        "accuracy_train": (accuracy_train, "fraction of training samples with the right sign"),
        "accuracy_test": (accuracy_test, "fraction of test samples with the right sign"),
        "response": (_response(output.isel(step=-1, drop=True), index), f"|F[h]| {along}, at the end"),
        "target_response": (_response(target, index), f"|F[y]| {along}"),
        "train_response": (_response(completion, index), f"|F| of the naive completion {along}"),
    }
    spectra = xr.Dataset(
        {
            name: values.astype(np.float32).assign_attrs(long_name=long_name, units="1")
            for name, (values, long_name) in measured.items()
        }
    )
    attributes = {
        "dimensions": len(index).bit_length() - 1,
        "bits": subset.bit_count(),
        "train_fraction": n_train / len(index),
    }
    return finish(spectra, predictions, measure="walsh", **attributes)


def coefficients(values: np.ndarray) -> np.ndarray:
    """Walsh coefficients (..., subset) of values (..., vector), both by number, in the precision of the values.

    The Hadamard matrix is a Kronecker product: two small ones, on the high and on the low bits, do its work.
    """
    size = values.shape[-1]
    low = 2 ** ((size.bit_length() - 1) // 2)
    on_high, on_low = (scipy.linalg.hadamard(n).astype(values.dtype) for n in (size // low, low))
    grid = values.reshape(*values.shape[:-1], size // low, low)
    return (on_high @ grid @ on_low).reshape(values.shape) / values.dtype.type(size)


def _numbers(predictions: xr.Dataset, dataset: xr.Dataset, split: str) -> np.ndarray:
    """Number (sample) of the sign vector of each sample, checked."""
    if "index_train" not in dataset or "index_test" not in dataset:
        raise UserError("walsh needs a dataset of numbered sign vectors (index_train, index_test); use kind: parity")
    index = np.concatenate([dataset["index_train"], dataset["index_test"]])
    if split != "all" or predictions.sizes["sample"] != len(index):
        given = f"{predictions.sizes['sample']} ({split})"
        raise UserError(f"walsh needs predictions on all {len(index)} samples, not {given}; set record.split to all")
    if len(index).bit_count() != 1 or not np.array_equal(np.sort(index), np.arange(len(index))):
        raise UserError(f"walsh needs each of 2^d sign vectors once; the dataset's {len(index)} samples are others")
    if predictions.sizes["output"] != 1:
        raise UserError(f"walsh needs a single output, not {predictions.sizes['output']}")
    return index


def _spectrum(values: xr.DataArray, order: np.ndarray, subset: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Energy (..., degree) of values (..., sample), and their coefficient (...) on a subset.

    `order` (sample) brings the samples into the order of their numbers.
    """
    by_degree = _counts(np.arange(len(order)))

    def block_spectrum(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coefficient = coefficients(block[..., order])
        return coefficient**2 @ by_degree.astype(block.dtype), coefficient[..., subset]

    energy, coefficient = xr.apply_ufunc(
        block_spectrum,
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[["degree"], []],
        dask="parallelized",
        output_dtypes=[values.dtype, values.dtype],
        dask_gufunc_kwargs={"output_sizes": {"degree": by_degree.shape[1]}},
    )
    degree = ("degree", np.arange(by_degree.shape[1]), {"long_name": "degree |S|", "units": "bits"})
    return energy.assign_coords(degree=degree), coefficient


def _response(values: xr.DataArray, index: np.ndarray) -> xr.DataArray:
    """|F[v](k)| (frequency, ...) of values (..., sample) along t = sum_j x_j / 2."""
    # Vectors with as many minus signs share one t.
    by_minuses = xr.DataArray(_counts(index).astype(values.dtype), dims=("sample", "minuses"))
    sums = xr.dot(values, by_minuses, dim="sample") / len(index)
    bits = by_minuses.sizes["minuses"] - 1
    t = bits / 2 - np.arange(bits + 1)
    k = np.linspace(0, 0.5, RESPONSES + 1)[1:]
    wave = xr.DataArray(np.exp(-2j * np.pi * np.outer(k, t)), dims=("frequency", "minuses"))
    attrs = {"long_name": "frequency along (1, ..., 1)", "units": "cycles per unit of t = sum_j x_j / 2"}
    response = abs(xr.dot(wave, sums, dim="minuses"))
    return response.assign_coords(frequency=("frequency", k, attrs)).transpose("frequency", ...)


def _counts(numbers: np.ndarray) -> np.ndarray:
    """(number, count), 1 where the number has that many bits set, for all numbers below a power of two."""
    return (np.bitwise_count(numbers)[:, None] == np.arange(len(numbers).bit_length())).astype(np.float32)
