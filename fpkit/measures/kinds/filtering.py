"""Low and high frequencies in the whole input space: a Gaussian filter splits targets and outputs (paper, Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.config.names import NULLS
from fpkit.errors import UserError
from fpkit.jobs.devices import as_numpy
from fpkit.measures.decomposition import ROUNDING
from fpkit.measures.low_pass import Array, array_of, low_high_energy, median_distance, there_and_back
from fpkit.measures.nulls import DRAWS, by_null, centred, deals, noise, shared, shares, traced
from fpkit.measures.pieces import pieces
from fpkit.measures.spectra import described, finish, outputs_of, target_of

COLUMN_BYTES = 384 * 2**20
PARTS = {"long_name": "part of the filter: 0 low, 1 high", "units": "1"}


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    widths: list[float],
    nulls: Sequence[str] = tuple(NULLS),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Relative errors of the low and the high part, e_low = ||y_low - h_low|| / ||y_low||, and what remains of each.

    y_low = K_w y with the row-normalised Gaussian kernel of width w, y_high = y - y_low; targets and outputs are
    centred. The remaining share of a part is <r_part(t), r_part(0)> / |r_part(0)|^2, with r = h - y.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset, split, nulls, null_draws: see `Filtering` in `fpkit.config.measures`.
        widths: in units of the median distance between inputs.

    Returns:
        low_error, high_error (step, member, width); remaining (step, member, width, frequency) and initial_energy
        (member, width, frequency), where frequency 0 is the low part and 1 the high one; `control_...` of the same
        under each null, with leading dimensions `null` and `draw`: of both errors under `share`, NaN under `paces`;
        low_share (width): the low part's share of the target's energy.

    Raises:
        UserError: a constant target, fewer than two samples, or inputs all alike.
    """
    x, target = target_of(dataset, split)
    flat = x.to_numpy().reshape(x.sizes["sample"], -1)
    # Distances are made of squares, of which little would be left where inputs are far from zero.
    flat = flat - flat.mean(axis=0, dtype=np.float64).astype(flat.dtype)
    if len(flat) < 2 or (unit := median_distance(flat)) == 0:
        raise UserError("filtering needs at least two inputs that differ")
    inputs = array_of(flat)
    y = centred(target.transpose("sample", "output").to_numpy().astype(np.float32))
    absolute = [width * unit for width in widths]
    outputs = outputs_of(predictions).transpose("step", "member", "sample", "output")
    first = centred(outputs.isel(step=0).to_numpy() - y)
    probes = _probes(inputs, first, absolute)
    weights = (first[..., None] * probes).sum(axis=2) if "paces" in nulls else probes[:, :, 0, :0]
    dealt = deals(len(y), null_draws if "paces" in nulls else 0)

    # Of the errors h - y, as many steps at once as fit: energies, products with the start, what nulls take of them.
    steps, members = outputs.sizes["step"], outputs.sizes["member"]
    energy = np.empty((2, len(widths), steps, members))
    overlap = np.empty((steps, members, probes.shape[-1]))
    found = np.empty((steps, members, 2 + len(dealt) * weights.shape[-1]))
    per_block = max(1, COLUMN_BYTES // (2 * 4 * y.size * members))
    for start in pieces(range(0, steps, per_block), {"energy": energy, "overlap": overlap, "found": found}):
        block = slice(start, start + per_block)
        error = outputs[block].to_numpy()
        if nulls:
            found[block] = traced(error, first, weights, y, dealt)
        error = centred(error - y)
        overlap[block] = _products(error, probes)
        energy[:, :, block] = _energies(inputs, np.ascontiguousarray(np.moveaxis(error, 2, 0)), absolute)

    coords = {
        "step": predictions["step"],
        "member": predictions["member"],
        "width": ("width", widths, {"long_name": "filter width", "units": "median distance"}),
        "frequency": ("frequency", [0, 1], PARTS),
    }

    def by_part(values: np.ndarray, *dims: str) -> xr.DataArray:
        """Numbers (..., width and part) as (..., width, frequency)."""
        dims = (*dims, "width", "frequency")
        known = {name: coords[name] for name in dims if name in coords}
        return xr.DataArray(values.reshape(*values.shape[:-1], len(widths), 2), known, dims)

    target_energy = xr.DataArray(np.stack(_energies(inputs, y[:, None], absolute))[..., 0], dims=("frequency", "width"))
    size = np.sqrt(target_energy)
    initial = by_part(_products(first[None], probes)[0], "member")
    least = ROUNDING * target_energy.sum("frequency").max().item()
    initial_energy, initial = initial.where(~(initial <= least), 0), initial.where(initial > least)
    remaining = {"remaining": _described(by_part(overlap, "step", "member") / initial)}
    error = np.sqrt(xr.DataArray(energy, dims=("frequency", "width", "step", "member"))) / size
    measured = _errors(error.transpose("frequency", "step", "member", "width")) | remaining
    if nulls:
        controls, errors = {}, {}
        if "share" in nulls:
            whole = xr.DataArray(np.einsum("mso,mso->m", first, first, dtype=float), dims="member")
            traces = [xr.DataArray(found[..., n], dims=("step", "member")) for n in range(2)]
            mixed, band_energy, *white = _of_noise(inputs, first, probes, absolute, null_draws)
            controls["share"], left = shared(
                shares(*traces, whole, *white), initial, by_part(mixed, "draw", "member"), by_part(band_energy, "draw")
            )
            errors = _errors(by_null({"share": np.sqrt(left) / size}, nulls).transpose("frequency", ..., "width"))
        if "paces" in nulls:
            sums = found[..., 2:].reshape(steps, members, null_draws, -1)
            controls["paces"] = by_part(sums, "step", "member", "draw") / initial
        errors["remaining"] = _described(by_null(controls, nulls))
        measured |= {f"control_{name}": values for name, values in errors.items()}
    spectra = xr.Dataset(measured, coords, {"median_distance": unit})
    spectra["initial_energy"] = described(initial_energy, "energy of the part of h_0 - y")
    share = target_energy.isel(frequency=0) / target_energy.sum("frequency")
    spectra["low_share"] = described(share.drop_vars("frequency", errors="ignore"), "low part's share of the energy")
    spectra["followed"] = described(xr.ones_like(spectra["frequency"], bool), "frequency is followed")
    return finish(spectra, predictions, measure="filtering")


def _described(remaining: xr.DataArray) -> xr.DataArray:
    name = "remaining share <r_part(t), r_part(0)> / |r_part(0)|^2, r = h - y"
    return described(remaining.astype(np.float32), name)


def _errors(error: xr.DataArray) -> dict[str, xr.DataArray]:
    """Relative errors (frequency, ...) by the names of the parts."""
    return {
        f"{part}_error": described(
            error.isel(frequency=index, drop=True).astype(np.float32), f"relative error of the {part}-frequency part"
        )
        for index, part in enumerate(("low", "high"))
    }


def _probes(x: Array, first: np.ndarray, widths: list[float]) -> np.ndarray:
    """What an error is multiplied with to give the product of its part with that of the first one.

    (member, sample, output, width and part), centred over samples, as what is filtered is.
    """
    members, samples, outputs = first.shape
    columns = array_of(np.moveaxis(first, 1, 0).reshape(samples, -1))
    parts = [as_numpy(part) for part in there_and_back(x, columns, widths)]
    both = np.stack(parts, axis=1).reshape(2 * len(widths), samples, members, outputs)
    return np.ascontiguousarray(np.moveaxis(centred(np.moveaxis(both, 1, 2)), 0, -1))


def _products(errors: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """(step, member, width and part) of errors (step, member, sample, output)."""
    steps, members, samples, outputs = errors.shape
    flat = errors.reshape(steps, members, samples * outputs).swapaxes(0, 1)
    return (flat @ probes.reshape(members, samples * outputs, -1)).swapaxes(0, 1)


def _of_noise(
    x: Array, first: np.ndarray, probes: np.ndarray, widths: list[float], draws: int
) -> tuple[np.ndarray, np.ndarray, xr.DataArray, xr.DataArray]:
    """Of white noise: products with the start's parts (draw, member, width and part), energies of its own parts (draw,
    width and part), its energy (draw) and its product with the start (draw, member).
    """
    mixed = band_energy = energy = overlap = 0.0
    for some, xi in noise(first.shape[1], first.shape[2], draws):
        mixed += np.einsum("dio,miow->dmw", xi, probes[:, :, some], optimize=True)
        parts = _energies(x, np.ascontiguousarray(np.moveaxis(xi, 1, 0)), widths)
        band_energy += np.stack(parts, axis=-1).transpose(1, 0, 2).reshape(draws, -1)
        energy += np.einsum("dio,dio->d", xi, xi, dtype=float)
        overlap += np.einsum("dio,mio->dm", xi, first[:, :, some], optimize=True)
    return mixed, band_energy, xr.DataArray(energy, dims="draw"), xr.DataArray(overlap, dims=("draw", "member"))


def _energies(x: Array, values: np.ndarray, widths: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Energy of values (sample, *others, output) below and above the filter: two arrays (width, *others)."""
    parts = low_high_energy(x, array_of(values.reshape(len(values), -1)), widths)
    return tuple(as_numpy(part).reshape(len(widths), *values.shape[1:]).sum(axis=-1) for part in parts)
