"""Walsh, radial and NTK measures against independent oracles."""

import itertools
import json
from importlib import import_module

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
import xarray as xr
from conftest import REPOSITORY, run
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

import fpkit
from fpkit import config
from fpkit.bases import circle
from fpkit.bases import walsh as walsh_basis
from fpkit.bases.eigenvectors import Eigenvectors
from fpkit.config.training import Cnn, Mlp, Record, ResidualMlp, Training
from fpkit.datasets import parity, photograph, sines
from fpkit.errors import UserError
from fpkit.measures import tangent
from fpkit.measures.kinds import fft, ntk, radial, walsh
from fpkit.training import networks

RADIAL = {"split": "train", "threshold": 0.2, "hold": 0.05, "rings": 6}


def predictions_of(outputs: np.ndarray, steps=None, **attributes) -> xr.Dataset:
    """A store, in dask chunks of two steps, of outputs (step, member, sample)."""
    records, members, samples = outputs.shape
    store = xr.Dataset(
        {
            "prediction": (("step", "member", "sample", "output"), outputs[..., None].astype(np.float32)),
            "loss_train": (("step", "member"), np.ones((records, members), np.float32)),
        },
        coords={
            "step": np.arange(records) if steps is None else steps,
            "member": 1000 + np.arange(members),
            "sample": np.arange(samples),
            "output": [0],
        },
        attrs=attributes,
    )
    return store.chunk(step=2)


def with_diverged(predictions: xr.Dataset, member: int) -> xr.Dataset:
    """The same, with a member that went to infinity."""
    gone = (predictions["step"] == predictions["step"][-1]) & (predictions["member"] == 1000 + member)
    return predictions.assign({name: predictions[name].where(~gone, np.inf) for name in ("prediction", "loss_train")})


def every_variable_is_described(spectra: xr.Dataset) -> bool:
    return all({"units", "long_name"} <= set(spectra[name].attrs) for name in spectra.data_vars if "loss" not in name)


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# --- Walsh ------------------------------------------------------------------------------------------------------------


def in_dataset_order(values: np.ndarray, dataset: xr.Dataset) -> np.ndarray:
    """Values (..., number) as predictions (..., sample)."""
    return values[..., np.concatenate([dataset["index_train"], dataset["index_test"]])]


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_walsh_coefficients_are_those_of_the_dense_hadamard_matrix(dimensions, seed):
    size = 2**dimensions
    values = np.random.default_rng(seed).standard_normal((3, size))
    dense = values @ scipy.linalg.hadamard(size) / size
    np.testing.assert_allclose(walsh_basis.transform(values), dense, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_walsh_energy_by_degree_adds_up_and_parity_has_one(bits):
    dataset = parity.build(dimensions=5, bits=bits, train_fraction=0.4, seed=3)
    outputs = np.random.default_rng(0).standard_normal((5, 2, 32)).astype(np.float32)
    y = np.concatenate([dataset["y_train"], dataset["y_test"]])[:, 0]
    outputs[-1, 0] = y
    spectra = walsh.decompose(predictions_of(outputs), dataset, split="all")

    np.testing.assert_allclose(spectra["energy"].sum("frequency"), (outputs**2).mean(-1), rtol=1e-5)
    one = (np.arange(6) == bits).astype(float)
    np.testing.assert_allclose(spectra["target_energy"], one, atol=1e-6)
    np.testing.assert_allclose(spectra["energy"][-1, 0], one, atol=1e-6)
    # By the definition: the product of the signs in S, for every subset S of the bits.
    x = np.concatenate([dataset["x_train"], dataset["x_test"]])
    energy = np.zeros(6)
    for subset in itertools.chain.from_iterable(itertools.combinations(range(5), size) for size in range(6)):
        energy[len(subset)] += (outputs[1, 1] * x[:, list(subset)].prod(axis=1)).mean() ** 2
    np.testing.assert_allclose(spectra["energy"].sel(step=1)[1], energy, rtol=1e-4)

    np.testing.assert_allclose(spectra["target_coefficient"][:-1], (outputs * y).mean(-1)[:-1], atol=1e-6)
    assert float(spectra["target_coefficient"][-1, 0]) == pytest.approx(1)
    assert {name: spectra.attrs[name] for name in ("dimensions", "bits")} == {"dimensions": 5, "bits": bits}
    assert spectra.attrs["train_fraction"] == dataset.sizes["sample_train"] / 32
    assert every_variable_is_described(spectra)


def test_walsh_accuracies_are_by_sign_and_by_part():
    dataset = parity.build(dimensions=4, train_fraction=0.25)
    train, test = (dataset[f"y_{part}"].to_numpy()[:, 0] for part in ("train", "test"))
    half_wrong = test * np.where(np.arange(len(test)) % 2, 0.1, -3)
    outputs = np.stack([np.concatenate([0.01 * train, half_wrong]), np.concatenate([-train, test])])
    spectra = walsh.decompose(predictions_of(outputs[:, None]), dataset, split="all")
    np.testing.assert_allclose(spectra["accuracy_train"][:, 0], [1, 0])
    np.testing.assert_allclose(spectra["accuracy_test"][:, 0], [0.5, 1])


def test_walsh_of_a_target_of_several_functions_is_how_much_of_it_is_learned():
    signs = 1 - 2.0 * (np.arange(16)[:, None] >> np.arange(4) & 1)
    y = np.cumprod(signs, axis=1)[:, :3].sum(axis=1)
    spectra = fpkit.measures.walsh(np.stack([0 * y, y / 2, y])[:, :, None], signs, y)
    np.testing.assert_allclose(spectra["target_coefficient"][:, 0], [0, 0.5, 1], atol=1e-6)
    assert spectra.attrs["bits"] == 3
    assert spectra["frequency"][spectra["followed"]].to_numpy().tolist() == [1, 2, 3]
    assert "accuracy_train" not in spectra, "it is of signs, and these are none"


@pytest.mark.parametrize("bits", [2, 6])
def test_walsh_response_of_parity_is_a_product_over_bits(bits):
    dataset = parity.build(dimensions=6, bits=bits, train_fraction=0.5)
    y = np.concatenate([dataset["y_train"], dataset["y_test"]])[:, 0]
    spectra = walsh.decompose(predictions_of(np.stack([0 * y, 2 * y])[:, None]), dataset, split="all")
    k = spectra["wave"]
    assert (len(k), float(k.min()) > 0, float(k.max())) == (64, True, 0.5)
    # exp(-i pi k x) averaged over x = 1, -1 is cos(pi k), and -i sin(pi k) with the sign x.
    product = abs(np.sin(np.pi * k) ** bits * np.cos(np.pi * k) ** (6 - bits))
    np.testing.assert_allclose(spectra["target_response"], product, atol=1e-6)
    np.testing.assert_allclose(spectra["response"].isel(member=0), 2 * product, atol=1e-6)
    # The naive completion is a sum over the training points, by their own inputs.
    t = dataset["x_train"].to_numpy().sum(axis=1) / 2
    direct = np.exp(-2j * np.pi * np.outer(k, t)) @ dataset["y_train"].to_numpy()[:, 0] / len(t)
    np.testing.assert_allclose(spectra["train_response"], abs(direct), atol=1e-6)


def test_walsh_naive_completion_is_the_target_and_its_aliases():
    dataset = parity.build(dimensions=8, bits=3, train_fraction=0.5)
    spectra = walsh.decompose(predictions_of(np.ones((2, 1, 256))), dataset, split="all")
    assert float(spectra["train_energy"].sum()) == pytest.approx(2)  # mean square (2 y)^2 over half of the points
    assert float(spectra["train_energy"].sel(frequency=3)) > 1  # 1 of the target's own, the rest is aliases


def test_walsh_leaves_out_diverged_members_and_keeps_its_own_accuracies():
    dataset = parity.build(dimensions=4)
    predictions = with_diverged(predictions_of(np.ones((3, 2, 16))), 1)
    predictions["accuracy_test"] = (("step", "member"), np.full((3, 2), 7.0))
    spectra = walsh.decompose(predictions, dataset, split="all")
    for name in ("energy", "target_coefficient", "accuracy_train", "accuracy_test", "response"):
        assert bool(spectra[name].sel(member=1001).isnull().all()), name
        assert bool(spectra[name].sel(member=1000).notnull().all()), name
    assert float(spectra["accuracy_test"].max()) <= 1
    assert spectra["diverged"].to_numpy().tolist() == [False, True]


def test_walsh_says_what_it_needs():
    dataset = parity.build(dimensions=4)
    with pytest.raises(UserError, match=r"record\.split to all") as error:
        walsh.decompose(predictions_of(np.ones((2, 1, 8))), dataset, split="train")
    one_line(error)
    with pytest.raises(UserError, match=r"all 16 samples, not 8"):
        walsh.decompose(predictions_of(np.ones((2, 1, 8))), dataset, split="all")
    with pytest.raises(UserError, match="kind: parity"):
        walsh.decompose(predictions_of(np.ones((2, 1, 8))), sines.build([1.0]), split="all")
    doubled = dataset.assign_coords(index_train=0 * dataset["index_train"])
    with pytest.raises(UserError, match="once"):
        walsh.decompose(predictions_of(np.ones((2, 1, 16))), doubled, split="all")


# --- radial -----------------------------------------------------------------------------------------------------------


def wave(size: int, row: int, column: int, amplitude: float = 1.0) -> np.ndarray:
    rows, columns = np.indices((size, size))
    return amplitude * np.cos(2 * np.pi * (row * rows + column * columns) / size + 0.3).ravel()


def picture_of(values: np.ndarray) -> xr.Dataset:
    """A dataset with these targets."""
    dataset = photograph.build(size=int(np.sqrt(len(values))))
    dataset["y_train"] = (("sample_train", "output"), values[:, None].astype(np.float32))
    return dataset


def test_radial_error_is_zero_for_the_target_and_one_for_a_constant():
    dataset = photograph.build(size=24)
    y = dataset["y_train"].to_numpy()[:, 0]
    outputs = np.stack([0 * y, 0 * y + 5, 0.5 * y, y + 1, y])
    spectra = radial.decompose(predictions_of(outputs[:, None]), dataset, **RADIAL)
    assert bool(spectra["followed"].all())
    expected = np.array([1, 1, 0.5, 0, 0])[:, None] * np.ones(6)
    np.testing.assert_allclose(spectra["relative_error"].isel(member=0), expected, atol=1e-4)
    np.testing.assert_allclose(spectra["first_passage"], 3)
    np.testing.assert_allclose(spectra["frequency"], [1, 3, 5, 7, 9, 11])
    np.testing.assert_array_equal(spectra["target"], y.reshape(24, 24).astype(np.float64))
    np.testing.assert_array_equal(spectra["snapshot_output"].sel(snapshot=4), y.reshape(24, 24))
    assert every_variable_is_described(spectra)


@pytest.mark.parametrize(("row", "column"), [(1, 0), (3, 4), (0, 9), (-7, 5)])
def test_a_plane_wave_falls_in_its_ring(row, column):
    dataset = picture_of(wave(32, row, column))
    spectra = radial.decompose(predictions_of(np.zeros((2, 1, 32**2))), dataset, **{**RADIAL, "rings": 4})
    energy = spectra["target_amplitude"] ** 2
    # Under a Hann window the wave spreads over its neighbours: its own ring holds the most.
    assert float(energy.idxmax()) == (int(np.hypot(row, column) / 4) + 0.5) * 4
    far = abs(energy["frequency"] - np.hypot(row, column)) > 2 + 2**0.5
    assert not bool(spectra["followed"].where(far, drop=True).any())


def test_radial_amplitude_is_that_of_a_direct_sum():
    size, rings = 10, 3
    dataset = photograph.build(size=size)
    y = dataset["y_train"].to_numpy()[:, 0].astype(np.float64)
    rows, columns = (index.ravel() for index in np.indices((size, size)))
    weight = np.sin(np.pi * rows / size) ** 2 * np.sin(np.pi * columns / size) ** 2
    centred = y - (weight * y).sum() / weight.sum()
    squares = [[] for _ in range(rings)]
    for k, l in itertools.product(range(-size // 2, size // 2), repeat=2):  # noqa: E741
        if 0 < np.hypot(k, l) <= size / 2:
            phase = np.exp(-2j * np.pi * (k * rows + l * columns) / size)
            ring = min(int(np.hypot(k, l) / (size / 2 / rings)), rings - 1)
            squares[ring].append(abs((weight * centred * phase).sum() / weight.sum()) ** 2)
    spectra = radial.decompose(predictions_of(np.zeros((2, 1, size**2))), dataset, **{**RADIAL, "rings": rings})
    np.testing.assert_allclose(spectra["target_amplitude"], [np.sqrt(np.mean(s)) for s in squares], rtol=1e-9)


def fft_of(dataset: xr.Dataset, outputs: np.ndarray, **options) -> xr.Dataset:
    """Of a picture, and outputs (step, member, sample)."""
    options = {"threshold": 0.2, "hold": 0.05, "frequencies": None, "peak_height": 0.1} | options
    return fft.decompose(predictions_of(outputs), dataset, split="train", **options)


@pytest.mark.parametrize(("row", "column"), [(1, 0), (3, 4), (0, 9), (-7, 5)])
def test_fft_of_a_picture_has_a_plane_wave_at_its_frequency(row, column):
    spectra = fft_of(picture_of(wave(32, row, column)), np.zeros((2, 1, 32**2)))
    np.testing.assert_array_equal(spectra["frequency"], np.arange(1, 17))
    assert spectra["frequency"].attrs["units"] == "cycles per image"
    total = spectra["target_amplitude"].isel(output=0)
    assert abs(float(total.idxmax()) - np.hypot(row, column)) <= 1
    far = abs(spectra["frequency"] - np.hypot(row, column)) > 0.5 + 2**0.5
    assert float(total.where(far).max()) < 1e-6 * float(total.max())
    assert not bool(spectra["followed"].where(far, drop=True).any())


def test_fft_of_a_picture_is_a_direct_sum_over_rings_and_radial_is_coarser_rings_of_it():
    size = 12
    dataset = photograph.build(size=size)
    y = dataset["y_train"].to_numpy()[:, 0].astype(np.float64)
    rows, columns = (index.ravel() for index in np.indices((size, size)))
    weight = np.sin(np.pi * rows / size) ** 2 * np.sin(np.pi * columns / size) ** 2
    weight /= weight.sum()
    squares = {ring: [] for ring in range(1, size // 2 + 1)}
    for k, l in itertools.product(range(-size // 2, size // 2), repeat=2):  # noqa: E741
        if 0 < np.hypot(k, l) <= size / 2:
            phase = np.exp(-2j * np.pi * (k * rows + l * columns) / size)
            squares[int(np.hypot(k, l) + 0.5)].append(abs((weight * (y - weight @ y) * phase).sum()) ** 2)
    outputs = np.stack([0 * y, 0.5 * y, y])[:, None]
    spectra = fft_of(dataset, outputs, frequencies=[1, 2, 5])
    np.testing.assert_allclose(
        spectra["target_amplitude"].isel(output=0), [np.sqrt(np.mean(s)) for s in squares.values()], rtol=1e-9
    )
    np.testing.assert_allclose(
        spectra["amplitude"].isel(member=0, step=1, output=0), spectra["target_amplitude"].isel(output=0) / 2, rtol=1e-4
    )
    np.testing.assert_array_equal(spectra["frequency"][spectra["followed"]], [1, 2, 5])
    error = spectra["relative_error"].isel(member=0).sel(frequency=[1, 2, 5])
    np.testing.assert_allclose(error, np.array([1, 0.5, 0])[:, None] * np.ones(3), atol=1e-4)
    np.testing.assert_array_equal(spectra["target"].isel(output=0), y)
    np.testing.assert_array_equal((spectra["row"] * size + spectra["column"]), np.arange(size**2))
    assert spectra["target_amplitude"].attrs["long_name"] == "RMS |F[y]| in the ring"
    whole = sum(sum(s) for s in squares.values())
    coarse = radial.decompose(predictions_of(outputs), dataset, **{**RADIAL, "rings": 1})
    count = sum(len(s) for s in squares.values())
    np.testing.assert_allclose(coarse["target_amplitude"], np.sqrt(whole / count), rtol=1e-9)
    with pytest.raises(UserError, match="beyond 6, the grid's highest"):
        fft_of(dataset, outputs, frequencies=[7])


def test_radial_takes_the_snapshots_of_a_member_that_did_not_diverge():
    dataset = photograph.build(size=8)
    outputs = np.random.default_rng(0).standard_normal((4, 3, 64))
    predictions = with_diverged(predictions_of(outputs), 0)
    spectra = radial.decompose(predictions, dataset, **{**RADIAL, "rings": 16})
    assert spectra.attrs["snapshot_member"] == 1001
    last = outputs[-1, 1].reshape(8, 8).astype(np.float32)
    np.testing.assert_array_equal(spectra["snapshot_output"].isel(snapshot=-1), last)
    assert bool(spectra["relative_error"].sel(member=1000).isnull().all())
    # Rings narrower than a cycle: the empty ones are not followed.
    assert 0 < int(spectra["followed"].sum()) < 16
    known = spectra["relative_error"].sel(member=1001).notnull()
    np.testing.assert_array_equal(known.all("step"), spectra["followed"])


def test_radial_needs_the_whole_picture():
    dataset = photograph.build(size=8)
    with pytest.raises(UserError, match="all pixels") as error:
        radial.decompose(predictions_of(np.ones((2, 1, 60))), dataset, **RADIAL)
    one_line(error)
    with pytest.raises(UserError, match="constant"):
        radial.decompose(predictions_of(np.ones((2, 1, 64))), picture_of(np.ones(64)), **RADIAL)


# --- neural tangent kernel --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlays", [(), ("presets/paper.yaml",), ("presets/smoke.yaml",)])
def test_theory_is_trained_in_steps_that_no_mode_oscillates_at(overlays):
    """It multiplies a mode by 1 - s, s = 2 learning_rate eigenvalue / (n outputs): 1 oscillates, 2 diverges."""
    raw = config.read_yaml(REPOSITORY / "config.yaml")
    for overlay in overlays:
        update_config(raw, config.read_yaml(REPOSITORY / overlay))
    loaded = config.load(raw)
    largest = {}
    for variant in config.variants(loaded):
        if "ntk" not in variant.decomposition:
            continue
        options = config.plain(loaded.datasets[variant.dataset])
        dataset = import_module(f"fpkit.datasets.{options.pop('kind')}").build(**options)
        x, y = (torch.from_numpy(dataset[f"{axis}_train"].to_numpy()) for axis in "xy")
        network = networks.build(features=x.shape[1:], outputs=y.shape[1], **variant.model)
        seeds = range(variant.training["seed_offset"], variant.training["seed_offset"] + 3)
        for seed, member in zip(seeds, zip(*network.initialize(seeds), strict=True), strict=True):
            share = 2 * variant.training["learning_rate"] / y.numel() * tangent.largest_eigenvalue(network, member, x)
            largest[variant.experiment, variant.name, seed] = share
    assert bool(largest) == (overlays != ("presets/smoke.yaml",))
    assert {key: share for key, share in largest.items() if share >= 1} == {}


CIRCLE = {"frequencies": [1.0, 2.0, 3.0], "phases": 0.4, "samples": 32, "test_samples": 0, "embedding": "circle"}


class WithoutBias(torch.nn.Sequential):
    """One hidden layer of relu units without any bias."""

    def __init__(self, features, outputs, width):
        super().__init__(
            torch.nn.Linear(*features, width, bias=False),
            torch.nn.ReLU(),
            torch.nn.Linear(width, outputs, bias=False),
        )


def train(tmp_path, dataset: xr.Dataset, model: dict, parameters: bool = False, **training) -> xr.Dataset:
    """Predictions of a real run of gradient descent."""
    dataset.to_netcdf(tmp_path / "circle.nc", engine="netcdf4")
    training = config.plain(Training(**{"optimizer": "sgd", "members": 2, **training}))
    record = config.plain(Record(per_decade=20, parameters=parameters))
    places = (tmp_path / "circle.nc", tmp_path / "run", tmp_path / "checkpoints")
    return run(*places, model=model, training=training, record=record)


def mlp(**options) -> dict:
    return config.plain(Mlp(kind="mlp", **options))


def recipe(model: dict, **training) -> str:
    training = config.plain(Training(**{"optimizer": "sgd", "learning_rate": 0.01, **training}))
    return json.dumps({"model": model, "training": training})


def kernels(model: dict, dataset: xr.Dataset, seeds) -> list[np.ndarray]:
    """Of each seed's network at initialization, the mean over outputs."""
    x = torch.from_numpy(dataset["x_train"].to_numpy())
    network = networks.build(features=x.shape[1:], outputs=dataset.sizes["output"], **model)
    return [tangent.kernel(model, network, member, x) for member in zip(*network.initialize(seeds), strict=True)]


def jacobian(model: dict, x: np.ndarray, outputs: int, seed: int) -> np.ndarray:
    """Of a network at initialization, (sample, output, weight), by one backward pass for each entry."""
    network = networks.build(features=x.shape[1:], outputs=outputs, **model)
    parameters = [parameter.requires_grad_() for parameter in network.initialize([seed])]
    value, rows = network.forward(parameters, torch.from_numpy(x))[0], []
    for entry in value.flatten():
        gradients = torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]).double().numpy())
    return np.stack(rows).reshape(*value.shape, -1)


def quotients(model: dict, dataset: xr.Dataset, seeds, modes) -> np.ndarray:
    basis = circle.build(dataset, "train", modes=list(modes))
    functions = basis.matrix(dataset.sizes["sample_train"]).astype(float)
    return np.stack([ntk.rayleigh_quotients(kernel, functions, basis) for kernel in kernels(model, dataset, seeds)])


def test_the_prediction_is_exact_for_a_linear_model(tmp_path):
    dataset = sines.build(**{**CIRCLE, "frequencies": [1.0]})
    predictions = train(tmp_path, dataset, mlp(widths=[]), learning_rate=0.02, steps=200)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=None)
    # K = x.x' + 1: the first mode's eigenvalue is n / 2.
    np.testing.assert_allclose(spectra["predicted_rate"], -np.log1p(-0.02), rtol=1e-5)
    np.testing.assert_allclose(spectra["measured_rate"], spectra["predicted_rate"], rtol=1e-4)
    assert spectra["predicted_rate"].dims == ("member", "frequency")
    decay = np.exp(-spectra["predicted_rate"] * spectra["step"]).transpose("step", "member", "frequency")
    np.testing.assert_allclose(spectra["relative_residual"], decay, atol=1e-4)
    assert every_variable_is_described(spectra)


OWN = {"kind": f"{__name__}:WithoutBias", "options": {"width": 6}}
RESIDUAL = config.plain(ResidualMlp(kind="residual_mlp", width=5, blocks=2))
CONVOLUTIONAL = config.plain(Cnn(kind="cnn", channels=[2, 3], widths=[5], activation="relu"))


@pytest.mark.parametrize("model", [mlp(widths=[5, 4]), OWN, RESIDUAL], ids=["mlp", "own", "residual"])
def test_the_kernel_is_that_of_the_explicit_jacobian(model):
    dataset = sines.build(**{**CIRCLE, "samples": 12})
    seeds, modes = [7, 8], [1, 2, 5]
    found = quotients(model, dataset, seeds, modes)
    x = dataset["x_train"].to_numpy()
    angle = np.arctan2(*x.T[::-1])
    for member, seed in enumerate(seeds):
        rows = jacobian(model, x, 1, seed)[:, 0]
        for index, mode in enumerate(modes):
            vectors = (np.cos(mode * angle), np.sin(mode * angle))
            direct = np.mean([v @ rows @ rows.T @ v / (v @ v) for v in vectors])
            assert found[member, index] == pytest.approx(direct, rel=1e-4)


@pytest.mark.parametrize("model", [mlp(widths=[7, 4]), mlp(widths=[]), CONVOLUTIONAL], ids=["mlp", "linear", "cnn"])
def test_of_several_outputs_the_kernel_is_the_mean_and_the_largest_eigenvalue_that_of_all(model, monkeypatch):
    x = np.random.default_rng(0).standard_normal((9, 1, 4, 4)).astype(np.float32)
    network = networks.build(features=x.shape[1:], outputs=3, **model)
    (member,) = zip(*network.initialize([5]), strict=True)
    rows = jacobian(model, x, 3, 5)
    whole = rows.reshape(27, -1) @ rows.reshape(27, -1).T
    mean = np.einsum("iop,jop->ij", rows, rows) / 3
    monkeypatch.setattr(tangent, "JACOBIAN_BYTES", 8 * 4 * rows.shape[2])  # blocks of 4, 4 and 1 samples
    np.testing.assert_allclose(tangent.kernel(model, network, member, torch.from_numpy(x)), mean, rtol=1e-4, atol=1e-4)
    largest = tangent.largest_eigenvalue(network, member, torch.from_numpy(x))
    assert largest == pytest.approx(np.linalg.eigvalsh(whole)[-1], rel=1e-3)


def test_eigenvectors_are_those_of_the_kernel_and_their_squares_add_up_to_the_mean_square():
    factor = np.random.default_rng(1).standard_normal((20, 30))
    kernel = factor @ factor.T
    values, vectors = np.linalg.eigh(kernel)
    basis = Eigenvectors(kernel, 4)
    overlap = np.abs(basis.matrix(20).T.astype(float) @ vectors[:, ::-1][:, :4]) * np.sqrt(20)
    np.testing.assert_allclose(overlap, np.eye(4), atol=1e-6)
    found = ntk.rayleigh_quotients(kernel, basis.matrix(20).astype(float), basis)
    np.testing.assert_allclose(found, values[::-1][:4], rtol=1e-6)
    samples = xr.DataArray(factor, dims=("sample", "output"))
    energy = basis.bands.energy(Eigenvectors(kernel, 99).coefficients(samples).isel(function=slice(4)))
    whole = (Eigenvectors(kernel, 99).coefficients(samples) ** 2).sum("function")
    np.testing.assert_allclose(whole, (samples**2).mean("sample"))
    assert (energy.sum("frequency") < whole).all()
    assert basis.bands.frequency.to_numpy().tolist() == [1, 2, 3, 4]


def test_without_bias_relu_has_no_odd_modes_beyond_the_first():
    dataset = sines.build(**{**CIRCLE, "samples": 64})
    model = {"kind": f"{__name__}:WithoutBias", "options": {"width": 256}}
    (found,) = quotients(model, dataset, [0], [1, 2, 3, 4, 5, 6, 7])
    by_mode = dict(zip(range(1, 8), found, strict=True))
    assert max(by_mode[k] for k in (3, 5, 7)) < 1e-6 * min(by_mode[k] for k in (1, 2, 4, 6))


@pytest.mark.parametrize(
    ("options", "frequencies"),
    [
        ({"activation": "relu"}, [1, 2, 3, 4, 6]),
        ({"activation": "tanh"}, [1, 2, 3, 4]),
        # Biases of zero: the third mode is slower than the fourth, in theory and in truth.
        ({"activation": "relu", "initialization": "he"}, [2, 3, 4, 10]),
    ],
)
def test_the_kernel_orders_the_measured_rates(tmp_path, options, frequencies):
    dataset = sines.build(**{**CIRCLE, "frequencies": [float(f) for f in frequencies], "samples": 64})
    predictions = train(tmp_path, dataset, mlp(widths=[256], **options), learning_rate=0.005, steps=9000)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=None)
    np.testing.assert_array_equal(spectra["frequency"], frequencies)
    for member in spectra["member"]:
        predicted, measured = (spectra[f"{name}_rate"].sel(member=member) for name in ("predicted", "measured"))
        assert scipy.stats.spearmanr(predicted, measured).statistic >= 0.9
        if "initialization" in options:
            assert predicted.sel(frequency=3) < 0.5 * predicted.sel(frequency=4)
            assert measured.sel(frequency=3) < 0.5 * measured.sel(frequency=4)


def decaying(rates: list[float], steps: np.ndarray, modes, dataset: xr.Dataset) -> np.ndarray:
    """Outputs (step, member=1, sample) whose residual in each mode decays at its rate, from an initial 1."""
    turns = circle._turns(dataset["x_train"].rename(sample_train="sample")).to_numpy()
    residual = sum(
        np.exp(-rate * steps)[:, None] * np.cos(2 * np.pi * mode * turns + 0.1)
        for rate, mode in zip(rates, modes, strict=True)
    )
    return (residual + dataset["y_train"].to_numpy()[:, 0])[:, None]


def test_rates_are_measured_until_the_residual_has_decayed():
    dataset = sines.build(**CIRCLE)
    steps = np.array([0, 1, 2, 3, 5, 8, 13, 20, 40, 100])
    outputs = decaying([0.3, 0.01, 0.0, 2.0], steps, [1, 2, 5, 7], dataset)
    predictions = predictions_of(outputs, steps, recipe=recipe(mlp(widths=[4])))
    spectra = ntk.decompose(predictions, dataset, split="train", modes=[1, 2, 5, 7, 9])
    measured = spectra["measured_rate"].isel(member=0)
    np.testing.assert_allclose(measured[:2], [0.3, 0.01], atol=1e-4)
    # Never below half of its start; too fast for three records; not there at all.
    assert np.isnan(measured[2:]).all()
    assert spectra.attrs["unmeasured"] == 1
    # The target holds 1 and 2 of these modes: no relative error of the others.
    assert spectra["followed"].to_numpy().tolist() == [True, True, False, False, False]
    known = spectra["relative_error"].isel(member=0).notnull()
    np.testing.assert_array_equal(known.all("step"), spectra["followed"])


def test_a_training_of_three_steps_measures_no_rate(tmp_path):
    dataset = sines.build(**CIRCLE)
    predictions = train(tmp_path, dataset, mlp(widths=[64]), learning_rate=0.005, steps=3)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=None)
    assert np.isnan(spectra["measured_rate"]).all()
    assert spectra.attrs["unmeasured"] == spectra["measured_rate"].size == 6
    assert (spectra["predicted_rate"] > 0).all()


def linear(learning_rate: float) -> xr.Dataset:
    """Predictions of a linear model on the circle, whose eigenvalues are n (the constant) and n / 2 (mode 1)."""
    return predictions_of(np.zeros((3, 2, 32)), recipe=recipe(mlp(widths=[]), learning_rate=learning_rate))


def test_a_step_in_which_a_mode_oscillates_is_named_followed_or_not(capsys):
    dataset = sines.build(**CIRCLE)
    spectra = ntk.decompose(linear(0.7), dataset, split="train", modes=[1, 2])
    np.testing.assert_allclose(spectra["largest_share"], 1.4, rtol=1e-3)
    np.testing.assert_allclose(spectra["predicted_rate"].sel(frequency=1), -np.log(0.3), rtol=1e-4)
    told = "training.learning_rate 0.7 takes 1.4 times the residual of the fastest mode in a step: from 1 on modes"
    assert spectra.attrs["remark"].startswith(told)
    assert spectra.attrs["remark"].endswith("; 0.45 would do")
    assert spectra.attrs["remark"] in capsys.readouterr().out
    calm = ntk.decompose(linear(0.4), dataset, split="train", modes=[1, 2])
    assert "remark" not in calm.attrs


def test_a_step_too_long_for_the_mode_predicts_nothing():
    spectra = ntk.decompose(linear(0.7), sines.build(**CIRCLE), split="train", modes=2)
    np.testing.assert_array_equal(np.isnan(spectra["predicted_rate"]), [[True, False]] * 2)
    assert spectra["frequency"].attrs["long_name"] == "rank of the kernel's eigenvector"


def test_a_step_in_which_gradient_descent_diverges_is_refused_in_what_did_not():
    dataset = sines.build(**CIRCLE)
    with pytest.raises(UserError, match=r"takes 3 times the residual .* set it to 0\.45") as error:
        ntk.decompose(with_diverged(linear(1.5), 0), dataset, split="train", modes=[1, 2])
    one_line(error)
    spectra = ntk.decompose(with_diverged(with_diverged(linear(1.5), 0), 1), dataset, split="train", modes=[1, 2])
    assert np.isnan(spectra["predicted_rate"].sel(frequency=1)).all()
    np.testing.assert_allclose(spectra["predicted_rate"].sel(frequency=2), 0, atol=1e-6)
    assert np.isnan(spectra["relative_residual"]).all()


def images(outputs: int = 2, samples: int = 30) -> xr.Dataset:
    """Points in five dimensions and targets that are linear in them, of each output by other weights."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((samples, 5)).astype(np.float32)
    y = (x @ rng.standard_normal((5, outputs))).astype(np.float32)
    return xr.Dataset({"x_train": (("sample_train", "feature"), x), "y_train": (("sample_train", "output"), y)})


def test_along_eigenvectors_the_prediction_is_exact_for_a_linear_model_of_several_outputs(tmp_path):
    dataset = images()
    predictions = train(tmp_path, dataset, mlp(widths=[]), parameters=True, learning_rate=0.2, steps=300)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=6)
    # K = x.x' + 1, of each output alike.
    gram = dataset["x_train"].to_numpy().astype(float)
    values = np.linalg.eigvalsh(gram @ gram.T + 1)[::-1][:6]
    np.testing.assert_allclose(spectra["eigenvalue"], values, rtol=1e-5)
    rates = -np.log1p(-2 * 0.2 / 60 * values)
    for name in ("predicted", "final", "measured"):
        np.testing.assert_allclose(spectra[f"{name}_rate"], np.tile(rates, (2, 1)), rtol=2e-3)
    np.testing.assert_allclose(spectra["largest_share"], 2 * 0.2 / 60 * values[0], rtol=1e-3)
    np.testing.assert_allclose(spectra["kernel_change"], 0, atol=1e-6)
    assert every_variable_is_described(spectra)


def test_the_kernel_at_the_end_is_that_of_the_trained_networks(tmp_path):
    dataset = images()
    places = {"model": mlp(widths=[8, 6]), "learning_rate": 0.05, "steps": 400}
    predictions = train(tmp_path, dataset, parameters=True, **places)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=4)
    x = dataset["x_train"].to_numpy()
    network = networks.build(features=(5,), outputs=2, **places["model"])
    layout_of = network.initialize([0])
    for number, seed in enumerate(predictions["member"].to_numpy()):
        before = jacobian(places["model"], x, 2, int(seed))
        # In a checkpoint all weights come first, the last one transposed, then all biases.
        numbers, parts = predictions["parameter"].sel(member=seed).to_numpy(), []
        for index in (0, 2, 4, 1, 3, 5):
            shape = layout_of[index].shape[1:]
            some, numbers = np.split(numbers, [np.prod(shape)])
            parts.append((index, some.reshape(shape[::-1]).T if index == 4 else some.reshape(shape)))
        trained = [torch.tensor(part)[None] for _, part in sorted(parts, key=lambda part: part[0])]
        outputs = network.forward(trained, torch.from_numpy(x))[0].detach()
        np.testing.assert_allclose(outputs, predictions["prediction"].sel(step=400, member=seed), atol=1e-5)
        value = network.forward([part.requires_grad_() for part in trained], torch.from_numpy(x))[0]
        rows = [torch.autograd.grad(entry, trained, retain_graph=True) for entry in value.flatten()]
        after = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double().numpy()
        kernels_of = [np.einsum("iop,jop->ij", j, j) / 2 for j in (before, after.reshape(before.shape))]
        change = np.linalg.norm(kernels_of[1] - kernels_of[0]) / np.linalg.norm(kernels_of[0])
        assert change > 0.01
        assert float(spectra["kernel_change"][number]) == pytest.approx(change, rel=1e-3)
    assert not np.allclose(spectra["final_rate"], spectra["predicted_rate"], rtol=1e-3)


def test_without_parameters_nothing_is_said_of_the_kernel_at_the_end(tmp_path):
    dataset = images()
    predictions = train(tmp_path, dataset, mlp(widths=[8]), learning_rate=0.05, steps=20)
    spectra = ntk.decompose(predictions, dataset, split="train", modes=None)
    assert spectra.sizes["frequency"] == 16
    assert np.isnan(spectra["final_rate"]).all()
    assert np.isnan(spectra["kernel_change"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, r"training\.optimizer to sgd, not adam"),
        ({"momentum": 0.9}, r"training\.momentum to 0, not 0\.9"),
        ({"loss": "mae"}, r"training\.loss to mse, not mae"),
        ({"batch_size": 8}, r"training\.batch_size"),
    ],
)
def test_ntk_is_a_theory_of_gradient_descent(change, message):
    predictions = predictions_of(np.zeros((2, 1, 32)), recipe=recipe(mlp(), **change))
    with pytest.raises(UserError, match=message) as error:
        ntk.decompose(predictions, sines.build(**CIRCLE), split="train", modes=None)
    one_line(error)


def test_ntk_says_what_it_needs():
    predictions = predictions_of(np.zeros((2, 1, 32)), recipe=recipe(mlp()))

    def problem(dataset=None, split="train", modes=None, predictions=predictions) -> str:
        with pytest.raises(UserError) as error:
            ntk.decompose(predictions, dataset or sines.build(**CIRCLE), split=split, modes=modes)
        return one_line(error)

    assert "unit circle" in problem(sines.build(**{**CIRCLE, "embedding": "line"}), modes=[1])
    assert "unit circle" in problem(sines.build(**CIRCLE).isel(sample_train=slice(16)), modes=[1])
    assert "at most 3,000, not 3,001" in problem(sines.build(**{**CIRCLE, "samples": 3001}))
    assert "record.split to train" in problem(split="test")
    assert "modes from 1 to 15" in problem(modes=[16])
    assert "do not close" in problem(sines.build(**{**CIRCLE, "frequencies": [1.5]}))
    assert "no recipe" in problem(predictions=predictions_of(np.zeros((2, 1, 32))))
    own = sines.build(**CIRCLE)
    del own.attrs["frequencies"]
    assert "give decomposition.ntk.modes" in problem(own)
