"""How fast each Fourier mode decays: measured, and as the neural tangent kernel (NTK) at initialization predicts.

On the circle the Fourier modes are (nearly) eigenvectors of the kernel K = J J^T, J the Jacobian of the outputs by the
parameters (Jacot, Gabriel, Hongler 2018). Under gradient descent on the mean squared error of n samples, the residual
r = h - y follows r <- r - (2 learning_rate / n) K r as long as K stays what it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from fpkit.bases import circle
from fpkit.bases.waves import Waves
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import described, finish, target_of
from fpkit.training import networks

# A mode's decay is measured until its residual is this share of the initial one.
DECAYED = 0.1
LEAST_RECORDS = 3
# An amplitude below this share of its root mean square is rounding error.
NEGLIGIBLE = 1e-4


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    modes: list[int] | None,
    threshold: float = 0.2,
    hold: float = 0.05,
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Measured and predicted decay rates of the Fourier modes of the residual h - y on the circle, per step.

    Predicted: -log(1 - s), with s = (2 learning_rate / n) times the Rayleigh quotient v.K v / v.v of the member's
    kernel at initialization, averaged over v = cos(k a) and sin(k a) on the n training angles a; NaN where s >= 1, as
    gradient descent does not decay there.

    Measured: minus the slope of log(|F[h - y](k)| / |F[h_0 - y](k)|) against the step, a least-squares line with
    intercept through the records from step 1 up to, and without, the first below 0.1 (or the last, if none is); NaN
    with fewer than 3 records, or where |F[h_0 - y](k)| is below 1e-4 of the root mean square of h_0 - y.

    Args:
        predictions: of one output, of gradient descent; the attribute `recipe` says how the members were trained, the
            coordinate `member` from which seed; see `fpkit.measures.decomposition.Decomposition`.
        dataset: inputs equally spaced on the unit circle (`embedding: circle`).
        split, modes, threshold, hold, nulls, null_draws: see `Ntk` in `fpkit.config.measures`; split must be `train`.

    Returns:
        predicted_rate, measured_rate (member, frequency); relative_residual |F[h - y]| / |F[h_0 - y]| (step, member,
        frequency), of which the latter is taken; target_amplitude (frequency), and what `Decomposition.spectra` gives,
        where the followed modes are those that the target holds. Frequencies are cycles per turn.

    Raises:
        UserError: inputs that are not equally spaced on the circle, another split than `train`, several outputs,
            anything but gradient descent on the mean squared error, or modes that do not fit the circle.
    """
    if split != "train":
        raise UserError(f"ntk is about the training samples: set record.split to train, not {split}")
    recipe = _recipe(predictions, dataset.sizes["sample_train"])
    x, target = target_of(dataset, "train")
    basis = circle.build(dataset, split, modes=modes)
    along = Decomposition(predictions, basis, target, "ntk")

    share = _rayleigh_quotients(recipe["model"], predictions["member"], x, basis)
    share = share * 2 * recipe["training"]["learning_rate"] / x.sizes["sample"]
    predicted = -np.log1p(-share.where(share < 1))

    amplitude = basis.bands.norm(along.coefficient - along.target_coefficient).compute()
    initial = amplitude.isel(step=0, drop=True)
    rms = along.error_norm.isel(step=0, drop=True).compute() / np.sqrt(x.sizes["sample"])
    relative_residual = amplitude / initial.where(initial > NEGLIGIBLE * rms)
    measured = xr.apply_ufunc(
        _decay_rate, predictions["step"], relative_residual, input_core_dims=[["step"], ["step"]], vectorize=True
    )

    followed = along.target_amplitude > NEGLIGIBLE * np.sqrt((target**2).mean())
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws)
    spectra["predicted_rate"] = described(predicted, "decay rate predicted by the NTK", "1/step")
    spectra["measured_rate"] = described(measured, "measured decay rate", "1/step")
    spectra["relative_residual"] = described(relative_residual, "|F[h - y]| / |F[h_0 - y]|")
    spectra["target_amplitude"] = described(along.target_amplitude, "|F[y]|")
    return finish(spectra, predictions, measure="ntk", threshold=threshold, hold=hold)


def _recipe(predictions: xr.Dataset, samples: int) -> dict:
    """The recipe of the training, which must be gradient descent on the mean squared error of one output."""
    if "recipe" not in predictions.attrs:
        raise UserError(
            "ntk needs to know the training: the predictions carry no recipe; train them with fpkit.training.run"
        )
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


def _rayleigh_quotients(model: dict, seeds: xr.DataArray, x: xr.DataArray, basis: Waves) -> xr.DataArray:
    """Rayleigh quotient (member, frequency) of each member's kernel at initialization, averaged over cos and sin.

    As K = J J^T, v.K v = |J^T v|^2: the gradient of the sum of v_i h(x_i). Neither K nor J is ever held.
    """
    network = networks.build(features=x.shape[1:], outputs=1, **model)
    parameters = network.initialize(seeds.to_numpy().tolist())
    inputs = torch.from_numpy(x.to_numpy())
    _, pullback = torch.func.vjp(lambda *stack: network.forward(stack, inputs)[..., 0], *parameters)

    frequency = basis.bands.frequency
    phase = torch.from_numpy(2 * np.pi * np.outer(frequency, basis.position))
    quotients = np.zeros((seeds.size, frequency.size))
    for waves in (torch.cos(phase), torch.sin(phase)):
        for mode, vector in enumerate(waves.float()):
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
