"""Two-dimensional Fourier transform of an image under a Hann window, by ring of |k|."""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr

from fpkit.errors import UserError
from fpkit.measures.common import finish, target_of, telling_steps, with_convergence
from fpkit.store.predictions import diverged

# A ring whose target amplitude is below this share of the largest holds rounding errors only.
NEGLIGIBLE = 1e-6


def decompose(
    predictions: xr.Dataset, dataset: xr.Dataset, *, split: str, threshold: float, hold: float, rings: int
) -> xr.Dataset:
    """Relative error ||F[h] - F[y]|| / ||F[y]|| over the coefficients of each ring of |k|.

    Target and output lose their windowed mean and are multiplied with the window: without it, the jump between
    opposite edges of the picture leaks into all high frequencies. Rings reach from 0 to the Nyquist frequency; the
    constant and the corners beyond Nyquist belong to none.

    Args:
        predictions: prediction (step, member, sample, output=1) on all pixels, row by row; lazily or not.
        dataset: with `y_train (sample_train, output=1)` and the attribute `size`, pixels per side.
        split, threshold, hold, rings: see `Radial` in `fpkit.config.measures` and `fpkit.config.training.Record`.

    Returns:
        relative_error (step, member, frequency) with its convergence; target_amplitude (frequency), the root mean
        square of |F[y]| in the ring; followed (frequency): rings that hold coefficients of the target; target (row,
        column), and snapshot_output (snapshot, row, column), the first member that did not diverge at three telling
        steps.

    Raises:
        UserError: not one output for each pixel, or a constant target.
    """
    size = int(dataset.attrs.get("size", 0))
    if (dataset.sizes["sample_train"], predictions.sizes["sample"]) != (size**2, size**2) or split == "test":
        raise UserError("radial needs predictions on all pixels of a picture; set record.split to train")
    if predictions.sizes["output"] != 1:
        raise UserError(f"radial needs a single output, not {predictions.sizes['output']}")
    _, target = target_of(dataset, "train")
    pixels = xr.DataArray(target.to_numpy()[:, 0], dims="sample")
    bad = diverged(predictions)
    output = predictions["prediction"].isel(output=0, drop=True).where(~bad)

    target_energy = _ring_energy(pixels, size, rings)
    count = _is_in_ring(size, rings).sum(axis=0)
    target_amplitude = np.sqrt(target_energy / count.clip(min=1))
    followed = target_amplitude > NEGLIGIBLE * target_amplitude.max()
    error = np.sqrt(_ring_energy(output - pixels.astype(np.float32), size, rings) / target_energy.where(followed))
    measured = with_convergence(error.compute(), threshold, hold)

    member = int(np.argmin(bad.to_numpy()))
    steps = telling_steps(measured["first_passage"], predictions["step"])
    snapshot = output.sel(step=steps).isel(member=member, drop=True).rename(step="snapshot")
    spectra = xr.Dataset(
        {
            "target_amplitude": target_amplitude.assign_attrs(long_name="RMS |F[y]| in the ring", units="1"),
            "followed": followed.assign_attrs(long_name="ring is followed", units="1"),
            "target": _picture(pixels, size).assign_attrs(long_name="target y", units="1"),
            "snapshot_output": _picture(snapshot, size).assign_attrs(long_name="network output", units="1"),
            **measured,
        }
    )
    spectra = spectra.assign_coords({name: (name, np.arange(size), _pixel(name)) for name in ("row", "column")})
    attributes = {"measure": "radial", "threshold": threshold, "hold": hold}
    return finish(spectra, predictions, **attributes, snapshot_member=int(predictions["member"][member]))


FREQUENCY = {"long_name": "|k|, centre of the ring", "units": "cycles per image"}


def _pixel(name: str) -> dict[str, str]:
    return {"long_name": f"{name} of the picture", "units": "pixel"}


def _picture(values: xr.DataArray, size: int) -> xr.DataArray:
    """Values (..., sample), row by row, as (..., row, column)."""
    dims = [dim for dim in values.dims if dim != "sample"]
    values = values.transpose(*dims, "sample")
    coords = {dim: values[dim] for dim in dims}
    return xr.DataArray(values.data.reshape(*values.shape[:-1], size, size), coords, (*dims, "row", "column"))


def _ring_energy(values: xr.DataArray, size: int, rings: int) -> xr.DataArray:
    """Sum of |F|^2 over each ring, (..., frequency), of pictures (..., sample), in their own precision.

    F(k) = sum_x w(x) (v(x) - mean) exp(-2 pi i k.x) / sum_x w(x), with the mean under the window w.
    """
    hann = np.hanning(size + 1)[:-1]  # of a period
    window = np.outer(hann, hann) / hann.sum() ** 2
    in_ring = _is_in_ring(size, rings)

    def block_energy(block: np.ndarray) -> np.ndarray:
        w = window.astype(block.dtype)
        pictures = block.reshape(*block.shape[:-1], size, size)
        mean = (w * pictures).sum(axis=(-2, -1), keepdims=True)
        coefficient = scipy.fft.fft2(w * (pictures - mean)).reshape(block.shape)
        return (coefficient.real**2 + coefficient.imag**2) @ in_ring.astype(block.dtype)

    energy = xr.apply_ufunc(
        block_energy,
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[["frequency"]],
        dask="parallelized",
        output_dtypes=[values.dtype],
        dask_gufunc_kwargs={"output_sizes": {"frequency": rings}},
    )
    centres = (np.arange(rings) + 0.5) * size / 2 / rings
    return energy.assign_coords(frequency=("frequency", centres, FREQUENCY))


def _is_in_ring(size: int, rings: int) -> np.ndarray:
    """(coefficient, ring): membership of the coefficients of a transformed picture, row by row."""
    k = scipy.fft.fftfreq(size, 1 / size)
    radius = np.hypot(*np.meshgrid(k, k)).ravel()
    # The Nyquist frequency itself belongs to the last ring.
    ring = np.minimum(radius / (size / 2 / rings), rings - 1e-9).astype(int)
    inside = (radius > 0) & (radius <= size / 2)
    return inside[:, None] & (ring[:, None] == np.arange(rings))
