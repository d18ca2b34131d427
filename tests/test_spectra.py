"""The three measures against analytic coefficients, other libraries, and dense kernels in double precision."""

import subprocess
import sys

import finufft
import numpy as np
import pytest
import scipy.spatial.distance
import threadpoolctl
import torch
import xarray as xr
import xrft
from conftest import on_linux
from hypothesis import given, settings
from hypothesis import strategies as st

from fpkit.bases import principal
from fpkit.bases.waves import MANY_FREQUENCIES, Waves
from fpkit.datasets import sines
from fpkit.errors import UserError
from fpkit.measures import low_pass, nulls
from fpkit.measures import spectra as spectra_module
from fpkit.measures.kinds import components, fft, filtering, projection
from fpkit.measures.low_pass import low_high_energy, median_distance
from fpkit.store import netcdf
from fpkit.store.predictions import Writer, open_predictions

FFT = {"split": "train", "threshold": 0.2, "hold": 0.05, "frequencies": None, "peak_height": 0.1}
PROJECTION = {
    "split": "train", "threshold": 0.2, "hold": 0.05, "frequencies": [1, 2, 3], "max_frequency": 6, "permutations": 20,
}  # fmt: skip
COMPONENTS = {"split": "train", "threshold": 0.5, "hold": 0.05}
FILTERING = {"split": "train", "widths": [0.2, 0.5, 1.0]}


@pytest.fixture
def stored(tmp_path):
    """Writes prediction (step, member, sample, output) to a real store, and opens it as the workflow does."""

    def store(prediction, loss=None) -> xr.Dataset:
        prediction = np.asarray(prediction, np.float32)
        steps, members, samples, outputs = prediction.shape
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
        writer = Writer(path, range(1000, 1000 + members), samples, outputs, ["loss_train", "loss_test"])
        loss = np.ones((steps, members), np.float32) if loss is None else np.asarray(loss, np.float32)
        for index, row in enumerate(prediction):
            writer.append([0, 1, 3, 10, 30, 100, 300][index], row, loss_train=loss[index], loss_test=loss[index])
        writer.flush()
        return open_predictions(path)

    return store


def waves(**changes) -> xr.Dataset:
    return sines.build(**({"frequencies": [1, 3], "amplitudes": [1, 0.5], "samples": 64} | changes))


def cloud(samples=80, features=(2, 3), outputs=3, seed=0) -> xr.Dataset:
    """Inputs with one long axis and targets that vary along it: a small data set of images."""
    rng = np.random.default_rng(seed)
    scale = np.linspace(2, 0.5, int(np.prod(features)))
    scale[0] = 4
    flat = rng.standard_normal((samples, len(scale))) * scale + 5
    x = (flat @ np.linalg.qr(rng.standard_normal((len(scale), len(scale))))[0]).reshape(samples, *features)
    label = np.digitize(flat[:, 0] - 5 + 0.5 * rng.standard_normal(samples), [-2, 2]) % outputs
    y = np.eye(outputs, dtype=np.float32)[label]
    dims = ("sample_train", *(f"feature_{index}" for index in range(len(features))))
    return xr.Dataset({"x_train": (dims, x.astype(np.float32)), "y_train": (("sample_train", "output"), y)})


def learned(dataset: xr.Dataset, members=2, steps=5, seed=1) -> np.ndarray:
    """Predictions that come nearer to the target: (step, member, sample, output)."""
    rng = np.random.default_rng(seed)
    y = dataset["y_train"].to_numpy()
    part = np.linspace(0, 0.9, steps)[:, None, None, None]
    return part * y + (1 - part) * 0.3 * rng.standard_normal((steps, members, *y.shape))


# --- fft --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("interval", "samples"), [((0, 1), 64), ((0, 1), 63), ((-1, 3), 80), ((2, 2.5), 50)])
def test_fft_of_sines_is_half_their_amplitudes_at_their_frequencies_and_nothing_elsewhere(stored, interval, samples):
    resolution = 1 / (interval[1] - interval[0])
    frequencies, amplitudes = np.array([1, 3, 7]) * resolution, np.array([1.0, 0.5, 2.0])
    dataset = waves(frequencies=frequencies, amplitudes=amplitudes, interval=interval, samples=samples)
    spectra = fft.decompose(stored(np.stack([0.5 * dataset["y_train"].to_numpy()] * 2)[:, None]), dataset, **FFT)
    expected = np.zeros(spectra.sizes["frequency"])
    expected[[1, 3, 7]] = amplitudes / 2
    np.testing.assert_allclose(spectra["target_amplitude"].isel(output=0), expected, atol=1e-6)
    np.testing.assert_allclose(spectra["amplitude"][0, 0].isel(output=0), expected / 2, atol=1e-6)
    np.testing.assert_allclose(spectra["frequency"], np.arange(len(expected)) * resolution, atol=1e-9)
    followed = spectra["frequency"].where(spectra["followed"], drop=True)
    np.testing.assert_allclose(followed, frequencies)
    np.testing.assert_allclose(spectra["relative_error"][0, 0].sel(frequency=followed), 0.5, rtol=1e-5)


@pytest.mark.parametrize("samples", [31, 32])
def test_fft_amplitudes_obey_parseval(stored, samples):
    dataset = waves(samples=samples)
    h = np.random.default_rng(0).standard_normal((2, 2, samples, 1))
    amplitude = fft.decompose(stored(h), dataset, **FFT)["amplitude"].transpose("step", "member", "output", "frequency")
    weights = np.full(amplitude.sizes["frequency"], 2.0)  # positive and negative frequencies
    weights[0] = 1
    if samples % 2 == 0:
        weights[-1] = 1  # the Nyquist frequency is its own mirror image
    np.testing.assert_allclose((amplitude**2 * weights).sum("frequency")[..., 0], (h**2).mean(axis=(2, 3)), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning:xrft", "ignore::DeprecationWarning:xrft")
def test_fft_equals_xrft(stored):
    dataset = waves(samples=40, interval=(1, 3))
    h = np.random.default_rng(0).standard_normal((2, 2, 40, 1)).astype(np.float32)
    ours = fft.decompose(stored(h), dataset, **FFT)["amplitude"].transpose("step", "member", "output", "frequency")
    position = dataset["position_train"].to_numpy()
    values = xr.DataArray(h[..., 0], dims=("step", "member", "x"), coords={"x": position})
    theirs = abs(xrft.fft(values, dim="x", real_dim="x", true_amplitude=True)) / 2  # an integral over 2 units of x
    np.testing.assert_allclose(ours[:, :, 0], theirs.transpose("step", "member", "freq_x"), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours["frequency"], theirs["freq_x"], atol=1e-9)


def test_fft_error_is_0_for_the_target_1_for_nothing_and_proportional_between(stored):
    dataset = waves()
    y = dataset["y_train"].to_numpy()
    spectra = fft.decompose(stored(np.stack([0 * y, y, 0.7 * y, -y])[:, None]), dataset, **FFT)
    error = spectra["relative_error"].where(spectra["followed"], drop=True).isel(member=0)
    np.testing.assert_allclose(error, np.array([1, 0, 0.3, 2])[:, None] * [1, 1], atol=1e-5)
    assert spectra["relative_error"].where(~spectra["followed"]).isnull().all()
    np.testing.assert_allclose(spectra["first_passage"].where(spectra["followed"], drop=True), 1)


def test_fft_error_at_one_frequency_stays_there(stored):
    dataset = waves(frequencies=[1, 3], amplitudes=[1, 0.5], phases=0.3)
    x = dataset["position_train"].to_numpy()
    h = dataset["y_train"].to_numpy()[:, 0] + 0.1 * np.cos(2 * np.pi * 3 * x)
    error = fft.decompose(stored(np.stack([h, h])[:, None, :, None]), dataset, **FFT)["relative_error"][0, 0]
    np.testing.assert_allclose(error.sel(frequency=[1, 3], method="nearest"), [0, 0.1 / 0.5], atol=1e-5)


def test_fft_follows_peaks_that_reach_the_height_or_what_is_asked_for(stored):
    dataset = waves(frequencies=[1, 2, 5, 9], amplitudes=[1, 0.5, 0.2, 0.05])
    predictions = stored(learned(dataset))

    def followed(**changes) -> list[float]:
        spectra = fft.decompose(predictions, dataset, **(FFT | changes))
        return spectra["frequency"].to_numpy()[spectra["followed"].to_numpy()].round(6).tolist()

    assert followed() == [1, 2, 5]
    assert followed(peak_height=0.4) == [1, 2]
    assert followed(peak_height=0.01) == [1, 2, 5, 9]
    assert followed(frequencies=[9, 4]) == [4, 9]


def test_fft_follows_no_zero_frequency_however_high_the_mean(stored):
    dataset = waves()
    dataset["y_train"] = dataset["y_train"] + 100
    spectra = fft.decompose(stored(learned(dataset)), dataset, **FFT)
    assert not spectra["followed"].sel(frequency=0)
    assert int(spectra["followed"].sum()) == 2


def test_fft_of_several_outputs_takes_the_norm_over_them(stored):
    dataset = waves()
    y = dataset["y_train"].to_numpy()
    both = dataset.drop_vars(["y_train", "y_test", "clean_train"]).assign(
        y_train=(("sample_train", "output"), np.hstack([3 * y, 4 * y]))
    )
    h = np.stack([np.hstack([3 * y, 0 * y])] * 2)[:, None]
    error = fft.decompose(stored(h), both, **FFT)["relative_error"][0, 0]
    np.testing.assert_allclose(error.sel(frequency=[1, 3], method="nearest"), 4 / 5, rtol=1e-5)


def test_fft_keeps_the_median_output_of_the_members_that_did_not_diverge(stored):
    dataset = waves()
    h = np.random.default_rng(0).standard_normal((3, 4, 64, 1)).astype(np.float32)
    loss = np.ones((3, 4))
    assert np.allclose(fft.decompose(stored(h), dataset, **FFT)["output_median"], np.median(h, axis=1))
    loss[2, 1] = np.nan
    median = fft.decompose(stored(h, loss), dataset, **FFT)["output_median"]
    assert median.dims == ("step", "sample", "output")
    np.testing.assert_allclose(median, np.median(h[:, [0, 2, 3]], axis=1))
    assert fft.decompose(stored(h, np.full((3, 4), np.nan)), dataset, **FFT)["output_median"].isnull().all()


def test_fft_of_a_large_store_goes_to_the_file_as_it_is_made_and_is_the_same(stored, tmp_path, monkeypatch):
    dataset = waves()
    h = learned(dataset, members=3) + np.random.default_rng(0).standard_normal((1, 3, 64, 1)).astype(np.float32)
    whole, parts, predictions = tmp_path / "whole.nc", tmp_path / "parts.nc", stored(h)
    begun = netcdf.begin(whole)
    netcdf.save(fft.decompose(predictions, dataset, **FFT, file=begun), whole, begun)
    monkeypatch.setattr(spectra_module, "BLOCK_BYTES", 1)  # two steps at a time
    begun, lazy = netcdf.begin(parts), predictions.chunk(step=2, member=2)
    spectra = fft.decompose(lazy, dataset, **FFT, file=begun)
    assert not {"amplitude", "output_median", "relative_error"} & set(spectra)
    netcdf.save(spectra, parts, begun)
    one, other = (netcdf.load_dataset(path) for path in (whole, parts))
    xr.testing.assert_allclose(one, other, rtol=1e-6)
    xr.testing.assert_identical(
        one.map(lambda values: 0 * values.isnull()), other.map(lambda values: 0 * values.isnull())
    )
    assert one.attrs == other.attrs
    assert parts.stat().st_size < 1.5 * whole.stat().st_size


def test_fft_keeps_the_spectrum_of_the_target_without_its_noise(stored):
    dataset = waves(noise=0.5)
    spectra = fft.decompose(stored(learned(dataset)), dataset, **FFT)
    expected = np.zeros(spectra.sizes["frequency"])
    expected[[1, 3]] = [0.5, 0.25]
    np.testing.assert_allclose(spectra["clean_amplitude"].isel(output=0), expected, atol=1e-6)
    assert abs(spectra["target_amplitude"] - spectra["clean_amplitude"]).max() > 0.01


def test_fft_refuses_frequencies_off_its_grid_uneven_grids_and_constant_targets(stored):
    dataset = waves()
    predictions = stored(learned(dataset))
    with pytest.raises(UserError, match=r"frequencies: 1\.5 is not a multiple of 1"):
        fft.decompose(predictions, dataset, **(FFT | {"frequencies": [1, 1.5]}))
    uneven = dataset.assign_coords(position_train=dataset["position_train"] ** 2)
    with pytest.raises(UserError, match="uniform grid"):
        fft.decompose(predictions, uneven, **FFT)
    flat = dataset.assign(y_train=0 * dataset["y_train"] + 3)
    with pytest.raises(UserError, match="constant"):
        fft.decompose(predictions, flat, **FFT)


def test_fft_refuses_a_frequency_beyond_the_grid(stored):
    dataset = waves()
    with pytest.raises(UserError, match="40"):
        fft.decompose(stored(learned(dataset)), dataset, **(FFT | {"frequencies": [40]}))


def test_telling_steps_end_with_the_last_record_and_are_recorded(stored):
    dataset = waves()
    predictions = stored(learned(dataset))
    snapshots = fft.decompose(predictions, dataset, **FFT)["snapshot_output"]
    for step in snapshots["snapshot"].to_numpy():
        assert np.array_equal(snapshots.sel(snapshot=step), predictions["prediction"].sel(step=step))
    assert snapshots["snapshot"][-1] == predictions["step"][-1]


# --- projection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("features", "direction"), [((6,), 1), ((2, 3), 1), ((1, 8, 8), 1), ((6,), 2), ((2, 3), 6)])
def test_coordinate_is_a_right_singular_vector_up_to_sign_scaled_to_extent_1(features, direction):
    x = cloud(100, features)["x_train"].rename(sample_train="sample")
    found = principal.coordinate(x, direction).to_numpy()
    flat = x.to_numpy().reshape(100, -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    expected = flat @ np.linalg.svd(flat, full_matrices=False)[2][direction - 1]
    expected /= np.ptp(expected)
    expected *= np.sign(expected @ found)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(found) == pytest.approx(1, rel=1e-6)


def test_coordinate_along_a_random_direction_is_linear_in_the_inputs_and_drawn_by_its_seed():
    x = cloud(100, (2, 3))["x_train"].rename(sample_train="sample")
    positions = [principal.coordinate(x, "random", seed).to_numpy() for seed in (0, 1, 0)]
    flat = x.to_numpy().reshape(100, -1).astype(np.float64)
    for position in positions:
        slope = np.linalg.lstsq(flat - flat.mean(axis=0), position)[0]
        np.testing.assert_allclose((flat - flat.mean(axis=0)) @ slope, position, atol=1e-9)
        assert np.ptp(position) == pytest.approx(1)
    assert np.array_equal(positions[0], positions[2])
    assert abs(np.corrcoef(positions[0], positions[1])[0, 1]) < 0.99


def test_coordinate_knows_how_many_components_there_are():
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    flat = xr.DataArray(np.concatenate([x, x[:, :1]], axis=1), dims=("sample", "feature"))
    assert np.ptp(principal.coordinate(flat, 3).to_numpy()) == pytest.approx(1)
    with pytest.raises(UserError, match=r"direction: the inputs have 3 principal components, not 4; lower it"):
        principal.coordinate(flat, 4)


@pytest.mark.parametrize(("direction", "name"), [(1, "p"), (2, "p2"), ("random", "a random direction")])
def test_projection_says_along_what_its_frequencies_are(stored, direction, name):
    dataset = cloud(60, (4,))
    predictions = stored(np.zeros((2, 1, 60, 3)))
    spectra = projection.decompose(
        predictions, dataset, **{**PROJECTION, "frequencies": [1, 2], "direction": direction, "seed": 3}
    )
    assert spectra["frequency"].attrs["long_name"] == f"frequency along {name}"


def test_coordinate_refuses_inputs_all_alike_or_alone():
    x = xr.DataArray(np.ones((5, 3), np.float32), dims=("sample", "feature"))
    with pytest.raises(UserError, match="alike"):
        principal.coordinate(x)
    with pytest.raises(UserError, match="two samples"):
        principal.coordinate(x[:1])


def complex_of(coefficients: xr.DataArray) -> np.ndarray:
    """(..., frequency), of real and imaginary parts side by side."""
    parts = coefficients.transpose(..., "function").to_numpy()
    return parts[..., ::2] + 1j * parts[..., 1::2]


@given(samples=st.integers(2, 50), count=st.integers(1, 9), offset=st.sampled_from([0.0, 100.0]))
@settings(deadline=None, max_examples=25)
def test_coefficients_equal_finufft_and_a_direct_sum(samples, count, offset):
    rng = np.random.default_rng(samples)
    values, t, k = rng.standard_normal(samples) + offset, rng.uniform(-0.5, 0.5, samples), np.arange(1.0, count + 1)
    basis = Waves(xr.DataArray(t, dims="sample"), k)
    ours = complex_of(basis.coefficients(xr.DataArray(values, dims="sample")))
    centred = values - values.mean()
    direct = [sum(v * np.exp(-2j * np.pi * f * s) for v, s in zip(centred, t, strict=True)) / samples for f in k]
    np.testing.assert_allclose(ours, direct, atol=1e-10)
    nufft = finufft.nufft1d3(2 * np.pi * t, centred.astype(complex), k, isign=-1, eps=1e-12) / samples
    np.testing.assert_allclose(ours, nufft, atol=1e-9)


@pytest.mark.parametrize("chunks", [None, {"step": 2}], ids=["whole", "chunked"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-6)])
def test_many_frequencies_go_through_the_fast_transform_with_the_same_result(dtype, tolerance, chunks):
    rng = np.random.default_rng(0)
    values = xr.DataArray(rng.standard_normal((3, 400, 5), dtype=np.float32) + 3, dims=("step", "sample", "output"))
    values = values.astype(dtype)
    t = xr.DataArray(rng.normal(size=400), dims="sample")  # beyond one period, too
    k = np.arange(1, 3 * MANY_FREQUENCIES)
    basis = Waves(t, k)
    found = basis.coefficients(values if chunks is None else values.chunk(chunks)).compute()
    assert found.dtype == dtype
    np.testing.assert_array_equal(basis.bands.energy(found)["frequency"], k)
    centred = values.to_numpy().astype(np.float64) - values.to_numpy().astype(np.float64).mean(axis=1, keepdims=True)
    direct = np.einsum("sno,nk->sok", centred, np.exp(-2j * np.pi * np.outer(t, k))) / 400
    ours = complex_of(found.transpose("step", "output", "function"))
    np.testing.assert_allclose(ours, direct, atol=tolerance * np.abs(direct).max())
    # What a training records along them is made by the product, whatever their number.
    product = np.einsum("sno,nf->sof", values, basis.matrix(400))
    np.testing.assert_allclose(found.transpose("step", "output", "function"), product, atol=1e-4 * np.abs(direct).max())


def naive_projection(dataset: xr.Dataset, h: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(|F[y]|, relative error) (step, member, frequency) in double precision, from the definitions."""
    y = dataset["y_train"].to_numpy().astype(np.float64)
    t = principal.coordinate(dataset["x_train"].rename(sample_train="sample")).to_numpy()
    basis = np.exp(-2j * np.pi * np.outer(np.arange(1, count + 1), t)) / len(t)
    f_y = basis @ (y - y.mean(axis=0))
    f_h = np.einsum("ki,smio->smko", basis, h - h.mean(axis=2, keepdims=True))
    return np.linalg.norm(f_y, axis=-1), np.linalg.norm(f_h - f_y, axis=-1) / np.linalg.norm(f_y, axis=-1)


def test_projection_equals_the_definition(stored):
    dataset = cloud()
    h = learned(dataset)
    spectra = projection.decompose(stored(h), dataset, **PROJECTION)
    amplitude, error = naive_projection(dataset, h, 6)
    np.testing.assert_allclose(spectra["target_amplitude"], amplitude, rtol=1e-5)
    np.testing.assert_allclose(spectra["relative_error"].sel(frequency=[1, 2, 3]), error[:, :, :3], rtol=1e-3)
    assert spectra["relative_error"].sel(frequency=[4, 5, 6]).isnull().all()
    assert spectra["frequency"].attrs["units"] == "cycles per data extent"


def test_projection_error_is_0_for_the_target_and_1_for_nothing(stored):
    dataset = cloud()
    y = dataset["y_train"].to_numpy()
    spectra = projection.decompose(stored(np.stack([0 * y, y])[:, None]), dataset, **PROJECTION)
    error = spectra["relative_error"].sel(frequency=[1, 2, 3])[:, 0]
    np.testing.assert_allclose(error, [[1] * 3, [0] * 3], atol=1e-5)


@pytest.mark.parametrize("measure", ["projection", "filtering"])
def test_adding_a_constant_to_outputs_or_targets_changes_nothing(stored, measure):
    module, options = {"projection": (projection, PROJECTION), "filtering": (filtering, FILTERING)}[measure]
    dataset = cloud()
    h = learned(dataset)
    before = module.decompose(stored(h), dataset, **options)
    shifted = dataset.assign(y_train=dataset["y_train"] + np.float32(2))
    for after in (
        module.decompose(stored(h + np.array([3, -1, 0.5])), dataset, **options),
        module.decompose(stored(h), shifted, **options),
    ):
        for name in before:
            if name.startswith(("relative", "low", "high", "control", "target", "amplitude")):
                np.testing.assert_allclose(after[name], before[name], rtol=2e-3, atol=1e-5, err_msg=str(name))


def test_shuffled_labels_have_almost_no_frequency_above_the_floor(stored):
    dataset = cloud(60)
    predictions = stored(learned(dataset, members=1, steps=2))
    options = PROJECTION | {"frequencies": None, "permutations": 40}
    assert bool(projection.decompose(predictions, dataset, **options)["followed"].sel(frequency=1))
    passed = 0
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(60)
        dealt = dataset.assign(y_train=dataset["y_train"].copy(data=dataset["y_train"].to_numpy()[order]))
        try:
            projection.decompose(predictions, dealt, **options)
            passed += 1
        except UserError as error:
            told = str(error)
    # One spectrum in twenty is expected above a 95% floor; one *frequency* in twenty would be 8 spectra of 30.
    assert passed <= 5
    assert "above chance" in told


def test_projection_follows_what_is_asked_for_even_beyond_the_range(stored):
    dataset = cloud()
    spectra = projection.decompose(stored(learned(dataset)), dataset, **(PROJECTION | {"frequencies": [2, 9]}))
    assert spectra["frequency"].to_numpy()[spectra["followed"].to_numpy()].tolist() == [2, 9]


# --- nulls and what remains -------------------------------------------------------------------------------------------


def rotated(dataset: xr.Dataset, members=3, steps=5) -> np.ndarray:
    """Predictions whose errors shrink, turn and are not centred: (step, member, sample, output)."""
    rng = np.random.default_rng(4)
    y = dataset["y_train"].to_numpy().astype(np.float64)
    first, other = (rng.standard_normal((members, *y.shape)) for _ in range(2))
    part = np.linspace(0, 1.4, steps)[:, None, None, None]  # beyond 1, the error points away from its start
    return y + (1 - part) * (0.4 * first - y) + 0.3 * part * other


def without_mean(errors: np.ndarray) -> np.ndarray:
    return errors - errors.mean(axis=-2, keepdims=True)


def directly(null: str, r: np.ndarray, draw: int, draws: int = 20) -> np.ndarray:
    """One draw of the error r~ (step, member, sample, output) under a null, of r, centred; from the definition."""
    first = r[0]
    if null == "paces":
        dealt = np.argsort(nulls.deals(r.shape[2], draws)[draw])
        pace = np.linalg.norm(r, axis=-1) / np.linalg.norm(first, axis=-1)
        return first * pace[:, :, dealt][..., None]
    xi = np.concatenate([part for _, part in nulls.noise(*r.shape[2:], draws)], axis=-1)[draw].astype(np.float64)
    made = np.empty_like(r)
    for member, start in enumerate(first):
        white = xi - (xi * start).sum() / (start**2).sum() * start
        for step, error in enumerate(r[:, member]):
            kept = (error * start).sum() / (start**2).sum()
            rest = (error**2).sum() - kept**2 * (start**2).sum()
            made[step, member] = kept * start + np.sqrt(max(rest, 0) / (white**2).sum()) * white
    return made


def test_errors_under_nulls_start_where_the_network_starts_and_move_as_much():
    r = without_mean(rotated(cloud()) - cloud()["y_train"].to_numpy())
    share = directly("share", r, 3)
    np.testing.assert_allclose(share[0], r[0], atol=1e-5)
    np.testing.assert_allclose((share**2).sum((2, 3)), (r**2).sum((2, 3)), rtol=1e-6)
    np.testing.assert_allclose((share * r[0]).sum((2, 3)), (r * r[0]).sum((2, 3)), atol=1e-6)
    paces = directly("paces", r, 3)
    np.testing.assert_allclose(paces[0], r[0], atol=1e-9)
    assert np.abs(paces - share).max() > 0.1


def dense_parts(measure: str, dataset: xr.Dataset, spectra: xr.Dataset) -> dict[tuple, np.ndarray]:
    """Matrices (function, sample), by what they stand for in the spectra: of a frequency, or of a part of a filter."""
    y, x = dataset["y_train"], dataset["x_train"]
    n = y.sizes["sample_train"]
    centring = np.eye(n) - 1 / n
    if measure == "filtering":
        kernels = {w: dense_kernel(x.to_numpy(), w * spectra.attrs["median_distance"]) for w in FILTERING["widths"]}
        low = {(w, 0): kernel @ centring for w, kernel in kernels.items()}
        return low | {(w, 1): (np.eye(n) - kernel) @ centring for w, kernel in kernels.items()}
    if measure == "projection":
        t = principal.coordinate(x.rename(sample_train="sample")).to_numpy()
    else:
        t = dataset["position_train"].to_numpy()
    turns = 2 * np.pi * np.multiply.outer(spectra["frequency"].to_numpy()[spectra["followed"]], t)
    rows = np.stack([np.cos(turns), -np.sin(turns)], axis=1) / n @ centring
    return {(k,): matrix for k, matrix in zip(spectra["frequency"].to_numpy()[spectra["followed"]], rows, strict=True)}


@pytest.mark.parametrize("measure", ["fft", "projection", "filtering"])
def test_what_remains_and_its_nulls_equal_dense_matrices(stored, measure):
    module, options, build, _ = MEASURES[measure]
    dataset = build()
    h = rotated(dataset)
    spectra = module.decompose(stored(h), dataset, **options, nulls=("share", "paces"))
    y = dataset["y_train"].to_numpy().astype(np.float64)
    r = without_mean(h.astype(np.float32) - y)
    assert spectra.sizes["draw"] == 20
    assert spectra["null"].to_numpy().tolist() == ["share", "paces"]
    for place, matrix in dense_parts(measure, dataset, spectra).items():
        at = dict(zip(("width", "frequency")[-len(place) :], place, strict=True))

        def product(one: np.ndarray, other: np.ndarray, matrix=matrix) -> np.ndarray:
            return ((matrix @ one) * (matrix @ other)).sum((-2, -1))

        initial = product(r[0], r[0])
        target = product(without_mean(y), without_mean(y))
        one = spectra.sel(at)
        np.testing.assert_allclose(one["initial_energy"], initial, rtol=2e-4)
        np.testing.assert_allclose(one["remaining"], product(r, r[0]) / initial, atol=5e-4)
        for null, draw in (("share", 0), ("share", 19), ("paces", 0), ("paces", 7)):
            if null == "paces" and y.shape[1] == 1:
                continue  # some samples start with next to no error: see below
            made = directly(null, r, draw)
            found = one.sel(null=null, draw=draw)
            np.testing.assert_allclose(found["control_remaining"], product(made, r[0]) / initial, atol=1e-3)
            name = "control_relative_error"
            if measure == "filtering":
                name = ("control_low_error", "control_high_error")[place[1]]
            if null == "share":
                np.testing.assert_allclose(found[name], np.sqrt(product(made, made) / target), rtol=2e-3)
            else:
                assert found[name].isnull().all()


def test_sample_that_starts_without_an_error_takes_the_pace_of_all():
    first = np.random.default_rng(0).standard_normal((1, 30, 1))
    first -= first.mean(axis=1, keepdims=True)
    first[0, 4], first[0, 5] = 0.01, first[0, 5] + first[0, 4] - 0.01
    later = 0.5 * first
    later[0, 4] = 7  # seven hundred times its start
    weights, target = np.eye(30)[None], np.zeros((30, 1))
    found = nulls.traced(np.stack([first, later]), first, weights, target, np.arange(30)[None])
    np.testing.assert_allclose(found[0, 0, 2:], 1)
    r = without_mean(later)
    small = np.abs(first[0, :, 0]) < 0.1 * np.sqrt((first**2).mean())
    assert small[4]
    expected = np.abs(r / first)[0, :, 0]
    expected[small] = np.sqrt((r**2).sum() / (first**2).sum())
    np.testing.assert_allclose(found[1, 0, 2:], expected)


def test_which_nulls_are_asked_for_does_not_change_their_draws(stored):
    dataset = cloud()
    predictions = stored(rotated(dataset))
    both, alone = (
        projection.decompose(predictions, dataset, **PROJECTION, nulls=names)
        for names in (("share", "paces"), ("paces",))
    )
    xr.testing.assert_equal(both["control_remaining"].sel(null="paces"), alone["control_remaining"].sel(null="paces"))
    assert "control_relative_error" not in alone


def test_passages_of_what_remains_are_those_of_its_levels(stored):
    dataset = cloud()
    y = dataset["y_train"].to_numpy()
    shares = np.array([1, 0.7, 0.45, 0.3, 0.15, 0.1, -0.2])
    h = np.stack([y - share * y for share in shares])[:, None]
    spectra = projection.decompose(stored(h), dataset, **PROJECTION).sel(frequency=1, member=1000)
    np.testing.assert_allclose(spectra["remaining"], shares, atol=1e-5)  # not clipped
    assert spectra["level"].to_numpy().tolist() == [0.5, 0.2]
    assert spectra["remaining_first_passage"].to_numpy().tolist() == [3, 30]
    assert spectra["remaining_hold_passage"].to_numpy().tolist() == [3, 30]
    log_step = np.log10([1, 3, 10, 30, 100, 300])
    area = np.trapezoid(shares[1:], log_step) / log_step[-1]
    assert float(spectra["remaining_area"]) == pytest.approx(area, abs=1e-5)


# --- low pass ---------------------------------------------------------------------------------------------------------


def dense_kernel(x: np.ndarray, width: float) -> np.ndarray:
    """The n x n kernel with normalised rows, in double precision."""
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    kernel = np.exp(-scipy.spatial.distance.cdist(x, x, "sqeuclidean") / (2 * width**2))
    return kernel / kernel.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_no_weight_of_the_filter_is_near_the_denormal_numbers(kind):
    distance = np.linspace(0, 300, 5000, dtype=np.float32)
    weights = kind(np.empty(5000, np.float32))
    low_pass._ops(weights).gaussian(kind(distance), 1.0, weights)
    weights = np.asarray(weights)
    np.testing.assert_allclose(weights, np.exp(-distance.astype(float) / 2), rtol=1e-5, atol=1e-30)
    assert weights.min() >= 2**20 * np.finfo(np.float32).smallest_normal


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_sample_weighs_one_with_itself_however_narrow_the_filter(kind):
    """Its distance to itself is a difference of large numbers: rounded, it would be a width or more."""
    x = 100 + np.random.RandomState(0).randn(300, 50).astype(np.float32)
    columns = np.random.RandomState(1).randn(300, 2).astype(np.float32)
    low, high = low_pass.low_high_energy(kind(x), kind(columns), [0.01], tile_bytes=70 * 2**10)
    np.testing.assert_allclose(low[0], (columns**2).sum(0), rtol=1e-5)
    assert np.asarray(high).max() < 1e-12


@given(
    samples=st.integers(1, 60),
    features=st.integers(1, 5),
    columns=st.integers(1, 4),
    widths=st.lists(st.floats(0.3, 5), min_size=1, max_size=3),
    rows=st.integers(1, 70),
    kind=st.sampled_from([torch.from_numpy, np.asarray]),
)
@settings(deadline=None, max_examples=80)
def test_tiled_filter_equals_the_dense_kernel(samples, features, columns, widths, rows, kind):
    rng = np.random.default_rng(samples + 100 * features)
    x, values = rng.standard_normal((samples, features)), rng.standard_normal((samples, columns))
    low, high = low_high_energy(
        kind(x.astype(np.float32)), kind(values.astype(np.float32)), widths, tile_bytes=4 * samples * rows
    )
    assert low.shape == high.shape == (len(widths), columns)
    for index, width in enumerate(widths):
        smooth = dense_kernel(x, width) @ values
        np.testing.assert_allclose(low[index], (smooth**2).sum(axis=0), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(high[index], ((values - smooth) ** 2).sum(axis=0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.from_numpy, np.asarray])
def test_filter_of_images_with_equal_pixels_and_copies_is_still_a_number(kind):
    x = np.full((6, 4), 1000, np.float32)  # squared distances round below zero here, if nobody looks
    x[3:] += 0.001
    low, high = low_high_energy(kind(x), kind(np.arange(6, dtype=np.float32)[:, None]), [1.0])
    np.testing.assert_allclose(low, 6 * 2.5**2, rtol=1e-3)
    np.testing.assert_allclose(high, 6 * 35 / 12, rtol=1e-3)


def test_filter_is_the_same_by_any_number_of_threads_but_for_rounding():
    draw = np.random.default_rng(0).standard_normal
    x, columns = (draw((500, size), dtype=np.float32) for size in (20, 7))
    energies = []
    for threads in (1, 2, 3):
        with threadpoolctl.threadpool_limits(threads, user_api="blas"):
            energies.append(low_high_energy(x, columns, [0.5, 2.0], tile_bytes=2**18))
            blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
            assert {library.num_threads for library in blas.lib_controllers} == {threads}  # as it was before
    for other in energies[1:]:
        np.testing.assert_allclose(other, energies[0], rtol=1e-6)


@on_linux
def test_filter_never_holds_the_whole_kernel():
    # In a process of its own, whose peak memory nobody else has raised. The whole kernel would take 1.6 GB.
    program = """
import resource
import numpy as np
from fpkit.measures.low_pass import low_high_energy
x, values = (np.random.default_rng(0).standard_normal((20_000, size), np.float32) for size in (4, 2))
low_high_energy(x[:100], values[:100], [1.0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
low_high_energy(x, values, [1.0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 1_000_000  # KiB


@pytest.mark.parametrize("samples", [2, 10, 500])
def test_median_distance_is_that_of_all_pairs(samples):
    x = cloud(samples, (6,))["x_train"].to_numpy()
    expected = np.median(scipy.spatial.distance.pdist(x.astype(np.float64)))
    assert median_distance(x) == pytest.approx(expected, rel=0.02)


# --- filtering --------------------------------------------------------------------------------------------------------


def naive_filtering(dataset: xr.Dataset, h: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """(e_low, e_high) (step, member), by filtering targets and outputs each for itself."""
    kernel = dense_kernel(dataset["x_train"].to_numpy(), width)
    y = dataset["y_train"].to_numpy().astype(np.float64)
    y = y - y.mean(axis=0)
    h = h - h.mean(axis=2, keepdims=True)
    low_y, low_h = kernel @ y, np.einsum("ij,smjo->smio", kernel, h)
    high_y, high_h = y - low_y, h - low_h

    def error(part_h, part_y):
        return np.sqrt(((part_h - part_y) ** 2).sum(axis=(2, 3)) / (part_y**2).sum())

    return error(low_h, low_y), error(high_h, high_y)


@pytest.mark.parametrize("features", [(6,), (1, 4, 4)])
def test_filtering_equals_the_definition(stored, features):
    dataset = cloud(70, features)
    h = learned(dataset)
    spectra = filtering.decompose(stored(h), dataset, **FILTERING)
    unit = spectra.attrs["median_distance"]
    flat = dataset["x_train"].to_numpy().reshape(70, -1)
    assert unit == pytest.approx(np.median(scipy.spatial.distance.pdist(flat)), rel=0.02)
    for width in FILTERING["widths"]:
        low, high = naive_filtering(dataset, h, width * unit)
        np.testing.assert_allclose(spectra["low_error"].sel(width=width), low, rtol=1e-3)
        np.testing.assert_allclose(spectra["high_error"].sel(width=width), high, rtol=1e-3)
        y = dataset["y_train"].to_numpy().astype(np.float64)
        y -= y.mean(axis=0)
        smooth = dense_kernel(flat, width * unit) @ y
        share = (smooth**2).sum() / ((smooth**2).sum() + ((y - smooth) ** 2).sum())
        assert float(spectra["low_share"].sel(width=width)) == pytest.approx(share, rel=1e-3)


def test_filtering_in_blocks_of_steps_equals_all_at_once(stored, monkeypatch):
    dataset = cloud(40)
    predictions = stored(learned(dataset, steps=7))
    whole = filtering.decompose(predictions, dataset, **FILTERING)
    for steps_at_once in (0, 1, 3):
        monkeypatch.setattr(filtering, "COLUMN_BYTES", steps_at_once * 2 * 4 * 40 * 3 * 2)
        xr.testing.assert_allclose(filtering.decompose(predictions, dataset, **FILTERING), whole, rtol=1e-4)


def test_filtering_refuses_constant_targets_and_inputs_all_alike(stored):
    dataset = cloud(20)
    predictions = stored(learned(dataset))
    with pytest.raises(UserError, match="constant"):
        filtering.decompose(predictions, dataset.assign(y_train=0 * dataset["y_train"]), **FILTERING)
    with pytest.raises(UserError, match="differ"):
        filtering.decompose(predictions, dataset.assign(x_train=0 * dataset["x_train"] + 2), **FILTERING)


def test_very_narrow_filter_gives_numbers_or_nan_without_complaint(stored):
    # Every sample alone: the low part is everything, the high part nothing, its relative error undefined or noise.
    dataset = cloud(30)
    spectra = filtering.decompose(stored(learned(dataset)), dataset, **(FILTERING | {"widths": [1e-4]}))
    assert np.isfinite(spectra["low_error"]).all()
    assert float(spectra["low_share"][0]) == pytest.approx(1)


# --- components -------------------------------------------------------------------------------------------------------


def parts(samples=80, outputs=2, frequencies=(1.0, 2.0, 4.0, 4.0), seed=0) -> xr.Dataset:
    """Targets that are several outputs of the same components, which are neither centred nor orthogonal."""
    rng = np.random.default_rng(seed)
    component = rng.standard_normal((samples, len(frequencies))) @ rng.standard_normal((len(frequencies),) * 2) + 3
    y = component @ rng.uniform(0.5, 2, (len(frequencies), outputs)) + 0.3 * rng.standard_normal((samples, outputs))
    about = {"long_name": "frequency", "units": "turns"}
    return xr.Dataset(
        {
            "x_train": (("sample_train", "feature"), rng.standard_normal((samples, 2)).astype(np.float32)),
            "y_train": (("sample_train", "output"), y.astype(np.float32)),
            "component_train": (("sample_train", "component"), component.astype(np.float32)),
        },
        {"component_frequency": ("component", np.array(frequencies), about)},
    )


def by_least_squares(dataset: xr.Dataset, values: np.ndarray) -> np.ndarray:
    """Coefficients (component, ...) of values (sample, ...) over the components and a constant."""
    functions = np.column_stack([dataset["component_train"].to_numpy().astype(float), np.ones(len(values))])
    return np.linalg.lstsq(functions, values, rcond=None)[0][:-1]


def test_components_are_learned_by_least_squares(stored):
    dataset = parts()
    h = learned(dataset).astype(np.float32)
    spectra = components.decompose(stored(h), dataset, **COMPONENTS)
    y = by_least_squares(dataset, dataset["y_train"].to_numpy())
    assert spectra["frequency"].to_numpy().tolist() == [1, 2, 4]
    for step, member in ((0, 1), (4, 0)):
        own = by_least_squares(dataset, h[step, member])
        for band, which in enumerate(([0], [1], [2, 3])):  # two share the last
            at = {"step": step, "member": member, "frequency": band}
            error = np.linalg.norm(own[which] - y[which]) / np.linalg.norm(y[which])
            assert float(spectra["relative_error"][at]) == pytest.approx(error, rel=1e-3)
            fraction = (own[which] * y[which]).sum() / (y[which] ** 2).sum()
            assert float(spectra["learned"][at]) == pytest.approx(fraction, rel=1e-3, abs=1e-5)
    assert spectra["frequency"].attrs["units"] == "turns"


def test_a_network_that_learned_some_components_has_learned_1_of_them_and_0_of_the_others(stored):
    dataset = parts(frequencies=(3.0, 1.0, 2.0))
    component = dataset["component_train"].to_numpy()
    dataset["y_train"] = dataset["y_train"].copy(data=np.stack([component.sum(axis=1)] * 2, axis=1))
    h = np.stack([0 * component[:, :1], component[:, :1], component[:, :1] + 0.6 * component[:, 2:]])[:, None]
    spectra = components.decompose(stored(h.repeat(2, axis=3) + 7), dataset, **COMPONENTS)
    fractions = spectra["learned"].isel(member=0)  # frequencies 1, 2, 3; a constant is of none
    np.testing.assert_allclose(fractions, [[0, 0, 0], [0, 0, 1], [0, 0.6, 1]], atol=1e-4)
    np.testing.assert_allclose(spectra["relative_error"].isel(member=0), 1 - fractions, atol=1e-4)
    np.testing.assert_array_equal(spectra["first_passage"].isel(member=0), [np.nan, 3, 1])
    np.testing.assert_allclose(spectra["target_amplitude"], np.sqrt(2), rtol=1e-4)


def test_components_refuse_data_sets_without_them_and_components_that_are_alike(stored):
    dataset = parts()
    h = stored(learned(dataset))
    twice = dataset["component_train"].copy(data=dataset["component_train"].to_numpy()[:, [0, 1, 2, 2]])
    for broken, told in (
        (dataset.drop_vars("component_train"), "needs component_train .* made target"),
        (dataset.assign(component_train=twice), "4 components are not independent on 80 samples"),
    ):
        with pytest.raises(UserError, match=told):
            components.decompose(h, broken, **COMPONENTS)


# --- all measures -----------------------------------------------------------------------------------------------------

MEASURES = {
    "fft": (fft, FFT, waves, ["relative_error", "first_passage", "hold_passage", "area"]),
    "projection": (
        projection,
        PROJECTION,
        cloud,
        ["relative_error", "area", "remaining", "remaining_area", "initial_energy", "control_remaining"],
    ),
    "components": (components, COMPONENTS, parts, ["relative_error", "first_passage", "area", "learned"]),
    "filtering": (
        filtering,
        FILTERING,
        cloud,
        ["low_error", "high_error", "remaining", "initial_energy", "control_remaining"],
    ),
}


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("measure", MEASURES)
def test_diverged_member_is_nan_and_leaves_the_others_untouched(stored, measure, poison):
    module, options, build, names = MEASURES[measure]
    dataset = build()
    h = learned(dataset, members=3)
    healthy = module.decompose(stored(h), dataset, **options)
    h[3:, 1] = poison
    loss = np.ones((len(h), 3))
    loss[3:, 1] = poison
    sick = module.decompose(stored(h, loss), dataset, **options)
    assert sick["diverged"].to_numpy().tolist() == [False, True, False]
    assert not healthy["diverged"].any()
    for name in names:
        assert sick[name].isel(member=1).isnull().all(), name
        xr.testing.assert_equal(sick[name].isel(member=[0, 2]), healthy[name].isel(member=[0, 2]))
        assert healthy[name].isel(member=0).notnull().any(), name


@pytest.mark.parametrize("measure", MEASURES)
def test_every_variable_is_described_and_survives_a_file(stored, tmp_path, measure):
    module, options, build, _ = MEASURES[measure]
    dataset = build()
    spectra = module.decompose(stored(learned(dataset)), dataset, **options)
    bare = [
        name
        for name, variable in spectra.variables.items()
        # `null` holds names, which have neither.
        if name != "null" and not (variable.attrs.get("units") and variable.attrs.get("long_name"))
    ]
    assert bare == []
    assert spectra.attrs["measure"] == measure
    spectra.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "a.nc", engine="netcdf4"), spectra)


@pytest.mark.parametrize("measure", MEASURES)
def test_decomposition_is_deterministic(stored, measure):
    module, options, build, _ = MEASURES[measure]
    dataset = build()
    predictions = stored(learned(dataset))
    xr.testing.assert_identical(*(module.decompose(predictions, dataset, **options) for _ in range(2)))


def test_tiles_are_small_beside_the_bound_on_memory():
    assert max(low_pass.TILE_BYTES.values()) <= 2**28
    assert low_pass.SMOOTH_BYTES <= 2**28
    assert filtering.COLUMN_BYTES <= 2**30
