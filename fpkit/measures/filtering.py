"""Low and high frequencies in the whole input space: a Gaussian filter splits targets and outputs (paper, Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from fpkit.errors import UserError
from fpkit.measures.low_pass import low_high_energy, median_distance
from fpkit.measures.nulls import NULLS, SEED
from fpkit.measures.spectra import finish, outputs_of, target_of

COLUMN_BYTES = 384 * 2**20


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    widths: list[float],
    null_draws: int,
    nulls: Sequence[str] = NULLS,
) -> xr.Dataset:
    """Relative errors of the low and the high part: e_low = ||y_low - h_low|| / ||y_low||, e_high likewise.

    y_low = K_w y with the row-normalised Gaussian kernel of width w, y_high = y - y_low; targets and outputs are
    centred. The controls replace the error h - y of each record by one without any preference: `white_noise`, Gaussian
    noise of equal norm; `shuffled_labels`, the pairs (y_i, h_i) dealt out anew over the inputs.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset, split, null_draws, nulls: see `Filtering` in `fpkit.config.measures`.
        widths: in units of the median distance between inputs.

    Returns:
        low_error, high_error (step, member, width); control_low_error, control_high_error (null, step, member,
        width); low_share (width): the low part's share of the target's energy.

    Raises:
        UserError: a constant target, fewer than two samples, or inputs all alike.
    """
    x, target = target_of(dataset, split)
    inputs = torch.from_numpy(x.to_numpy().reshape(x.sizes["sample"], -1))
    if len(inputs) < 2 or (unit := median_distance(inputs)) == 0:
        raise UserError("filtering needs at least two inputs that differ")
    y = target.transpose("sample", "output").to_numpy().astype(np.float32)
    absolute = [width * unit for width in widths]

    rng = np.random.default_rng(SEED)
    noise = _centred(rng.standard_normal((len(y), null_draws, y.shape[1]), dtype=np.float32))
    deals = [rng.permutation(len(y)) for _ in range(null_draws)]
    centred_y = _centred(y.copy())
    fixed = np.stack([centred_y, *np.moveaxis(noise, 1, 0), *(centred_y[deal] for deal in deals)], axis=1)
    low, high = _energies(inputs, fixed, absolute)
    low_y, high_y = low[:, 0], high[:, 0]
    low_noise, high_noise = (part[:, 1 : 1 + null_draws].mean(1) for part in (low, high))
    low_dealt, high_dealt = (part[:, 1 + null_draws :].mean(1) for part in (low, high))

    # Energies (width, error or dealt error, step, member) of the errors h - y, as many steps at once as fit.
    outputs = outputs_of(predictions)
    steps, members = outputs.sizes["step"], outputs.sizes["member"]
    low_r, high_r = (np.empty((len(widths), 2, steps, members)) for _ in range(2))
    total = np.empty((steps, members))
    per_block = max(1, COLUMN_BYTES // (2 * 4 * y.size * members))
    for start in range(0, steps, per_block):
        block = slice(start, start + per_block)
        prediction = outputs[block].transpose("sample", "step", "member", "output").to_numpy()
        columns = np.empty((len(y), 2, *prediction.shape[1:]), np.float32)
        np.subtract(prediction, y[:, None, None], out=columns[:, 0])
        del prediction
        _centred(columns[:, 0])
        columns[:, 1] = columns[deals[0], 0]
        low_r[:, :, block], high_r[:, :, block] = _energies(inputs, columns, absolute)
        total[block] = np.einsum("isml,isml->sm", columns[:, 0], columns[:, 0])

    to_norm = total / ((noise.astype(np.float64) ** 2).sum() / null_draws)
    white = (np.multiply.outer(part, to_norm) for part in (low_noise / low_y, high_noise / high_y))
    low_w, high_w = (np.moveaxis(np.sqrt(part), 0, -1) for part in white)

    def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.sqrt(part / whole[:, None, None]), 0, -1)

    def errors(values: np.ndarray, part: str, *leading: str) -> xr.DataArray:
        name = f"relative error of the {part} part"
        return xr.DataArray(
            values.astype(np.float32),
            dims=(*leading, "step", "member", "width"),
            attrs={"long_name": name, "units": "1"},
        )

    spectra = xr.Dataset(
        {
            "low_error": errors(ratio(low_r[:, 0], low_y), "low-frequency"),
            "high_error": errors(ratio(high_r[:, 0], high_y), "high-frequency"),
            "control_low_error": errors(np.stack([low_w, ratio(low_r[:, 1], low_dealt)]), "low-frequency", "null"),
            "control_high_error": errors(np.stack([high_w, ratio(high_r[:, 1], high_dealt)]), "high-frequency", "null"),
            "low_share": (
                "width",
                low_y / (low_y + high_y),
                {"long_name": "low part's share of the energy", "units": "1"},
            ),
        },
        coords={
            "step": predictions["step"],
            "member": predictions["member"],
            "width": ("width", widths, {"long_name": "filter width", "units": "median distance"}),
            "null": list(NULLS),
        },
        attrs={"median_distance": unit},
    )
    spectra = spectra.sel(null=list(nulls)) if nulls else spectra.drop_dims("null")
    return finish(spectra, predictions, measure="filtering")


def _centred(values: np.ndarray) -> np.ndarray:
    """`values` less their mean over samples, in place."""
    values -= values.mean(axis=0, dtype=np.float64).astype(values.dtype)
    return values


def _energies(x: torch.Tensor, values: np.ndarray, widths: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Energy of values (sample, *others, output) below and above the filter: two arrays (width, *others)."""
    parts = low_high_energy(x, torch.from_numpy(values.reshape(len(values), -1)), widths)
    return tuple(part.numpy().reshape(len(widths), *values.shape[1:]).sum(axis=-1) for part in parts)
