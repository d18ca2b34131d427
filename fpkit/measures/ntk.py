"""How fast each Fourier mode decays: measured, and as the neural tangent kernel (NTK) at initialization predicts.

On the circle the Fourier modes are (nearly) eigenvectors of the kernel K = J J^T, J the Jacobian of the outputs by the
parameters (Jacot, Gabriel, Hongler 2018). Under gradient descent on the mean squared error of n samples, the residual
r = h - y follows r <- r - (2 learning_rate / n) K r as long as K stays what it was.
"""

from __future__ import annotations

import json

import numpy as np
import torch
import xarray as xr

from fpkit import models
from fpkit.bases.principal import coefficients
from fpkit.errors import UserError
from fpkit.measures.common import finish, norm, outputs_of, target_of, with_convergence

THRESHOLD, HOLD = 0.2, 0.05
# A mode's decay is measured until its residual is this share of the initial one.
DECAYED = 0.1
LEAST_RECORDS = 3
# An amplitude below this share of its root mean square is rounding error.
NEGLIGIBLE = 1e-4


def decompose(predictions: xr.Dataset, dataset: xr.Dataset, *, split: str, modes: list[int] | None) -> xr.Dataset:
    """Measured and predicted decay rates of the Fourier modes of the residual h - y on the circle, per step.

    Predicted: -log(1 - s), with s = (2 learning_rate / n) times the Rayleigh quotient v.K v / v.v of the member's
    kernel at initialization, averaged over v = cos(k a) and sin(k a) on the n training angles a; NaN where s >= 1, as
    gradient descent does not decay there.

    Measured: minus the slope of log(|F[h - y](k)| / |F[h_0 - y](k)|) against the step, a least-squares line with
    intercept through the records from step 1 up to, and without, the first below 0.1 (or the last, if none is); NaN
    with fewer than 3 records, or where |F[h_0 - y](k)| is below 1e-4 of the root mean square of h_0 - y.

    Args:
        predictions: prediction (step, member, sample, output=1), lazily or not, of gradient descent; the attribute
            `recipe` says how the members were trained, the coordinate `member` from which seed.
        dataset: inputs equally spaced on the unit circle (`embedding: circle`).
        split: must be `train`.
        modes: see `Ntk` in `fpkit.config.measures`.

    Returns:
        predicted_rate, measured_rate (member, frequency); relative_residual |F[h - y]| / |F[h_0 - y]| (step, member,
        frequency), of which the latter is taken; relative_error (step, member, frequency) with its convergence, NaN
        off the followed modes; target_amplitude and followed (frequency): modes that the target holds. Frequencies are
        cycles per turn.

    Raises:
        UserError: inputs that are not equally spaced on the circle, another split than `train`, several outputs,
            anything but gradient descent on the mean squared error, or modes that do not fit the circle.
    """
    if split != "train":
        raise UserError(f"ntk is about the training samples: set record.split to train, not {split}")
    recipe = _recipe(predictions, dataset.sizes["sample_train"])
    x, target = target_of(dataset, "train")
    turns = _turns(x)
    frequency = np.asarray(_modes(dataset, modes))
    frequency = xr.DataArray(frequency, coords={"frequency": ("frequency", frequency, FREQUENCY)}, dims="frequency")

    share = _rayleigh_quotients(recipe["model"], predictions["member"], x, turns, frequency)
    share = share * 2 * recipe["training"]["learning_rate"] / x.sizes["sample"]
    predicted = -np.log1p(-share.where(share < 1))

    residual = outputs_of(predictions) - target.astype(np.float32)
    amplitude = norm(coefficients(residual, turns, frequency), ["part", "output"]).compute()
    initial = amplitude.isel(step=0, drop=True)
    rms = np.sqrt((residual.isel(step=0, drop=True) ** 2).mean(["sample", "output"])).compute()
    relative_residual = amplitude / initial.where(initial > NEGLIGIBLE * rms)
    measured = xr.apply_ufunc(
        _decay_rate, predictions["step"], relative_residual, input_core_dims=[["step"], ["step"]], vectorize=True
    )

    target_amplitude = norm(coefficients(target, turns, frequency), ["part", "output"])
    followed = target_amplitude > NEGLIGIBLE * np.sqrt((target**2).mean())
    error = amplitude / target_amplitude.where(followed)
    spectra = xr.Dataset(
        {
            "predicted_rate": predicted.assign_attrs(long_name="decay rate predicted by the NTK", units="1/step"),
            "measured_rate": measured.assign_attrs(long_name="measured decay rate", units="1/step"),
            "relative_residual": relative_residual.assign_attrs(long_name="|F[h - y]| / |F[h_0 - y]|", units="1"),
            "target_amplitude": target_amplitude.assign_attrs(long_name="|F[y]|", units="1"),
            "followed": followed.assign_attrs(long_name="frequency is followed", units="1"),
            **with_convergence(error, THRESHOLD, HOLD),
        }
    )
    return finish(spectra, predictions, measure="ntk", threshold=THRESHOLD, hold=HOLD)


FREQUENCY = {"long_name": "frequency", "units": "cycles per turn"}


def _recipe(predictions: xr.Dataset, samples: int) -> dict:
    """The recipe of the training, which must be gradient descent on the mean squared error of one output."""
    if "recipe" not in predictions.attrs:
        raise UserError("ntk needs to know the training: the predictions carry no recipe; train them with fpkit.runs")
    if predictions.sizes["output"] != 1:
        raise UserError(f"ntk needs a single output, not {predictions.sizes['output']}")
    recipe = json.loads(predictions.attrs["recipe"])
    training = recipe["training"]
    allowed = {"optimizer": "sgd", "momentum": 0, "loss": "mse"}
    wrong = [key for key, value in allowed.items() if training[key] != value]
    if wrong:
        key = wrong[0]
        raise UserError(f"ntk needs gradient descent: set training.{key} to {allowed[key]}, not {training[key]}")
    if (training["batch_size"] or samples) < samples:
        raise UserError("ntk needs gradient descent: leave training.batch_size out")
    return recipe


def _turns(x: xr.DataArray) -> xr.DataArray:
    """Angles (sample) of inputs on the unit circle, in turns.

    Raises UserError unless they are equally spaced, all around.
    """
    points = x.to_numpy().astype(np.float64)
    if points.shape[1:] == (2,) and np.allclose(np.hypot(*points.T), 1, atol=1e-4):
        turns = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
        steps = np.diff(np.sort(turns)) * len(turns)
        if len(turns) > 2 and np.allclose(steps, 1, atol=1e-2):
            return xr.DataArray(turns, dims="sample")
    raise UserError("ntk needs training inputs equally spaced on the unit circle; set embedding: circle on the dataset")


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


def _rayleigh_quotients(
    model: dict, seeds: xr.DataArray, x: xr.DataArray, turns: xr.DataArray, frequency: xr.DataArray
) -> xr.DataArray:
    """Rayleigh quotient (member, frequency) of each member's kernel at initialization, averaged over cos and sin.

    As K = J J^T, v.K v = |J^T v|^2: the gradient of the sum of v_i h(x_i). Neither K nor J is ever held.
    """
    network = models.build(features=x.shape[1:], outputs=1, **model)
    parameters = network.initialize(seeds.to_numpy().tolist())
    inputs = torch.from_numpy(x.to_numpy())
    _, pullback = torch.func.vjp(lambda *stack: network.forward(stack, inputs)[..., 0], *parameters)

    phase = torch.from_numpy(2 * np.pi * np.outer(frequency, turns))
    quotients = np.zeros((seeds.size, frequency.size))
    for basis in (torch.cos(phase), torch.sin(phase)):
        for mode, vector in enumerate(basis.float()):
            gradients = pullback(vector.expand(seeds.size, -1))
            energy = sum(gradient.flatten(1).square().sum(1, dtype=torch.float64) for gradient in gradients)
            quotients[:, mode] += 0.5 * (energy / vector.square().sum()).numpy()
    return xr.DataArray(quotients, coords={"member": seeds, "frequency": frequency["frequency"]})


def _decay_rate(step: np.ndarray, residual: np.ndarray) -> float:
    """Minus the slope of log(residual) against the step: see `decompose`."""
    step, residual = step[step >= 1], residual[step >= 1]
    below = np.flatnonzero(residual < DECAYED)
    end = below[0] if len(below) else len(step)
    if end < LEAST_RECORDS or not np.isfinite(residual[:end]).all():
        return np.nan
    return -np.polyfit(step[:end], np.log(residual[:end]), 1)[0]
