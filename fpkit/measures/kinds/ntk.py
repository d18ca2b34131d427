"""How fast the eigenvectors of the neural tangent kernel (NTK) decay: as it predicts at the start, and as measured.

Under gradient descent on the mean squared error of n samples and o outputs, the residual r = h - y follows
r <- r - (2 learning_rate / (n o)) K r as long as the kernel K = J J^T, J the Jacobian of the outputs by the parameters,
stays what it was (Jacot, Gabriel, Hongler 2018). Along each eigenvector the residual then decays at a pace of its own;
on the circle, eigenvectors are (nearly) the Fourier modes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from fpkit.bases import circle
from fpkit.bases.basis import Basis
from fpkit.bases.eigenvectors import Eigenvectors
from fpkit.config.names import MOST_KERNEL_SAMPLES
from fpkit.errors import UserError
from fpkit.jobs import devices
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import described, finish, target_of
from fpkit.store.predictions import diverged

# A mode's decay is measured until its residual is this share of the initial one ...
DECAYED = 0.1
# ... where there are as many records by then, and it fell below this share at any.
LEAST_RECORDS = 3
HALF = 0.5
# An amplitude below this share of its root mean square is rounding error.
NEGLIGIBLE = 1e-4
# Eigenvectors followed, where nothing else is asked for.
MODES = 16


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    modes: int | list[int] | None,
    threshold: float = 0.2,
    hold: float = 0.05,
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Measured and predicted decay rates of the residual h - y along the kernel's eigenvectors, or Fourier modes.

    Along the leading eigenvectors v of the mean over members and outputs of the kernels at initialization; on the
    circle along v = cos(k a) and sin(k a). Several outputs are several residuals, whose squares are summed.

    Predicted: -log(1 - s), with the share s = (2 learning_rate / (n o)) times the Rayleigh quotient v.K v / v.v of the
    member's kernel, averaged over outputs and the functions of a frequency; NaN where s >= 1, as gradient descent does
    not decay there: a mode oscillates, and from 2 on it grows. The same of the kernel at the end of the training, if
    the run kept its parameters (`record.parameters`); else NaN.

    Measured: minus the slope of log(|F[h - y](k)| / |F[h_0 - y](k)|) against the step, a least-squares line with
    intercept through the records from step 1 up to, and without, the first below 0.1 (or the last, if none is); NaN
    with fewer than 3 records, where none of all is below 0.5, or where |F[h_0 - y](k)| is below 1e-4 of the root mean
    square of h_0 - y.

    Args:
        predictions: of gradient descent; the attribute `recipe` says how the members were trained, the coordinate
            `member` from which seed; see `fpkit.measures.decomposition.Decomposition`.
        dataset: any; inputs equally spaced on the unit circle (`embedding: circle`) for Fourier modes.
        split, modes, threshold, hold, nulls, null_draws: see `Ntk` in `fpkit.config.measures`; split must be `train`.

    Returns:
        predicted_rate, final_rate, measured_rate (member, frequency); eigenvalue (frequency), the Rayleigh quotient of
        the mean kernel; largest_share (member,), of all modes, followed or not; kernel_change (member,), the Frobenius
        norm |K_end - K_0| / |K_0| of the mean over outputs; relative_residual |F[h - y]| / |F[h_0 - y]| (step, member,
        frequency); target_amplitude (frequency), and what `Decomposition.spectra` gives, where the followed modes are
        those that the target holds. Frequencies are cycles per turn on the circle, else ranks of eigenvectors. The
        attribute `unmeasured` counts rates (member, frequency) of residuals that never fell below 0.5, and `remark`, if
        there, says that a share is 1 or more.

    Raises:
        UserError: another split than `train`, anything but gradient descent on the mean squared error, too many samples
            for a kernel, modes that do not fit the circle, or a share of 2 or more in a member that did not diverge.
    """
    if split != "train":
        raise UserError(f"ntk is about the training samples: set record.split to train, not {split}")
    samples = dataset.sizes["sample_train"]
    recipe = _recipe(predictions, samples)
    x, target = target_of(dataset, "train")
    initial = _Kernels(recipe["model"], predictions, x, target.sizes["output"])
    start = np.stack(list(initial.at_start()))
    mean = start.mean(axis=0)
    if (modes is None and circle.fits(x)) or isinstance(modes, list):
        basis: Basis = circle.build(dataset, split, modes=modes)
    else:
        basis = Eigenvectors(mean, modes or MODES)
    along = Decomposition(predictions, basis, target, "ntk")

    per_eigenvalue = 2 * recipe["training"]["learning_rate"] / (samples * target.sizes["output"])
    bad = diverged(predictions)
    largest = per_eigenvalue * initial.largest
    remark = _too_long(largest, bad, recipe["training"]["learning_rate"])
    functions = basis.matrix(samples).astype(np.float64)

    def rates(quotients: np.ndarray) -> xr.DataArray:
        """Decay rates (member, frequency) from Rayleigh quotients."""
        coords = {"member": predictions["member"], "frequency": basis.bands.frequency["frequency"]}
        share = xr.DataArray(per_eigenvalue * quotients, coords, ("member", "frequency"))
        return -np.log1p(-share.where(share < 1))

    quotients, change = np.full((2, len(start), basis.bands.frequency.size), np.nan), np.full(len(start), np.nan)
    quotients[0] = [rayleigh_quotients(kernel, functions, basis) for kernel in start]
    for member, end in initial.at_end(~bad.to_numpy()):
        quotients[1, member] = rayleigh_quotients(end, functions, basis)
        change[member] = np.linalg.norm(end - start[member]) / np.linalg.norm(start[member])

    amplitude = basis.bands.norm(along.coefficient - along.target_coefficient).compute()
    amplitude_at_start = amplitude.isel(step=0, drop=True)
    rms = along.error_norm.isel(step=0, drop=True).compute() / np.sqrt(samples)
    relative_residual = amplitude / amplitude_at_start.where(amplitude_at_start > NEGLIGIBLE * rms)
    measured = xr.apply_ufunc(
        _decay_rate, predictions["step"], relative_residual, input_core_dims=[["step"], ["step"]], vectorize=True
    )
    lasting = ~(relative_residual < HALF).any("step") & relative_residual.notnull().all("step")

    followed = along.target_amplitude > NEGLIGIBLE * np.sqrt((target**2).mean())
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws)
    per_step, of_mean = "1/step", rayleigh_quotients(mean, functions, basis)
    spectra["predicted_rate"] = described(rates(quotients[0]), "decay rate predicted by the NTK at the start", per_step)
    spectra["final_rate"] = described(rates(quotients[1]), "decay rate predicted by the NTK at the end", per_step)
    spectra["measured_rate"] = described(measured, "measured decay rate", per_step)
    spectra["eigenvalue"] = described(basis.bands.frequency.copy(data=of_mean), "Rayleigh quotient of the mean NTK")
    by_member = {"member": predictions["member"]}
    spectra["largest_share"] = described(
        xr.DataArray(largest, by_member, ("member",)), "largest share of a residual that a step takes"
    )
    spectra["kernel_change"] = described(
        xr.DataArray(change, by_member, ("member",)), "change of the NTK in training |K_end - K_0| / |K_0|"
    )
    spectra["relative_residual"] = described(relative_residual, "|F[h - y]| / |F[h_0 - y]|")
    spectra["target_amplitude"] = described(along.target_amplitude, "|F[y]|")
    attributes = {"measure": "ntk", "threshold": threshold, "hold": hold, "unmeasured": int(lasting.sum())}
    if lasting.any():
        print(
            f"{attributes['unmeasured']} of {lasting.size} rates are not measured: the residual never fell below {HALF}"
            " of its start; train longer, or follow fewer modes",
            flush=True,
        )
    return finish(spectra, predictions, **attributes, **({"remark": remark} if remark else {}))


def rayleigh_quotients(kernel: np.ndarray, functions: np.ndarray, basis: Basis) -> np.ndarray:
    """v.K v / v.v (frequency,) of a kernel (sample, sample), averaged over the functions (sample, function) of each."""
    quotients = np.einsum("sf,sf->f", functions, kernel @ functions) / (functions**2).sum(axis=0)
    count = basis.bands.frequency.size
    return np.bincount(basis.bands.of, quotients, count) / np.bincount(basis.bands.of, minlength=count)


class _Kernels:
    """The members' kernels (sample, sample), means over outputs, at the start of their training and at its end.

    `largest` (member,): the largest eigenvalue of each whole kernel, over samples and outputs, at the start.
    """

    def __init__(self, model: dict, predictions: xr.Dataset, x: xr.DataArray, outputs: int):
        from fpkit.measures import tangent
        from fpkit.training import gradients, networks

        self.model, self.predictions, self.kernel = model, predictions, tangent.kernel
        self.x = devices.as_tensor(x.to_numpy().astype(np.float32))
        self.network = networks.build(features=x.shape[1:], outputs=outputs, **model)
        drawn = self.network.initialize(predictions["member"].to_numpy().tolist())
        self.parameters = [stack.to(devices.chosen()) for stack in drawn]
        self.dense = gradients.by_hand(model, "mse")
        self.largest = np.array(
            [tangent.largest_eigenvalue(self.network, member, self.x) for member in zip(*self.parameters, strict=True)]
        )

    def at_start(self) -> Iterator[np.ndarray]:
        for member in zip(*self.parameters, strict=True):
            yield self.kernel(self.model, self.network, member, self.x)

    def at_end(self, chosen: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The number of each chosen member and its kernel, where parameters were kept."""
        from fpkit.training import layout

        if "parameter" not in self.predictions:
            return
        numbers = self.predictions["parameter"].transpose("member", "weight").to_numpy()
        stacks = [devices.as_tensor(stack) for stack in layout.apart(numbers, self.parameters, self.dense)]
        for number in np.flatnonzero(chosen):
            yield number, self.kernel(self.model, self.network, [stack[number] for stack in stacks], self.x)


def _too_long(largest: np.ndarray, bad: xr.DataArray, learning_rate: float) -> str | None:
    """A remark, also printed, on steps so long that a mode oscillates: a largest share (member,) of 1 or more.

    Raises UserError where a member should have diverged and did not: what it does is not what the kernel predicts.
    """
    highest = largest.max()
    if highest < 1:
        return None
    rate = f"{0.9 * learning_rate / highest:.2g}"
    kept = largest[~bad.to_numpy()]
    if kept.size and kept.max() >= 2:
        raise UserError(
            f"ntk: training.learning_rate {learning_rate:g} takes {kept.max():.2g} times the residual of the fastest"
            f" mode in a step, and from 2 on gradient descent diverges; set it to {rate}"
        )
    remark = (
        f"training.learning_rate {learning_rate:g} takes {highest:.2g} times the residual of the fastest mode in a"
        f" step: from 1 on modes oscillate, and have no predicted rate; {rate} would do"
    )
    print(remark, flush=True)
    return remark


def _recipe(predictions: xr.Dataset, samples: int) -> dict:
    """The recipe of the training, which must be gradient descent on the mean squared error of not too many samples."""
    if "recipe" not in predictions.attrs:
        raise UserError(
            "ntk needs to know the training: the predictions carry no recipe; train them with fpkit.training.run"
        )
    if samples > MOST_KERNEL_SAMPLES:
        raise UserError(f"ntk holds kernels of all samples: give at most {MOST_KERNEL_SAMPLES:,}, not {samples:,}")
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


def _decay_rate(step: np.ndarray, residual: np.ndarray) -> float:
    """Minus the slope of log(residual) against the step: see `decompose`."""
    step, residual = step[step >= 1], residual[step >= 1]
    below = np.flatnonzero(residual < DECAYED)
    end = below[0] if len(below) else len(step)
    if end < LEAST_RECORDS or not np.isfinite(residual[:end]).all() or not (residual < HALF).any():
        return np.nan
    return -np.polyfit(step[:end], np.log(residual[:end]), 1)[0]
