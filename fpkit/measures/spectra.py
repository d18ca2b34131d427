"""From predictions to spectra: what is read, how much of it at a time, and what the spectra of all measures hold."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError
from fpkit.store.predictions import diverged

# Large results are held up to this size before they are written.
BLOCK_BYTES = 96 * 2**20
# A band whose target amplitude is below this share of the largest holds rounding errors only.
NEGLIGIBLE = 1e-6
# Where the largest is below this share of the target's deviation, all of them do.
NOTHING = 1e-9


def target_of(dataset: xr.Dataset, split: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs (sample, *feature), as they are, and targets (sample, output), in double precision, of a part.

    Raises UserError for a constant target: an error relative to it is undefined.
    """
    x, y = samples_of(dataset, split)
    if bool((y.max("sample") == y.min("sample")).all()):
        raise UserError("the target is constant: its relative error is undefined; give a target that varies")
    return x, y


def check_present(amplitude: xr.DataArray, target: xr.DataArray, measure: str) -> None:
    """Raises UserError, in the name of a measure, where a target (sample, output) has no amplitude (frequency) to speak
    of at any frequency above zero."""
    grid = amplitude["frequency"]
    if amplitude.where(grid > 0, 0).max() > NOTHING * target.std("sample").max():
        return
    ends = " to ".join(f"{float(one):g}" for one in (grid[grid > 0].min(), grid.max()))
    raise UserError(
        f"{measure}: the target has nothing at frequencies from {ends} {grid.attrs['units']}; take another measure"
    )


def outputs_of(predictions: xr.Dataset, content: str = "prediction") -> xr.DataArray:
    """prediction (step, member, sample, output), or other `content` recorded in its place; NaN for members that
    diverged: so is all that is made from them.
    """
    bad, outputs = diverged(predictions), predictions[content]
    if not outputs.chunks:
        outputs = outputs.compute()  # read once, as it lies in the store
    return outputs.where(~bad) if bad.any() else outputs


def compute(small: xr.Dataset, large: xr.Dataset, file: Path | None) -> tuple[xr.Dataset, xr.Dataset]:
    """Both, computed in one pass over the store; what is `large`, and lazy, goes to `file` in the course of it.

    Args:
        small, large: with a dimension `step`, as made from the predictions.
        file: a netCDF file to create; None keeps all in memory, as does a store so small that it is read at once.

    Returns:
        `small`, and `large`, which is empty if it was written.
    """
    if not large.chunks and not small.chunks:
        return small, large
    import dask

    if file is None or not large.chunks:
        return dask.compute(small, large)
    import netCDF4

    # On a full disk netCDF would not say why it ends.
    if large.nbytes > shutil.disk_usage(file.parent).free:
        raise OSError(errno.ENOSPC, f"{large.nbytes / 2**20:.0f} MB of spectra do not fit", str(file))
    steps = small.sizes["step"]
    together = max(1, BLOCK_BYTES * steps // large.nbytes)
    # Whole chunks, so that none is made twice.
    together = -(-together // large.chunks["step"][0]) * large.chunks["step"][0]
    made = []
    with netCDF4.Dataset(file, "w") as stream:
        for dim, size in large.sizes.items():
            stream.createDimension(dim, size)
        for name, values in large.items():
            stream.createVariable(name, values.dtype, values.dims, fill_value=False).setncatts(values.attrs)
        for start in range(0, steps, together):
            block = {"step": slice(start, start + together)}
            part, written = dask.compute(small.isel(block), large.isel(block))
            made.append(part)
            for name in list(written):
                stream.variables[name][block["step"]] = written[name].to_numpy()
                del written[name]  # or it is there still while the next block is made
    return xr.concat(made, "step", data_vars="all"), xr.Dataset()


def add_some(file: Path, name: str, values: xr.DataArray, chosen: xr.DataArray) -> None:
    """Add values (..., frequency) to a netCDF file, at the chosen ones of its frequencies.

    NaN elsewhere, which takes no room in the file.
    """
    import netCDF4

    with netCDF4.Dataset(file, "a") as stream:
        for dim in set(values.dims) - set(stream.dimensions):
            stream.createDimension(dim, values.sizes[dim])
        one_each = (*values.shape[:-1], 1)
        variable = stream.createVariable(name, values.dtype, values.dims, chunksizes=one_each, fill_value=np.nan)
        variable.setncatts(values.attrs)
        for index, column in zip(np.flatnonzero(chosen), values.transpose("frequency", ...), strict=True):
            variable[..., index] = column.to_numpy()


def telling_steps(passage: xr.DataArray, steps: xr.DataArray) -> np.ndarray:
    """Recorded steps at which the output is worth a look: lowest and middle frequency just captured, and the end."""
    captured = passage.median("member").dropna("frequency").to_numpy()
    chosen = [captured[0], captured[len(captured) // 2]] if len(captured) else [1, 10]
    nearest = steps.sel(step=[*chosen, int(steps[-1])], method="nearest").to_numpy()
    return np.unique(nearest)


def described(values: xr.DataArray, long_name: str, units: str = "1") -> xr.DataArray:
    """The values, saying what they are."""
    return values.assign_attrs(long_name=long_name, units=units)


def finish(spectra: xr.Dataset, predictions: xr.Dataset, **attributes) -> xr.Dataset:
    """Computed, with the losses and the marks of diverged members beside the spectra, whose own scores stay."""
    scores = [name for name in predictions if str(name).startswith(("loss", "accuracy")) and name not in spectra]
    spectra = spectra.assign({name: predictions[name] for name in scores} | {"diverged": diverged(predictions)})
    spectra["diverged"].attrs.update(long_name="member diverged and is left out", units="1")
    if "cut" in predictions.attrs:
        attributes["cut"] = predictions.attrs["cut"]
    return spectra.assign_attrs(attributes, recipe=predictions.attrs.get("recipe", "{}")).compute()
