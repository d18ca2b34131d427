"""Low and high frequencies in the whole input space: a Gaussian filter splits targets and outputs (paper, Sec. 4.2)."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from fpkit.errors import UserError
from fpkit.predictions import diverged
from fpkit.spectra.common import NULLS, finish, target_of
from fpkit.spectra.low_pass import low_high_energy, median_distance

NULL_SEED = 20180704
COLUMN_BYTES = 384 * 2**20


def decompose(
    predictions: xr.Dataset, dataset: xr.Dataset, *, split: str, widths: list[float], null_draws: int
) -> xr.Dataset:
    """Relative errors of the low and the high part: e_low = ||y_low - h_low|| / ||y_low||, e_high likewise.

    y_low = K_w y with the row-normalised Gaussian kernel of width w, y_high = y - y_low; targets and outputs are
    centred. The controls replace the error h - y of each record by one without any preference: `white_noise`, Gaussian
    noise of equal norm; `shuffled_labels`, the pairs (y_i, h_i) dealt out anew over the inputs.

    Args:
        predictions: prediction (step, member, sample, output), lazily or not.
        dataset, split, null_draws: see `fpkit.config.Filtering`.
        widths: in units of the median distance between inputs.

    Returns:
        low_error, high_error (step, member, width); control_low_error, control_high_error (null, step, member,
        width); low_share (width): the low part's share of the target's energy.

    Raises:
        UserError: a constant target, fewer than two samples, or inputs all alike.
    """
    x, target = target_of(dataset, split)
    inputs = torch.from_numpy(x.to_numpy().reshape(x.sizes["sample"], -1).astype(np.float32))
    if len(inputs) < 2 or (unit := median_distance(inputs)) == 0:
        raise UserError("filtering needs at least two inputs that differ")
    y = _centred(target.transpose("sample", "output").to_numpy().astype(np.float32))
    absolute = [width * unit for width in widths]

    rng = np.random.default_rng(NULL_SEED)
    noise = _centred(rng.standard_normal((len(y), null_draws * y.shape[1]), dtype=np.float32))
    deals = [rng.permutation(len(y)) for _ in range(null_draws)]
    fixed = np.concatenate([y, noise, *[y[deal] for deal in deals]], axis=1)
    low, high = _energies(inputs, fixed, absolute, y.shape[1])
    low_y, high_y = low[:, 0], high[:, 0]
    low_noise, high_noise = (part[:, 1 : 1 + null_draws].mean(1) for part in (low, high))
    low_dealt, high_dealt = (part[:, 1 + null_draws :].mean(1) for part in (low, high))

    steps, members = predictions.sizes["step"], predictions.sizes["member"]
    low_r, high_r, low_s, high_s, energy = (np.empty((steps, members, *tail)) for tail in [(len(widths),)] * 4 + [()])
    per_block = max(1, COLUMN_BYTES // (8 * y.size * members))
    for start in range(0, steps, per_block):
        block = slice(start, start + per_block)
        prediction = predictions["prediction"][block].transpose("sample", "step", "member", "output").to_numpy()
        residual = _centred(
            prediction - target.transpose("sample", "output").to_numpy().astype(np.float32)[:, None, None]
        )
        shape = residual.shape[1:3]
        flat = residual.reshape(len(y), -1)
        both = np.concatenate([flat, flat[deals[0]]], axis=1)
        low, high = (part.reshape(len(widths), 2, *shape) for part in _energies(inputs, both, absolute, y.shape[1]))
        low_r[block], low_s[block] = (np.moveaxis(part, 0, -1) for part in (low[:, 0], low[:, 1]))
        high_r[block], high_s[block] = (np.moveaxis(part, 0, -1) for part in (high[:, 0], high[:, 1]))
        energy[block] = (flat.astype(np.float64) ** 2).reshape(len(y), *shape, -1).sum(axis=(0, 3))

    noise_scale = energy[..., None] / (noise.astype(np.float64) ** 2).sum() * null_draws
    dims = ("step", "member", "width")
    white = np.sqrt(low_noise / low_y * noise_scale), np.sqrt(high_noise / high_y * noise_scale)
    dealt = np.sqrt(low_s / low_dealt), np.sqrt(high_s / high_dealt)
    bad = diverged(predictions)

    def errors(values: np.ndarray, part: str, *leading: str) -> xr.DataArray:
        name = f"relative error of the {part} part"
        return xr.DataArray(
            values.astype(np.float32), dims=(*leading, *dims), attrs={"long_name": name, "units": "1"}
        ).where(~bad.drop_vars("member"))

    spectra = xr.Dataset(
        {
            "low_error": errors(np.sqrt(low_r / low_y), "low-frequency"),
            "high_error": errors(np.sqrt(high_r / high_y), "high-frequency"),
            "control_low_error": errors(np.stack([white[0], dealt[0]]), "low-frequency", "null"),
            "control_high_error": errors(np.stack([white[1], dealt[1]]), "high-frequency", "null"),
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
    return finish(spectra, predictions, measure="filtering")


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0)


def _energies(x: torch.Tensor, columns: np.ndarray, widths: list[float], outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high energy (width, group) of groups of `outputs` neighbouring columns."""
    parts = low_high_energy(x, torch.from_numpy(np.ascontiguousarray(columns)), widths)
    return tuple(part.reshape(len(widths), -1, outputs).sum(-1).numpy() for part in parts)
