"""Two-dimensional Fourier transform of an image under a Hann window, by ring of |k|."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.bases import rings as rings_basis
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import NEGLIGIBLE, check_present, described, finish, target_of, telling_steps
from fpkit.store.predictions import diverged


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    rings: int,
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Relative error ||F[h] - F[y]|| / ||F[y]|| over the coefficients of each ring of |k|.

    Args:
        predictions: of one output on all pixels, row by row; see `fpkit.measures.decomposition.Decomposition`.
        dataset: with `y_train (sample_train, output=1)` and the attribute `size`, pixels per side.
        split, threshold, hold, rings, nulls, null_draws: see `Radial` in `fpkit.config.measures`.

    Returns:
        What `Decomposition.spectra` gives, where the followed rings are those that hold coefficients of the target;
        target_amplitude (frequency), the root mean square of |F[y]| in the ring; target (row, column) and, of
        predictions, snapshot_output (snapshot, row, column), the first member that did not diverge at three telling
        steps.

    Raises:
        UserError: not one output for each pixel, or a constant target.
    """
    basis = rings_basis.build(dataset, split, rings=rings)
    if "prediction" in predictions and predictions.sizes["sample"] != basis.size**2:
        raise UserError("radial needs predictions on all pixels of a picture; set record.split to train")
    if predictions.sizes["output"] != 1:
        raise UserError(f"radial needs a single output, not {predictions.sizes['output']}")
    _, target = target_of(dataset, "train")
    along = Decomposition(predictions, basis, target, "radial")
    check_present(along.target_amplitude, target, "radial")
    count = np.bincount(basis.bands.of[basis.bands.of >= 0], minlength=rings) / 2  # complex coefficients
    amplitude = along.target_amplitude / np.sqrt(count.clip(min=1))
    spectra = along.spectra(amplitude > NEGLIGIBLE * amplitude.max(), threshold, hold, nulls, null_draws)
    spectra["target_amplitude"] = described(amplitude, "RMS |F[y]| in the ring")
    spectra["target"] = described(_picture(target, basis.size), "target y")
    attributes = {"measure": "radial", "threshold": threshold, "hold": hold}
    if along.recorded is None:
        member = int(np.argmin(diverged(predictions).to_numpy()))
        steps = telling_steps(spectra["first_passage"], predictions["step"])
        snapshot = along.outputs.sel(step=steps).isel(member=member, drop=True).rename(step="snapshot")
        spectra["snapshot_output"] = described(_picture(snapshot, basis.size), "network output")
        attributes["snapshot_member"] = int(predictions["member"][member])
    spectra = spectra.assign_coords({name: (name, np.arange(basis.size), _pixel(name)) for name in ("row", "column")})
    return finish(spectra, predictions, **attributes)


def _pixel(name: str) -> dict[str, str]:
    return {"long_name": f"{name} of the picture", "units": "pixel"}


def _picture(values: xr.DataArray, size: int) -> xr.DataArray:
    """Values (..., sample, output=1), row by row, as (..., row, column)."""
    values = values.isel(output=0, drop=True)
    dims = [dim for dim in values.dims if dim != "sample"]
    values = values.transpose(*dims, "sample")
    coords = {dim: values[dim] for dim in dims}
    return xr.DataArray(values.data.reshape(*values.shape[:-1], size, size), coords, (*dims, "row", "column"))
