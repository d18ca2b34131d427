"""What all measures on a basis make of it: coefficients, errors and what remains, convergence, the same under nulls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from fpkit.bases.basis import Bands, Basis, dot
from fpkit.errors import UserError
from fpkit.measures import convergence, nulls
from fpkit.measures.spectra import add_some, compute, described, outputs_of

# What a direction of the samples must have of the largest, to be told from recorded coefficients in single precision.
TOLD = 1e-5
# Energies below this part of the largest of the target's are rounding errors of predictions in single precision.
ROUNDING = 1e-13
# Of recorded norms, whose squares are taken from each other, what is below this part of them is rounding errors.
SQUARED = 1e-6


class Decomposition:
    """Predictions and their target along a basis.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not, or what was recorded in its place:
            coefficient (step, member, function, output), error_norm and error_overlap (step, member).
        basis: of the recorded samples. target: (sample, output), double precision.
        measure: whose name errors bear.

    Attributes:
        coefficient: F[h] (step, member, function, output), lazily or not; NaN for members that diverged.
        target_coefficient: F[y] (function, output). target_amplitude: |F[y]| (frequency), over functions and outputs.

    Raises:
        UserError: along another basis than was recorded.
    """

    def __init__(self, predictions: xr.Dataset, basis: Basis, target: xr.DataArray, measure: str):
        self.predictions, self.basis, self.bands = predictions, basis, basis.bands
        self.target, self.measure = target, measure
        self.recorded = None
        if "coefficient" in predictions:
            _check_recorded(predictions, basis, measure)
            self.recorded = outputs_of(predictions, "coefficient")
            self.coefficient = self.recorded.drop_vars("function")
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
        under: Sequence[str] = (),
        draws: int = nulls.DRAWS,
        large: Mapping[str, xr.DataArray] = MappingProxyType({}),
        file: Path | None = None,
    ) -> xr.Dataset:
        """Errors and remaining shares of the followed frequencies, their convergence, and the same under nulls.

        Args:
            followed: (frequency,), boolean. threshold, hold: see `fpkit.measures.convergence`.
            under: names of `fpkit.measures.nulls`. draws: of each of them.
            large: arrays made of the predictions, or of coefficients, in the same pass over the store. file: takes
                them, and relative errors and remaining shares, also under nulls, where they are too large for memory
                (`fpkit.measures.spectra.compute`).

        Returns:
            relative_error |F[h] - F[y]| / |F[y]| and remaining <F[r_t], F[r_0]> / |F[r_0]|^2, r = h - y and r_0 that
            of the first record, over functions and outputs (step, member, frequency), NaN off the followed
            frequencies; of the first first_passage, hold_passage and area, of the second the same by the name of
            remaining_..., its passages at each `level`; initial_energy |F[r_0]|^2 (member, frequency).
            `control_...` under each null, with leading dimensions `null` and `draw`: of all under `share`, of what
            remains under `paces`, NaN for the rest. followed, and `large`. What was put into the file is not among
            them.

        Raises:
            UserError: `paces`, of coefficients that were recorded in place of predictions.
        """
        bands, functions = self.bands.only(followed)
        size = self.target_amplitude.isel(frequency=followed.to_numpy())
        residual = self.coefficient.isel(function=functions) - self.target_coefficient.isel(function=functions)
        residual = residual.astype(np.float32)
        start = residual.isel(step=0, drop=True).compute()
        initial = bands.energy(start).sum("output", skipna=False)
        least = ROUNDING * float((size**2).max())
        initial_energy, initial = initial.where(~(initial <= least), 0), initial.where(initial > least)
        small = {
            "relative_error": bands.norm(residual) / size,
            "remaining": bands.product(residual, start).sum("output", skipna=False) / initial,
        }
        if under:
            first = self._first_error() if self.recorded is None else None
            weights = self._weights(start, first, functions, bands, "paces" in under)
            small["traced"] = self._traced(first, weights, "paces" in under, draws)
        computed, left = compute(xr.Dataset(small), xr.Dataset(large), file)
        measured = {
            **with_convergence(computed["relative_error"].astype(np.float32), threshold, hold),
            **with_remaining(computed["remaining"].astype(np.float32), hold),
        }
        if under:
            controls, found = {}, {}
            if "share" in under:
                share = self._under_share(computed["traced"], start, first, initial, bands, functions, draws)
                controls["share"] = share[0]
                error = nulls.by_null({"share": np.sqrt(share[1]) / size}, under)
                found |= with_convergence(error, threshold, hold)
            if "paces" in under:
                controls["paces"] = _dealt(computed["traced"], bands, draws) / initial
            found |= with_remaining(nulls.by_null(controls, under), hold)
            measured |= {f"control_{name}": values for name, values in found.items()}
        if large and not left:
            for name in [name for name, values in measured.items() if "step" in values.dims]:
                add_some(file, name, measured.pop(name).transpose(..., "frequency"), followed)
        measured["initial_energy"] = described(initial_energy, "initial energy |F[h_0 - y]|^2")
        grid = self.bands.frequency["frequency"]
        whole = {name: values.reindex(frequency=grid) for name, values in measured.items()}
        return xr.Dataset({"followed": described(followed, "frequency is followed"), **left, **whole})

    # --- under nulls --------------------------------------------------------------------------------------------------

    def _first_error(self) -> xr.DataArray:
        """r_0 (member, sample, output), centred."""
        first = self.outputs.isel(step=0, drop=True).transpose("member", "sample", "output").compute()
        target = self.target.transpose("sample", "output").to_numpy().astype(np.float32)
        return first.copy(data=nulls.centred(first.to_numpy() - target))

    def _weights(
        self, start: xr.DataArray, first: xr.DataArray | None, functions: np.ndarray, bands: Bands, paces: bool
    ) -> np.ndarray:
        """What paces are summed with (member, sample, frequency) to give <F[r~_t], F[r_0]>; if not `paces`, nothing."""
        if not paces:  # not of size 0, which dask cannot lay out
            return np.zeros((start.sizes["member"], self.target.sizes["sample"], 1), np.float32)
        if first is None:
            raise UserError(
                f"decomposition.{self.measure}.nulls: paces needs predictions, and coefficients were recorded; leave it"
                " out, or set record.content to predictions"
            )
        made = []
        for band in range(bands.frequency.size):
            own = np.flatnonzero(bands.of == band)
            seen = self.basis.adjoint(start.isel(function=own), functions[own], first.sizes["sample"])
            made.append((first * seen).sum("output", skipna=False).transpose("member", "sample").to_numpy())
        return np.stack(made, axis=-1).astype(np.float32)

    def _traced(self, first: xr.DataArray | None, weights: np.ndarray, paces: bool, draws: int) -> xr.DataArray:
        """|r_t - a_t r_0|^2, <r_t, r_0> and sums of paces (step, member, number), lazily or not: `nulls.traced`."""
        if first is None:
            energy, overlap = self._recorded_products()
            left = energy - overlap**2 / energy.isel(step=0, drop=True)
            return xr.concat([left.where(~(left < SQUARED * energy), 0), overlap], "number")
        samples = first.sizes["sample"]
        dealt = nulls.deals(samples, draws if paces else 0)
        target = self.target.transpose("sample", "output").to_numpy().astype(np.float32)
        return xr.apply_ufunc(
            nulls.traced,
            self.outputs,
            first,
            xr.DataArray(weights, dims=("member", "sample", "weight")),
            kwargs={"target": target, "dealt": dealt},
            input_core_dims=[["sample", "output"], ["sample", "output"], ["sample", "weight"]],
            output_core_dims=[["number"]],
            dask="parallelized",
            output_dtypes=[float],
            dask_gufunc_kwargs={"output_sizes": {"number": 2 + len(dealt) * weights.shape[-1]}},
        )

    def _under_share(
        self,
        traced: xr.DataArray,
        start: xr.DataArray,
        first: xr.DataArray | None,
        initial: xr.DataArray,
        bands: Bands,
        functions: np.ndarray,
        draws: int,
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """Remaining share and energy |F[r~_t]|^2 (draw, step, member, frequency) under `share`."""
        told = self._told() if first is None else None
        noise_energy = noise_overlap = band_energy = mixed = 0.0
        for some, drawn in nulls.noise(self.target.sizes["sample"], self.target.sizes["output"], draws):
            xi = xr.DataArray(drawn, dims=("draw", "sample", "output"))
            own = self.basis.coefficients(xi)
            noise_energy += (xi.astype(float) ** 2).sum(["sample", "output"])
            along = (first, xi, "sample") if told is None else (told, own, "function")
            part = along[0].isel(output=some).drop_vars("output", errors="ignore")
            noise_overlap += dot(part, along[1], [along[2], "output"]).astype(float)
            own = own.isel(function=functions)
            band_energy += bands.energy(own).sum("output")
            part = start.isel(output=some).drop_vars("output", errors="ignore")
            mixed += bands.product(own, part).sum("output", skipna=False)
        if first is None:
            whole = self._recorded_products()[0].isel(step=0, drop=True)
        else:
            squares = np.einsum(
                "mso,mso->m", *[first.transpose("member", "sample", "output").to_numpy()] * 2, dtype=float
            )
            whole = xr.DataArray(squares, {"member": first["member"]}, "member")
        left, overlap = traced.isel(number=0), traced.isel(number=1)
        factors = nulls.shares(left, overlap, whole, noise_energy, noise_overlap)
        return nulls.shared(factors, initial, mixed, band_energy)

    def _recorded_products(self) -> tuple[xr.DataArray, xr.DataArray]:
        """|r_t|^2 and <r_t, r_0> (step, member), in double precision, as they were recorded beside coefficients.

        Raises UserError where r_0 is that of another record than the first one here, or of another target.
        """
        names = "error_norm", "error_overlap"
        if all(name in self.predictions for name in names):
            norm, overlap = (outputs_of(self.predictions, name).astype(float) for name in names)
            energy, starts = norm**2, overlap.isel(step=0)
            if not (abs(starts - energy.isel(step=0)) > 1e-3 * energy.isel(step=0)).any():
                return energy, overlap
        raise UserError(
            f"decomposition.{self.measure}.nulls: share needs the target and the first record that these coefficients"
            " were recorded with; take them, or leave share out"
        )

    def _told(self) -> xr.DataArray:
        """What coefficients F[v] are multiplied with (member, function, output) to give <v, r_0>, of recorded ones.

        Of r_0 the part that the basis tells; to the rest, which nobody knows, the noise is orthogonal without that.
        """
        start = (self.coefficient.isel(step=0, drop=True) - self.target_coefficient).compute()
        matrix = self.basis.matrix(self.target.sizes["sample"]).astype(float)
        values, vectors = np.linalg.eigh(matrix.T @ matrix)
        kept = values > TOLD * values[-1]
        inverse = xr.DataArray(vectors[:, kept] / values[kept] @ vectors[:, kept].T, dims=("function", "other"))
        return dot(start, inverse, ["function"]).rename(other="function")

    @property
    def error_norm(self) -> xr.DataArray:
        """Norm (step, member) of the error less its mean over samples, lazily or not."""
        if self.recorded is not None:
            return outputs_of(self.predictions, "error_norm")
        error = self.outputs - self.target.astype(np.float32)
        error = error - error.mean("sample", skipna=False)
        return np.sqrt((error**2).sum(["sample", "output"], skipna=False))


def _dealt(traced: xr.DataArray, bands: Bands, draws: int) -> xr.DataArray:
    """<F[r~_t], F[r_0]> (step, member, draw, frequency) under `paces`."""
    sums = traced.transpose("step", "member", "number").to_numpy()[..., 2:]
    return xr.DataArray(
        sums.reshape(*sums.shape[:2], draws, -1),
        {"step": traced["step"], "member": traced["member"], "frequency": bands.frequency["frequency"]},
        ("step", "member", "draw", "frequency"),
    )


def with_convergence(error: xr.DataArray, threshold: float, hold: float) -> dict[str, xr.DataArray]:
    """The relative error (..., step, member, frequency), computed, and what convergence makes of it."""
    return {
        "relative_error": described(error, "relative error |F[h] - F[y]| / |F[y]|"),
        "first_passage": convergence.first_passage(error, threshold),
        "hold_passage": convergence.hold_passage(error, threshold, hold),
        "area": convergence.area(error),
    }


def with_remaining(remaining: xr.DataArray, hold: float) -> dict[str, xr.DataArray]:
    """The remaining share (..., step, member, frequency), computed, and what convergence makes of it."""
    passages = convergence.at_levels(remaining, hold)
    found = {"remaining": described(remaining, "remaining share <F[r_t], F[r_0]> / |F[r_0]|^2, r = h - y")}
    found |= {f"remaining_{name}": values for name, values in passages.items()}
    return found | {"remaining_area": convergence.mean_over_log_step(remaining, "remaining share")}


def _check_recorded(predictions: xr.Dataset, basis: Basis, measure: str) -> None:
    recorded = json.loads(predictions.attrs.get("recipe", "{}")).get("record", {}).get("basis")
    if recorded != basis.recipe:
        raise UserError(f"{measure}: coefficients of {recorded} were recorded, not of {basis.recipe}; train again")
