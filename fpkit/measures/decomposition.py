"""What all measures on a basis make of it: coefficients, relative errors, convergence, and the same under the nulls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from fpkit.bases.basis import Basis, deal
from fpkit.errors import UserError
from fpkit.measures import convergence, nulls
from fpkit.measures.spectra import add_some, compute, described, outputs_of


class Decomposition:
    """Predictions and their target along a basis.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not, or what was recorded in its place:
            coefficient (step, member, deal, function, output) and error_norm (step, member).
        basis: of the recorded samples. target: (sample, output), double precision.
        measure: whose name errors bear.

    Attributes:
        coefficient: F[h] (step, member, function, output), lazily or not; NaN for members that diverged.
        target_coefficient: F[y] (function, output). target_amplitude: |F[y]| (frequency), over functions and outputs.

    Raises:
        UserError: along another basis than was recorded.
    """

    def __init__(self, predictions: xr.Dataset, basis: Basis, target: xr.DataArray, measure: str):
        self.predictions, self.basis, self.bands, self.target = predictions, basis, basis.bands, target
        self.recorded = None
        if "coefficient" in predictions:
            _check_recorded(predictions, basis, measure)
            self.recorded = outputs_of(predictions, "coefficient")
            self.coefficient = self.recorded.sel(deal=0, drop=True).drop_vars("function")
        else:
            self.outputs = outputs_of(predictions)
            self.coefficient = basis.coefficients(self.outputs)
        self.target_coefficient = basis.coefficients(target)
        self.target_amplitude = self.bands.norm(self.target_coefficient)

    def spectra(
        self,
        followed: xr.DataArray,
        threshold: float,
        hold: float,
        under: Sequence[str],
        rng: np.random.Generator | None = None,
        large: Mapping[str, xr.DataArray] = MappingProxyType({}),
        file: Path | None = None,
    ) -> xr.Dataset:
        """Relative errors of the followed frequencies, their convergence, and the same under the nulls.

        Args:
            followed: (frequency,), boolean. threshold, hold: see `fpkit.measures.convergence`.
            under: names of `fpkit.measures.nulls`. rng: what is random about them is drawn from.
            large: arrays made of the predictions, or of coefficients, in the same pass over the store. file: takes
                them, and the relative errors, where they are too large for memory (`fpkit.measures.spectra.compute`).

        Returns:
            relative_error |F[h] - F[y]| / |F[y]| (step, member, frequency), NaN off the followed frequencies, with
            first_passage, hold_passage and area; `control_...` of the same under each null, with a leading dimension
            `null`; followed, and `large`. What was put into the file is not among them, nor are relative errors under
            nulls then.
        """
        rng = np.random.default_rng(nulls.SEED) if rng is None else rng
        bands, functions = self.bands.only(followed)
        size = self.target_amplitude.isel(frequency=followed.to_numpy())

        def distance(coefficient: xr.DataArray, target: xr.DataArray) -> xr.DataArray:
            """|F[h] - F[y]| (..., frequency) at the followed frequencies; off them, F[y] may be zero."""
            return bands.norm(coefficient.isel(function=functions) - target.isel(function=functions))

        small = {"error": (distance(self.coefficient, self.target_coefficient) / size).astype(np.float32)}
        if "shuffled_labels" in under:
            dealt, dealt_target = self._dealt()
            part = bands.norm(dealt_target.isel(function=functions))
            small["shuffled_labels"] = distance(dealt, dealt_target) / part
        if "white_noise" in under:
            small["error_norm"] = self.error_norm
        computed, left = compute(xr.Dataset(small), xr.Dataset(large), file)
        measured = with_convergence(computed["error"], threshold, hold)
        if under:
            controls = with_convergence(self._controls(computed, followed, under, rng), threshold, hold)
            measured |= {f"control_{name}": values for name, values in controls.items()}
        if large and not left:
            add_some(file, "relative_error", measured.pop("relative_error").transpose(..., "frequency"), followed)
            measured.pop("control_relative_error", None)
        grid = self.bands.frequency["frequency"]
        whole = {name: values.reindex(frequency=grid) for name, values in measured.items()}
        return xr.Dataset({"followed": described(followed, "frequency is followed"), **left, **whole})

    def _controls(
        self, computed: xr.Dataset, followed: xr.DataArray, under: Sequence[str], rng: np.random.Generator
    ) -> xr.DataArray:
        """Relative errors (null, step, member, frequency) at the followed frequencies."""
        made, chosen = {}, {"frequency": followed.to_numpy()}
        if "white_noise" in under:
            white = nulls.white_noise(self.basis, self.target.sizes, computed["error_norm"], rng)
            made["white_noise"] = white.isel(chosen) / self.target_amplitude.isel(chosen)
        if "shuffled_labels" in under:
            made["shuffled_labels"] = computed["shuffled_labels"]
        return xr.concat([made[name] for name in under], xr.Variable("null", list(under)))

    def _dealt(self) -> tuple[xr.DataArray, xr.DataArray]:
        """The same coefficients with the samples dealt out anew: of the outputs, and of the target."""
        basis = self.basis.dealt(deal(self.target.sizes["sample"]))
        if self.recorded is not None:
            outputs = self.recorded.sel(deal=1, drop=True).drop_vars("function")
        else:
            outputs = basis.coefficients(self.outputs)
        return outputs, basis.coefficients(self.target)

    @property
    def error_norm(self) -> xr.DataArray:
        """Norm (step, member) of the error less its mean over samples, lazily or not."""
        if self.recorded is not None:
            return outputs_of(self.predictions, "error_norm")
        error = self.outputs - self.target.astype(np.float32)
        error = error - error.mean("sample", skipna=False)
        return np.sqrt((error**2).sum(["sample", "output"], skipna=False))


def with_convergence(error: xr.DataArray, threshold: float, hold: float) -> dict[str, xr.DataArray]:
    """The relative error (step, member, frequency), computed, and what convergence makes of it."""
    error = described(error.astype(np.float32), "relative error |F[h] - F[y]| / |F[y]|")
    return {
        "relative_error": error,
        "first_passage": convergence.first_passage(error, threshold),
        "hold_passage": convergence.hold_passage(error, threshold, hold),
        "area": convergence.area(error),
    }


def _check_recorded(predictions: xr.Dataset, basis: Basis, measure: str) -> None:
    recorded = json.loads(predictions.attrs.get("recipe", "{}")).get("record", {}).get("basis")
    if recorded != basis.recipe:
        raise UserError(f"{measure}: coefficients of {recorded} were recorded, not of {basis.recipe}; train again")
