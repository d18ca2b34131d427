"""The data sets, from real files: written here, served on loopback, or installed by Debian."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import inspect
import io
import itertools
import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_image

from fpkit.config.datasets import (
    Arrays,
    Cifar10,
    Dataset,
    Digits,
    FashionMnist,
    Mnist,
    OwnDataset,
    Parity,
    Photograph,
    Sines,
)
from fpkit.datasets import (
    cifar10,
    contract,
    digits,
    fashion_mnist,
    files,
    idx,
    images,
    kernel,
    mnist,
    parity,
    photograph,
    sines,
    targets,
)
from fpkit.errors import UserError

BUILDERS = {
    "sines": (sines.build, Sines),
    "digits": (digits.build, Digits),
    "fashion_mnist": (fashion_mnist.build, FashionMnist),
    "mnist": (mnist.build, Mnist),
    "cifar10": (cifar10.build, Cifar10),
    "parity": (parity.build, Parity),
    "photograph": (photograph.build, Photograph),
}
IMAGES = ["digits", "fashion_mnist", "mnist", "cifar10"]
DEBIAN = Path(files.WELL_KNOWN_FOLDERS["fashion_mnist"][0])
IDX_NAMES = list(files.SHA256["mnist"])
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = IDX_NAMES


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """No test sees, or fills, the user's own cache."""
    monkeypatch.setenv("FPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# --- files in the original formats -----------------------------------------------------------------------------------


def idx_bytes(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape) + values.tobytes()


def random_part(samples: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    images = rng.integers(0, 256, (samples, *shape), dtype=np.uint8)
    return images, rng.permutation(np.arange(samples) % 10).astype(np.uint8)


MNIST_TRAIN, MNIST_TEST = random_part(60, (6, 6)), random_part(30, (6, 6))
MNIST_FILES = {
    name: idx_bytes(values) for name, values in zip(IDX_NAMES, (*MNIST_TRAIN, *MNIST_TEST), strict=True)
}  # unpacked
CIFAR = [random_part(samples, (3, 32, 32)) for samples in (20, 21, 22, 23, 24, 25)]
CIFAR_FILES = {
    name: np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1).tobytes()
    for name, (images, labels) in zip(files.CIFAR10_BATCHES, CIFAR, strict=True)
}


def tar_bytes(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{files.CIFAR10_FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def gzipped(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name: gzip.compress(content, mtime=0) for name, content in contents.items()}


def corrupt(gzip_bytes: bytes) -> bytes:
    """A flipped bit in gzip's CRC."""
    return gzip_bytes[:-8] + bytes([gzip_bytes[-8] ^ 1]) + gzip_bytes[-7:]


# --- the contract with config and netCDF -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUILDERS)
def test_arguments_are_the_fields_of_the_configuration(kind):
    build, model = BUILDERS[kind]
    parameters = inspect.signature(build).parameters
    fields = {name: field for name, field in model.model_fields.items() if name not in ("kind", "optional")}
    assert set(parameters) == set(fields)
    for name, field in fields.items():
        if not field.is_required():
            assert parameters[name].default == field.default


def built(kind: str, folder: Path) -> xr.Dataset:
    if kind == "sines":
        return sines.build([1, 3], noise=0.1)
    if kind in ("digits", "parity", "photograph"):
        return BUILDERS[kind][0]()
    if kind == "cifar10":
        return cifar10.build(path=str(write(folder, CIFAR_FILES)))
    return BUILDERS[kind][0](path=str(write(folder, gzipped(MNIST_FILES))))


@pytest.mark.parametrize("kind", BUILDERS)
def test_datasets_are_labelled_float32_and_survive_netcdf(kind, tmp_path):
    dataset = built(kind, tmp_path / "files")
    assert dataset.attrs["kind"] == kind
    assert dataset.attrs["source"]
    assert ("license" in dataset.attrs) == (kind not in files.LAYOUTS)  # of files written here, nobody knows
    for name, variable in dataset.variables.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
    assert all(variable.dtype == np.float32 for variable in dataset.data_vars.values())
    dataset.to_netcdf(tmp_path / "dataset.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "dataset.nc", engine="netcdf4") as read:
        xr.testing.assert_equal(read, dataset)
        for name, value in dataset.attrs.items():
            np.testing.assert_array_equal(read.attrs[name], value)
        for name in dataset.variables:
            assert read[name].attrs == dataset[name].attrs
    if kind in files.LAYOUTS:
        for name, sha256 in json.loads(dataset.attrs["sha256"]).items():
            assert hashlib.sha256((tmp_path / "files" / name).read_bytes()).hexdigest() == sha256


def test_every_kind_of_the_configuration_has_a_builder():
    union = get_args(get_args(Dataset)[0])
    models = {get_args(member)[0] for member in union} - {OwnDataset, Arrays}  # tests/test_arrays.py
    assert models == {model for _, model in BUILDERS.values()}


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_same_parameters_make_the_same_data_set(kind, tmp_path):
    xr.testing.assert_identical(built(kind, tmp_path), built(kind, tmp_path))


# --- sines -----------------------------------------------------------------------------------------------------------


def test_sines_follow_the_formula():
    dataset = sines.build([0.5, 2.0], [1.0, -0.3], [0.1, 2.0], interval=[-1.0, 3.0], samples=40, test_samples=10)
    x = dataset["position_train"].to_numpy()
    np.testing.assert_allclose(x, -1 + 0.1 * np.arange(40))
    expected = np.sin(2 * np.pi * 0.5 * x + 0.1) - 0.3 * np.sin(2 * np.pi * 2.0 * x + 2.0)
    np.testing.assert_allclose(dataset["y_train"].isel(output=0), expected, atol=1e-6)
    np.testing.assert_allclose(dataset["x_train"].isel(feature=0), (x - 1) / 2 * np.pi, atol=1e-6)
    np.testing.assert_allclose(dataset["position_test"], -1 + 0.4 * (np.arange(10) + 0.5))
    assert dataset.attrs["frequencies"] == [0.5, 2.0]
    assert dataset.attrs["amplitudes"] == [1.0, -0.3]
    assert dataset.attrs["phases"] == [0.1, 2.0]


def test_clean_targets_are_the_training_targets_without_noise():
    clean, noisy = (sines.build([2, 5], [1.0, 0.3], noise=noise) for noise in (0.0, 0.4))
    xr.testing.assert_equal(noisy["clean_train"], clean["clean_train"])
    np.testing.assert_array_equal(clean["clean_train"], clean["y_train"])
    assert noisy["clean_train"].dims == ("sample_train", "output")
    assert abs(float((noisy["y_train"] - noisy["clean_train"]).std()) - 0.4) < 0.1
    assert "noise" in noisy["clean_train"].attrs["long_name"]


def test_validation_samples_lie_a_quarter_step_off_and_change_nothing_else():
    options = {"frequencies": [0.5, 2], "interval": (-1.0, 3.0), "noise": 0.2, "seed": 4}
    plain, dataset = (sines.build(**options, validation_samples=count) for count in (0, 80))
    assert not [name for name in plain.variables if "validation" in name]
    xr.testing.assert_identical(dataset[list(plain.variables)], plain)
    assert dataset["x_validation"].dims == ("sample_validation", "feature")
    position = dataset["position_validation"].to_numpy()
    np.testing.assert_allclose(position, -1 + (np.arange(80) + 0.25) * 0.05)
    angles = 2 * np.pi * np.outer(position, [0.5, 2]) + dataset.attrs["phases"]
    noise = dataset["y_validation"].isel(output=0).to_numpy() - np.sin(angles).sum(1)
    assert abs(noise.std() - 0.2) < 0.06
    training_noise = (dataset["y_train"] - dataset["clean_train"]).isel(output=0).to_numpy()
    assert abs(np.corrcoef(noise, training_noise[:80])[0, 1]) < 0.4
    again, other = (sines.build(**options | {"seed": seed}, validation_samples=80) for seed in (4, 5))
    xr.testing.assert_identical(again, dataset)
    assert not other["y_validation"].equals(dataset["y_validation"])


def test_on_the_circle_the_network_sees_cos_and_sin_of_the_same_angle():
    options = {"frequencies": [1, 3], "noise": 0.1, "validation_samples": 30}
    line, circle = (sines.build(**options, embedding=embedding) for embedding in ("line", "circle"))
    for part in ("train", "test", "validation"):
        angle = line[f"x_{part}"].isel(feature=0).to_numpy()
        expected = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        np.testing.assert_allclose(circle[f"x_{part}"], expected, atol=1e-6)
        xr.testing.assert_identical(circle[f"y_{part}"], line[f"y_{part}"])
        xr.testing.assert_identical(circle[f"position_{part}"], line[f"position_{part}"])
    assert circle["x_train"].dtype == np.float32
    assert sines.build([1], test_samples=0, embedding="circle")["x_test"].shape == (0, 2)


@settings(deadline=None, max_examples=50)
@given(
    frequencies=st.lists(st.floats(0.1, 20), min_size=1, max_size=4),
    phases=st.one_of(st.just("random"), st.floats(-7, 7)),
    start=st.floats(-5, 5),
    length=st.floats(0.1, 10),
    samples=st.integers(2, 60),
    test_samples=st.integers(0, 60),
    seed=st.integers(0, 2**32),
)
def test_sines_lie_in_the_interval_and_keep_their_phases(
    frequencies, phases, start, length, samples, test_samples, seed
):
    interval = (start, start + length)
    dataset = sines.build(frequencies, 0.5, phases, interval, samples, test_samples, seed=seed)
    assert dataset.sizes == {"sample_train": samples, "sample_test": test_samples, "feature": 1, "output": 1}
    used = np.array(dataset.attrs["phases"])
    assert used.shape == (len(frequencies),)
    if phases == "random":
        assert ((used >= 0) & (used < 2 * np.pi)).all()
    for part in ("train", "test"):
        position = dataset[f"position_{part}"].to_numpy()
        assert ((position >= start) & (position < start + length)).all()
        assert (np.abs(dataset[f"x_{part}"]) <= np.float32(np.pi)).all()
        expected = sum(0.5 * np.sin(2 * np.pi * f * position + p) for f, p in zip(frequencies, used, strict=True))
        np.testing.assert_allclose(dataset[f"y_{part}"].isel(output=0), expected, atol=1e-5)


def test_noise_is_on_the_training_targets_only_and_drawn_with_the_seed():
    clean, noisy, other = (
        sines.build([2], phases=0.0, samples=4000, noise=noise, seed=seed)
        for noise, seed in ((0, 0), (0.2, 0), (0.2, 1))
    )
    noise = noisy["y_train"] - clean["y_train"]
    assert abs(float(noise.std()) - 0.2) < 0.01
    assert abs(float(noise.mean())) < 0.02
    xr.testing.assert_equal(noisy["y_test"], clean["y_test"])
    assert not noisy["y_train"].equals(other["y_train"])


def test_sines_without_test_part_survive_netcdf(tmp_path):
    dataset = sines.build([1.5], test_samples=0)
    dataset.to_netcdf(tmp_path / "dataset.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "dataset.nc", engine="netcdf4") as read:
        xr.testing.assert_equal(read, dataset)


# --- images: subset, pooling, scaling, shuffle -----------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(data=st.data(), counts=st.lists(st.integers(1, 40), min_size=10, max_size=10), seed=st.integers(0, 1000))
def test_stratified_subset_keeps_the_proportions(data, counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), counts))
    limit = data.draw(st.integers(10, len(labels)))
    chosen = images.stratified_subset(labels, limit, np.random.default_rng(seed))
    assert len(set(chosen)) == len(chosen) == limit
    share = np.array(counts) * limit / len(labels)
    assert (np.abs(np.bincount(labels[chosen], minlength=10) - share) < 1).all()
    np.testing.assert_array_equal(chosen, images.stratified_subset(labels, limit, np.random.default_rng(seed)))


def test_subset_holds_images_of_its_labels_in_mixed_order(tmp_path):
    folder = write(tmp_path, MNIST_FILES)
    whole, part = mnist.build(path=str(folder)), mnist.build(path=str(folder), limit=20, test_limit=10, seed=3)
    assert (part["y_train"].sum("sample_train") == 2).all()
    assert (part["y_test"].sum("sample_test") == 1).all()
    classes = part["y_train"].argmax("output").to_numpy()
    assert (np.diff(classes) < 0).any()  # not class by class
    raw, labels = MNIST_TRAIN
    pixels = raw.reshape(60, -1) / 255
    for x, label in zip(part["x_train"].to_numpy().reshape(20, -1), classes, strict=True):
        # Random images: centred or not, each correlates with itself far more than with any other.
        match = np.argmax([np.corrcoef(x, image)[0, 1] for image in pixels])
        assert labels[match] == label
    assert whole.sizes["sample_train"] == 60
    assert not part["x_train"].equals(mnist.build(path=str(folder), limit=20, test_limit=10, seed=4)["x_train"])


@pytest.mark.parametrize("limit", [9, 61])
def test_limits_that_do_not_fit_are_one_line(limit, tmp_path):
    folder = write(tmp_path, MNIST_FILES)
    with pytest.raises(UserError, match=rf"limit: {limit} .* 60 training images") as error:
        mnist.build(path=str(folder), limit=limit)
    one_line(error)
    with pytest.raises(UserError, match=r"test_limit: 31 .* 30 test images") as error:
        mnist.build(path=str(folder), test_limit=31)
    one_line(error)


@pytest.mark.parametrize("pool", [1, 3])
def test_inputs_are_centred_and_scaled_by_the_training_part(pool, tmp_path):
    dataset = mnist.build(path=str(write(tmp_path, MNIST_FILES)), pool=pool)
    train, test = (
        part.reshape(len(part), 6 // pool, pool, 6 // pool, pool).mean((2, 4)) / 255
        for part in (MNIST_TRAIN[0], MNIST_TEST[0])
    )
    mean = train.mean(0)
    scale = np.sqrt(((train - mean) ** 2).mean())
    np.testing.assert_allclose(dataset["x_train"].isel(channel=0), (train - mean) / scale, atol=1e-5)
    np.testing.assert_allclose(dataset["x_test"].isel(channel=0), (test - mean) / scale, atol=1e-5)
    np.testing.assert_allclose(dataset["x_train"].mean("sample_train"), 0, atol=1e-6)
    assert abs(float(dataset["x_train"].std()) - 1) < 1e-6
    np.testing.assert_array_equal(dataset["y_train"], np.eye(10)[MNIST_TRAIN[1]])
    np.testing.assert_array_equal(dataset["output"], np.arange(10))


def test_pool_that_does_not_divide_the_image_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"pool: 4 does not divide .* 6 x 6 .* 1, 2, 3, 6") as error:
        mnist.build(path=str(write(tmp_path, MNIST_FILES)), pool=4)
    one_line(error)


def test_constant_training_images_are_one_line(tmp_path):
    grey = idx_bytes(np.full((60, 6, 6), 77, dtype=np.uint8))
    with pytest.raises(UserError, match="all training images are the same") as error:
        mnist.build(path=str(write(tmp_path, MNIST_FILES | {TRAIN_IMAGES: grey})))
    one_line(error)


def test_shuffled_labels_keep_images_and_classes():
    plain, shuffled = digits.build(seed=5), digits.build(seed=5, shuffle_labels=True)
    for part in ("train", "test"):
        xr.testing.assert_equal(shuffled[f"x_{part}"], plain[f"x_{part}"])
        y, dealt = plain[f"y_{part}"], shuffled[f"y_{part}"]
        xr.testing.assert_equal(dealt.sum(f"sample_{part}"), y.sum(f"sample_{part}"))
        agreement = float((y * dealt).sum("output").mean())
        assert agreement < 0.2  # 0.1 by chance


def test_streams_drawn_before_validation_and_noise_came_are_as_they_were(tmp_path):
    folder = str(write(tmp_path, MNIST_FILES))
    subset, _, _, shuffle = np.random.default_rng(6).spawn(4)
    chosen = images.stratified_subset(MNIST_TRAIN[1], 20, subset)
    part = mnist.build(path=folder, limit=20, seed=6)
    np.testing.assert_array_equal(part["y_train"].argmax("output"), MNIST_TRAIN[1][chosen])
    dealt = mnist.build(path=folder, shuffle_labels=True, seed=6)
    np.testing.assert_array_equal(dealt["y_test"].argmax("output"), shuffle.permutation(MNIST_TEST[1]))


@pytest.mark.parametrize("kind", IMAGES)
def test_every_image_data_set_takes_validation_and_label_noise(kind, tmp_path):
    contents = CIFAR_FILES if kind == "cifar10" else MNIST_FILES
    place = {} if kind == "digits" else {"path": str(write(tmp_path / "files", contents))}
    dataset = BUILDERS[kind][0](**place, validation_limit=20, label_noise=0.5)
    assert dataset["x_validation"].dims == ("sample_validation", "channel", "row", "column")
    assert dataset["x_validation"].shape == (20, *dataset["x_train"].shape[1:])
    assert dataset["y_validation"].shape == (20, 10)
    assert dataset.attrs["label_noise"] == 0.5
    for variable in dataset.data_vars.values():
        assert variable.dtype == np.float32
        assert variable.attrs["units"]
        assert variable.attrs["long_name"]
    dataset.to_netcdf(tmp_path / "dataset.nc", engine="netcdf4")


def image_numbers(dataset: xr.Dataset, part: str, raw: np.ndarray) -> list[int]:
    """Which of the raw images each input is: undo the scaling by the known, random images."""
    pixels = raw.reshape(len(raw), -1) / 255
    x = dataset[f"x_{part}"].to_numpy().reshape(dataset.sizes[f"sample_{part}"], -1)
    return [int(np.argmax([np.corrcoef(row, image)[0, 1] for image in pixels])) for row in x]


def test_validation_is_set_aside_before_the_limit_and_scaled_like_the_rest(tmp_path):
    folder, (raw, labels) = str(write(tmp_path, MNIST_FILES)), MNIST_TRAIN
    dataset = mnist.build(path=folder, validation_limit=20, seed=2)
    assert (dataset["y_validation"].sum("sample_validation") == 2).all()
    aside, kept = (image_numbers(dataset, part, raw) for part in ("validation", "train"))
    assert sorted(aside + kept) == list(range(60))
    assert kept == sorted(kept)  # in their own order
    np.testing.assert_array_equal(dataset["y_validation"].argmax("output"), labels[aside])
    mean = (raw[kept] / 255).mean(0)
    scale = np.sqrt(((raw[kept] / 255 - mean) ** 2).mean())
    expected = (raw[aside] / 255 - mean) / scale
    np.testing.assert_allclose(dataset["x_validation"].isel(channel=0), expected, atol=1e-5)

    limited = mnist.build(path=folder, validation_limit=20, limit=10, seed=2)
    assert image_numbers(limited, "validation", raw) == aside
    assert set(image_numbers(limited, "train", raw)) < set(kept)
    assert (limited["y_train"].sum("sample_train") == 1).all()
    assert image_numbers(mnist.build(path=folder, validation_limit=20, seed=3), "validation", raw) != aside
    whole = mnist.build(path=folder, seed=2)
    xr.testing.assert_identical(dataset["y_test"], whole["y_test"])
    assert not [name for name in whole.variables if "validation" in name]


def test_validation_limits_that_do_not_fit_are_one_line(tmp_path):
    folder = str(write(tmp_path, MNIST_FILES))
    for limit in (9, 51):
        with pytest.raises(UserError, match=rf"validation_limit: {limit} .* 60 training images") as error:
            mnist.build(path=folder, validation_limit=limit)
        one_line(error)
    assert mnist.build(path=folder, validation_limit=50).sizes["sample_train"] == 10
    with pytest.raises(UserError, match=r"^limit: 41 .* 40 training images that validation_limit leaves") as error:
        mnist.build(path=folder, validation_limit=20, limit=41)
    one_line(error)


@pytest.mark.parametrize("shuffle_labels", [False, True])
def test_label_noise_replaces_its_fraction_of_training_and_validation_labels(shuffle_labels):
    options = {"validation_limit": 400, "shuffle_labels": shuffle_labels, "seed": 1}
    plain, some, more, all_of_them = (digits.build(**options, label_noise=noise) for noise in (0.0, 0.2, 0.5, 1.0))
    assert "label_noise" not in plain.attrs
    assert some.attrs["label_noise"] == 0.2
    for name in ("x_train", "x_validation", "x_test", "y_test"):
        xr.testing.assert_identical(more[name], plain[name])
    for part in ("train", "validation"):
        labels, few, many, random = (
            dataset[f"y_{part}"].argmax("output").to_numpy() for dataset in (plain, some, more, all_of_them)
        )
        # A tenth of the labels drawn are the right ones.
        assert abs((few != labels).mean() - 0.18) < 0.04
        assert (few != labels).sum() <= round(0.2 * len(labels))
        assert abs((many != labels).mean() - 0.45) < 0.06
        np.testing.assert_array_equal(many[few != labels], few[few != labels])  # more noise adds to less
        assert np.bincount(random, minlength=10).min() > 0.05 * len(labels)
        assert (some[f"y_{part}"].sum("output") == 1).all()
        assert "0.2 replaced at random" in some[f"y_{part}"].attrs["long_name"]
    noise = [some[f"y_{part}"].argmax("output")[:400].to_numpy() for part in ("train", "validation")]
    assert (noise[0] != noise[1]).any()


def test_digits_are_split_by_class():
    dataset = digits.build()
    assert dataset["x_train"].shape == (1437, 1, 8, 8)
    assert dataset["x_test"].shape == (360, 1, 8, 8)
    share = dataset["y_test"].sum("sample_test") / (
        dataset["y_test"].sum("sample_test") + dataset["y_train"].sum("sample_train")
    )
    assert (abs(share - 0.2) < 0.01).all()
    assert digits.build(limit=100, pool=2)["x_train"].shape == (100, 1, 4, 4)
    assert not digits.build(seed=1)["x_test"].equals(dataset["x_test"])


# --- parity ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(data=st.data(), dimensions=st.integers(2, 8), fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
def test_parity_holds_each_sign_vector_once_and_its_product(data, dimensions, fraction, seed):
    bits = data.draw(st.one_of(st.none(), st.integers(1, dimensions)))
    dataset = parity.build(dimensions, bits, fraction, seed)
    total = 2**dimensions
    assert dataset.sizes["sample_train"] == min(max(round(fraction * total), 1), total - 1)
    index = np.concatenate([dataset[f"index_{part}"] for part in ("train", "test")])
    assert sorted(index) == list(range(total))
    for part in ("train", "test"):
        assert (np.diff(dataset[f"index_{part}"]) > 0).all()
        assert dataset[f"x_{part}"].shape == (dataset.sizes[f"sample_{part}"], dimensions)
        for i, x, y in zip(*(dataset[f"{name}_{part}"].to_numpy() for name in ("index", "x", "y")), strict=True):
            assert [(1 - sign) / 2 for sign in x] == [int(bit) for bit in reversed(f"{i:0{dimensions}b}")]
            assert y.tolist() == [np.prod(x[:bits])]
    assert dataset.attrs["dimensions"] == dimensions
    assert dataset.attrs["bits"] == (bits or dimensions)


def test_parity_draws_its_training_part_with_the_seed():
    one, other = (parity.build(seed=seed)["index_train"] for seed in (0, 1))
    assert len(one) == len(other) == 512
    assert not one.equals(other)
    xr.testing.assert_identical(parity.build(bits=2)["index_train"], one)


# --- made targets -----------------------------------------------------------------------------------------------------

TARGETS = {
    "graph_bands": {"kind": "graph_bands", "components": 5, "strength": None, "width": 0.25},
    "sines": {"kind": "sines", "components": 5, "strength": None, "direction": 2},
    "radial_sines": {"kind": "radial_sines", "components": 5, "strength": None},
}


def parts_of(dataset: xr.Dataset, name: str) -> np.ndarray:
    """A variable on the samples of all parts, one after the other, in double precision."""
    values = [dataset[f"{name}_{part}"].to_numpy() for part in contract.PARTS if f"{name}_{part}" in dataset]
    return np.concatenate([part.reshape(len(part), -1) for part in values]).astype(float)


def left_over(values: np.ndarray, functions: np.ndarray) -> float:
    """The largest part of any of the values (sample, ...) that no combination of functions and a constant gives."""
    functions = np.column_stack([functions, np.ones(len(functions))])
    rest = values - functions @ np.linalg.lstsq(functions, values, rcond=None)[0]
    return float(np.abs(rest).max())


@pytest.mark.parametrize("kind", TARGETS)
def test_made_target_is_a_sum_of_components_of_equal_energy_on_the_same_inputs(kind):
    natural = digits.build(limit=200, validation_limit=50, seed=3)
    made = contract.checked(digits.build(limit=200, validation_limit=50, seed=3, target=TARGETS[kind]))
    for part in contract.PARTS:
        xr.testing.assert_identical(made[f"x_{part}"], natural[f"x_{part}"])
        total = made[f"component_{part}"].astype(float).sum("component")
        np.testing.assert_allclose(made[f"y_{part}"].isel(output=0), total, atol=1e-5)
        assert made[f"y_{part}"].sizes["output"] == 1
    train = made["component_train"].astype(float)
    np.testing.assert_allclose(train.mean("sample_train"), 0, atol=1e-6)
    energy = (train**2).mean("sample_train")
    np.testing.assert_allclose(energy, energy[0], rtol=1e-4)
    assert float(made["y_train"].std()) == pytest.approx(1, abs=1e-5)
    frequency = made["component_frequency"]
    assert (frequency.diff("component") > 0).all()
    assert frequency.attrs.keys() >= {"long_name", "units"}
    assert made.attrs["target"] == kind
    assert "output" not in made.coords  # it is no class
    assert float(abs(digits.build(limit=200, seed=4, target=TARGETS[kind])["y_train"] - made["y_train"]).max()) > 0.1


def test_graph_bands_are_made_of_the_laplacian_s_modes_on_all_samples():
    """Against a plain Laplacian, and the definition of the bands."""
    made = digits.build(limit=150, test_limit=50, seed=3, target=TARGETS["graph_bands"])
    x, components = parts_of(made, "x"), parts_of(made, "component")
    apart = np.linalg.norm(x[:, None] - x, axis=2)
    width = 0.25 * np.median(apart[np.triu_indices(len(x), 1)])
    weights = np.exp(-(apart**2) / (2 * width**2))
    degree = weights.sum(axis=1)
    frequency, modes = np.linalg.eigh(np.eye(len(x)) - weights / np.sqrt(np.outer(degree, degree)))
    edges = [round(edge) for edge in 200 ** (np.arange(6) / 5)]
    for band, (start, stop) in enumerate(itertools.pairwise(edges)):
        assert left_over(components[:, band], modes[:, start:stop]) < 1e-4
        assert float(made["component_frequency"][band]) == pytest.approx(frequency[start:stop].mean(), abs=1e-6)


@pytest.mark.parametrize("kind", ["sines", "radial_sines"])
def test_sines_go_along_a_principal_component_or_the_norm_of_the_inputs(kind):
    made = digits.build(limit=200, seed=3, target=TARGETS[kind])
    x, components = parts_of(made, "x"), parts_of(made, "component")
    t = np.linalg.norm(x, axis=1) if kind == "radial_sines" else x @ np.linalg.svd(x[:200])[2][1]  # centred already
    turn = 2 * np.pi * t / np.ptp(t[:200])
    for band in range(5):
        k = band + 1
        assert left_over(components[:, band], np.column_stack([np.sin(k * turn), np.cos(k * turn)])) < 1e-4
    assert made["component_frequency"].to_numpy().tolist() == [1, 2, 3, 4, 5]


def test_made_target_is_added_to_labels_with_its_strength():
    natural = digits.build(limit=200, seed=3)
    alone, added = (
        digits.build(limit=200, seed=3, target=TARGETS["sines"] | {"strength": strength}) for strength in (None, 0.5)
    )
    for part in ("train", "test"):
        made = added[f"y_{part}"] - natural[f"y_{part}"]
        np.testing.assert_allclose(made, np.broadcast_to(0.5 * alone[f"y_{part}"], made.shape), atol=1e-6)
        np.testing.assert_allclose(added[f"component_{part}"], 0.5 * alone[f"component_{part}"], atol=1e-6)
    assert added.attrs["target_strength"] == 0.5
    xr.testing.assert_equal(added["output"], natural["output"])


def test_made_target_on_a_photograph_is_one_of_its_coordinates_whatever_the_network_sees():
    for direction, axis in ((1, "column"), (2, "row")):
        target = TARGETS["sines"] | {"direction": direction}
        plain, seen = (photograph.build(size=16, seed=1, fourier_scale=scale, target=target) for scale in (None, 2.0))
        xr.testing.assert_equal(plain["y_train"], seen["y_train"])
        position = plain[f"{axis}_train"].to_numpy() / 15
        turn = 2 * np.pi * position
        waves = np.column_stack([np.sin(turn), np.cos(turn)])
        assert left_over(plain["component_train"].to_numpy()[:, 0], waves) < 1e-5
        xr.testing.assert_identical(
            photograph.build(size=16, seed=1, fourier_scale=2.0)["x_train"], contract.checked(seen)["x_train"]
        )


def test_modes_are_orthonormal_smooth_first_and_refused_where_there_are_too_many():
    x = digits.build(limit=120)["x_train"].to_numpy()
    similarity, root = kernel.normalised(kernel.gaussian(x, 0.25))
    np.testing.assert_allclose(similarity @ root, root, atol=1e-12)
    frequency, vectors = kernel.modes(similarity, root)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(120)[1:, 1:], atol=1e-10)
    np.testing.assert_allclose(root @ vectors, 0, atol=1e-10)
    assert (np.diff(frequency) >= 0).all()
    assert 0 < frequency[0] < frequency[-1] <= 1
    for samples, told in ((np.zeros((4097, 1)), "4,097 samples are not computed.*limit:"), (x[:1], "limit:"),
                          (np.zeros((9, 2)), "alike")):  # fmt: skip
        with pytest.raises(UserError, match=told) as error:
            targets.KINDS["graph_bands"](samples, len(samples), 2, np.random.default_rng(0), 0.25)
        one_line(error)


@pytest.mark.parametrize(("modes", "bands"), [(199, 5), (60, 12), (9, 9), (3, 8), (10_000, 10)])
def test_bands_are_log_spaced_and_none_is_empty(modes, bands):
    starts = kernel.log_spaced(modes, bands)
    sizes = np.diff([*starts, modes])
    assert len(starts) == min(modes, bands)
    assert starts[0] == 0
    assert sizes.min() >= 1
    for band in np.flatnonzero(sizes > 2):  # where a band holds several, it begins where it should
        assert starts[band] + 1 == pytest.approx((modes + 1) ** (band / bands), abs=0.5)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (TARGETS["graph_bands"] | {"components": 64}, "no 64 bands"),
        (TARGETS["sines"] | {"direction": 30}, "direction: 30 exceeds the 16"),
    ],
)
def test_a_target_that_cannot_be_made_is_one_line(target, told):
    with pytest.raises(UserError, match=told) as error:
        digits.build(limit=30, test_limit=20, pool=2, target=target)
    one_line(error)


def test_components_of_an_own_data_set_are_checked():
    made = digits.build(limit=50, target=TARGETS["sines"])
    for broken, told in (
        (made.drop_vars("component_frequency"), "no component_frequency"),
        (made.drop_vars("component_test"), "component_test .* is missing"),
        (made.assign(component_train=made["component_train"] * np.nan), "component_train .* NaN"),
    ):
        with pytest.raises(UserError, match=told) as error:
            contract.checked(broken)
        one_line(error)


# --- photograph ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("image", "size", "factor"), [("china", 48, 8), ("flower", 200, 2), ("china", 256, 1)])
def test_photograph_is_the_averaged_grey_middle(image, size, factor):
    dataset = photograph.build(image, size)
    red, green, blue = np.moveaxis(load_sample_image(f"{image}.jpg").astype(float), -1, 0)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    side = factor * size
    top, left = ((extent - side) // 2 for extent in grey.shape)
    row, column = dataset["row_train"].to_numpy(), dataset["column_train"].to_numpy()
    np.testing.assert_array_equal(row * size + column, np.arange(size**2))
    y = dataset["y_train"].isel(output=0).to_numpy()
    assert y.min() == -1
    assert y.max() == 1
    means = [
        grey[top + factor * i : top + factor * (i + 1), left + factor * j : left + factor * (j + 1)].mean()
        for i, j in zip(row, column, strict=True)
    ]
    low, high = min(means), max(means)
    np.testing.assert_allclose(y, 2 * (np.array(means) - low) / (high - low) - 1, atol=1e-5)
    np.testing.assert_allclose(dataset["x_train"], np.stack([2 * row / size - 1, 2 * column / size - 1], 1), atol=1e-6)
    assert dataset["x_test"].shape == (0, 2)
    assert dataset["y_test"].shape == (0, 1)
    assert dataset.attrs["image"] == image
    assert type(dataset.attrs["size"]) is int


def test_fourier_features_are_cos_and_sin_of_random_frequencies_of_the_scale():
    plain = photograph.build(size=16)
    dataset = photograph.build(size=16, fourier_scale=2.0, fourier_features=300, seed=1)
    xr.testing.assert_identical(dataset["y_train"], plain["y_train"])
    assert dataset["x_train"].shape == (256, 600)
    assert dataset["x_test"].shape == (0, 600)
    wave = (dataset["x_train"][:, :300] + 1j * dataset["x_train"][:, 300:]).to_numpy().reshape(16, 16, 300)
    np.testing.assert_allclose(abs(wave), 1, atol=1e-6)
    np.testing.assert_allclose(wave[0, 0], 1, atol=1e-6)
    # Below 8 cycles per image the phase between neighbours tells the frequency.
    frequencies = np.stack([np.angle(wave[1, 0]), np.angle(wave[0, 1])], axis=1) * 16 / (2 * np.pi)
    assert abs(frequencies.std() - 2) < 0.2
    assert abs(frequencies.mean()) < 0.3
    expected = np.exp(2j * np.pi * (frequencies @ [5 / 16, 11 / 16]))
    np.testing.assert_allclose(wave[5, 11], expected, atol=1e-4)
    other = photograph.build(size=16, fourier_scale=2.0, fourier_features=300, seed=2)
    assert not other["x_train"].equals(dataset["x_train"])


# --- local folders ---------------------------------------------------------------------------------------------------


def test_idx_files_may_be_gzipped_or_plain(tmp_path):
    packed = mnist.build(path=str(write(tmp_path / "packed", gzipped(MNIST_FILES))))
    plain = {name.removesuffix(".gz"): content for name, content in MNIST_FILES.items()}
    mixed = plain | {TRAIN_IMAGES: gzipped(MNIST_FILES)[TRAIN_IMAGES]}
    del mixed[TRAIN_IMAGES.removesuffix(".gz")]
    for name, contents in (("plain", plain), ("unpacked_under_gz_name", MNIST_FILES), ("mixed", mixed)):
        dataset = mnist.build(path=str(write(tmp_path / name, contents)))
        xr.testing.assert_equal(dataset, packed)
        assert set(json.loads(dataset.attrs["sha256"])) == set(contents)


def test_cifar10_may_be_the_archive_or_its_batches(tmp_path):
    folder = write(tmp_path / "direct", CIFAR_FILES)
    dataset = cifar10.build(path=str(folder))
    assert dataset["x_train"].shape == (110, 3, 32, 32)
    assert dataset["x_test"].shape == (25, 3, 32, 32)
    np.testing.assert_array_equal(dataset["y_test"].argmax("output"), CIFAR[5][1])
    train = np.concatenate([part for part, _ in CIFAR[:5]]) / 255
    centred = train - train.mean(0)
    np.testing.assert_allclose(dataset["x_train"], centred / centred.std(), atol=1e-5)

    write(tmp_path / "nested" / files.CIFAR10_FOLDER, CIFAR_FILES)
    shuffled = dict(reversed(CIFAR_FILES.items())) | {"readme.html": b"text"}
    write(tmp_path / "archive", {files.CIFAR10_ARCHIVE: gzip.compress(tar_bytes(shuffled))})
    for name in ("nested", "archive"):
        xr.testing.assert_equal(cifar10.build(path=str(tmp_path / name)), dataset)
    assert [path.name for path in (tmp_path / "archive").iterdir()] == [files.CIFAR10_ARCHIVE]  # nothing extracted


def test_a_folder_that_lacks_a_file_is_one_line(tmp_path):
    folder = write(tmp_path, MNIST_FILES)
    (folder / TEST_LABELS).unlink()
    with pytest.raises(UserError, match=rf"path: {folder} lacks {TEST_LABELS}; ") as error:
        mnist.build(path=str(folder))
    one_line(error)
    with pytest.raises(UserError, match=rf"lacks {files.CIFAR10_ARCHIVE} or data_batch_1.bin, ") as error:
        cifar10.build(path=str(folder))
    one_line(error)


PACKED = gzipped(MNIST_FILES)
BROKEN_IDX = {
    "gzip truncated": (TRAIN_IMAGES, PACKED[TRAIN_IMAGES][:-20], "truncated"),
    "gzip truncated in its header": (TRAIN_IMAGES, PACKED[TRAIN_IMAGES][:5], "truncated"),
    "gzip check sum": (TRAIN_IMAGES, corrupt(PACKED[TRAIN_IMAGES]), "corrupt"),
    "gzip stream": (TRAIN_IMAGES, PACKED[TRAIN_IMAGES][:10] + b"\xff" * 200, "corrupt"),
    "gzip trailed by something else": (TRAIN_IMAGES, PACKED[TRAIN_IMAGES] + b"more", "corrupt"),
    "empty": (TEST_LABELS, b"", "no IDX file"),
    "web page": (TEST_LABELS, b"<html>404</html>", "no IDX file"),
    "labels for images": (TEST_IMAGES, MNIST_FILES[TEST_LABELS], "holds 1-dimensional values"),
    "images for labels": (TEST_LABELS, MNIST_FILES[TEST_IMAGES], "holds 3-dimensional values"),
    "floats": (TRAIN_LABELS, bytes([0, 0, 13, 1, 0, 0, 0, 0]), "no IDX file"),
    "header truncated": (TRAIN_IMAGES, MNIST_FILES[TRAIN_IMAGES][:9], "ends within its header"),
    "values truncated": (TRAIN_IMAGES, MNIST_FILES[TRAIN_IMAGES][:-1], "its header announces 2160"),
    "values too many": (TRAIN_IMAGES, MNIST_FILES[TRAIN_IMAGES] + b"\0", "its header announces 2160"),
    "no images": (TRAIN_IMAGES, idx_bytes(np.zeros((0, 6, 6), np.uint8)), "holds no values"),
    "fewer labels": (TRAIN_LABELS, idx_bytes(MNIST_TRAIN[1][:-1]), "59 labels for 60 images"),
    "label 10": (TRAIN_LABELS, idx_bytes(MNIST_TRAIN[1] + np.uint8(1)), "label 10"),
    "other size": (TEST_IMAGES, idx_bytes(random_part(30, (5, 6))[0]), "5 x 6 and 6 x 6"),
}


@pytest.mark.parametrize("case", BROKEN_IDX)
def test_broken_idx_files_are_one_line(case, tmp_path):
    name, content, reason = BROKEN_IDX[case]
    folder = write(tmp_path, gzipped(MNIST_FILES) | {name: content})
    with pytest.raises(UserError, match=reason) as error:
        mnist.build(path=str(folder))
    assert name in one_line(error)


@settings(deadline=None, max_examples=150)
@given(start=st.integers(0, len(PACKED[TEST_LABELS])), replacement=st.binary(max_size=40))
def test_no_damage_raises_anything_but_a_user_error(tmp_path_factory, start, replacement):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    packed = PACKED[TEST_LABELS]
    damaged = packed[:start] + replacement + packed[start + len(replacement) :]
    path = write(folder, {TEST_LABELS: damaged}) / TEST_LABELS
    with contextlib.suppress(UserError):
        np.testing.assert_array_equal(idx.read(path, dimensions=1), MNIST_TEST[1])


TAR = tar_bytes(CIFAR_FILES)
BROKEN_CIFAR = {
    "gzip truncated": (files.CIFAR10_ARCHIVE, gzip.compress(TAR, 1)[:-30], "truncated"),
    "gzip check sum": (files.CIFAR10_ARCHIVE, corrupt(gzip.compress(TAR, 1)), "corrupt"),
    "tar truncated": (files.CIFAR10_ARCHIVE, TAR[:200_000], "no tar archive"),
    "no tar": (files.CIFAR10_ARCHIVE, b"<html>404</html>", "no tar archive"),
    "empty": (files.CIFAR10_ARCHIVE, b"", "no tar archive"),
    "other tar": (files.CIFAR10_ARCHIVE, tar_bytes({"batches.meta.txt": b"airplane"}), "holds no .*data_batch_1.bin"),
    "batch truncated in tar": (
        files.CIFAR10_ARCHIVE,
        tar_bytes(CIFAR_FILES | {"test_batch.bin": CIFAR_FILES["test_batch.bin"][:-1]}),
        "test_batch.bin in it has 76824 bytes",
    ),
    "batch truncated": ("data_batch_3.bin", CIFAR_FILES["data_batch_3.bin"][:-1], "not a multiple of 3073"),
    "batch empty": ("data_batch_3.bin", b"", "0 bytes"),
    "label 10": ("test_batch.bin", b"\x0a" + CIFAR_FILES["test_batch.bin"][1:], "label 10"),
}


@pytest.mark.parametrize("case", BROKEN_CIFAR)
def test_broken_cifar10_files_are_one_line(case, tmp_path):
    name, content, reason = BROKEN_CIFAR[case]
    folder = write(tmp_path, CIFAR_FILES | {name: content})
    with pytest.raises(UserError, match=reason) as error:
        cifar10.build(path=str(folder))
    assert name in one_line(error)


# --- where files come from --------------------------------------------------------------------------------------------


def plain(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removesuffix(".gz"): content for name, content in contents.items()}


@pytest.mark.parametrize("build", [mnist.build, fashion_mnist.build])
@pytest.mark.parametrize("packing", [gzipped, plain, dict], ids=["packed", "plain", "plain under the packed name"])
def test_other_data_under_the_names_of_the_originals_are_of_unknown_origin(build, packing, tmp_path):
    contents = packing(MNIST_FILES)
    attrs = build(path=str(write(tmp_path, contents))).attrs
    assert attrs["source"] == "local files of unknown origin"
    assert "license" not in attrs
    assert json.loads(attrs["sha256"]) == sha256_of(contents)
    if packing is gzipped:
        assert json.loads(attrs["sha256_unpacked"]) == sha256_of(MNIST_FILES)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_originals_are_known_however_they_are_packed(tmp_path):
    """Debian packs them anew: the content tells."""
    debian = {name: (DEBIAN / name).read_bytes() for name in IDX_NAMES}
    assert all(sha256_of(debian)[name] != files.SHA256["fashion_mnist"][name] for name in debian)
    unpacked = {name: gzip.decompress(content) for name, content in debian.items()}
    assert sha256_of(unpacked) == files.UNPACKED_SHA256["fashion_mnist"]
    folders = [DEBIAN, write(tmp_path / "plain", plain(unpacked)), write(tmp_path / "mixed", debian | unpacked)]
    for folder in folders:
        attrs = files.origin("fashion_mnist", files.in_folder("fashion_mnist", folder), "the authors", "MIT")
        assert (attrs["source"], attrs["license"]) == ("the authors", "MIT")
        assert "sha256_unpacked" in attrs or folder != DEBIAN
    # One of the four is enough to make it another data set, and so is the right file under another name.
    for name, content in {TEST_LABELS: bytes(8), TRAIN_LABELS: debian[TEST_LABELS]}.items():
        paths = files.in_folder("fashion_mnist", write(tmp_path / name, debian | {name: content}))
        assert files.origin("fashion_mnist", paths, "the authors", "MIT")["source"] == files.UNKNOWN
    assert files.origin("mnist", files.in_folder("mnist", DEBIAN), "the authors", "MIT")["source"] == files.UNKNOWN


def test_of_cifar10_the_archive_is_known_and_nothing_else(tmp_path, monkeypatch):
    archive, packed_anew = (gzip.compress(tar_bytes(CIFAR_FILES), level) for level in (9, 1))
    monkeypatch.setitem(files.SHA256["cifar10"], files.CIFAR10_ARCHIVE, hashlib.sha256(archive).hexdigest())
    whole, packed_anew = (
        write(tmp_path / "a", {files.CIFAR10_ARCHIVE: archive}),
        gzip.compress(tar_bytes(CIFAR_FILES), 1),
    )
    attrs = cifar10.build(path=str(whole)).attrs
    assert attrs["license"]
    assert "Krizhevsky" in attrs["source"]
    for contents in (CIFAR_FILES, {files.CIFAR10_ARCHIVE: packed_anew}):
        attrs = cifar10.build(path=str(write(tmp_path / str(len(contents)), contents))).attrs
        assert attrs["source"] == files.UNKNOWN
        assert "license" not in attrs


# --- downloads -------------------------------------------------------------------------------------------------------


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for; announces whole files, also where it sends half of them."""

    def do_GET(self):
        self.server.requests.append(self.path.rsplit("/", 1)[-1])
        path = Path(self.directory) / self.server.requests[-1]
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.server.cuts else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path):
    """serve(files, cuts=False) -> (base address, list of the files asked for)."""
    servers = []

    def start(contents: dict[str, bytes], cuts: bool = False):
        folder = write(tmp_path / f"mirror_{len(servers)}", contents)
        handler = functools.partial(Mirror, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.requests, server.cuts = [], cuts
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", server.requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def dead_mirror():
    """An address on which nobody listens."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Mirror)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}/"


def sha256_of(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_downloads_come_once_and_can_be_read(serve, cache):
    mirror, requests = serve(PACKED)
    paths = files.fetch(sha256_of(PACKED), [mirror], cache)
    assert {name: path.read_bytes() for name, path in paths.items()} == PACKED
    np.testing.assert_array_equal(idx.read_parts(paths)[0][0][:, 0], MNIST_TRAIN[0])
    assert sorted(requests) == sorted(PACKED)
    assert files.fetch(sha256_of(PACKED), [mirror], cache) == paths
    assert files.fetch(sha256_of(PACKED), [], cache) == paths
    assert len(requests) == len(PACKED)


def test_a_cached_file_gone_bad_is_downloaded_again(serve, cache):
    mirror, requests = serve(PACKED)
    paths = files.fetch(sha256_of(PACKED), [mirror], cache)
    paths[TEST_LABELS].write_bytes(PACKED[TEST_LABELS][:-1])
    files.fetch(sha256_of(PACKED), [mirror.rstrip("/")], cache)
    assert paths[TEST_LABELS].read_bytes() == PACKED[TEST_LABELS]
    assert requests.count(TEST_LABELS) == 2
    assert len(requests) == len(PACKED) + 1


@pytest.mark.parametrize("first", ["down", "missing", "cut", "wrong"])
def test_the_next_mirror_steps_in(first, serve, dead_mirror, cache):
    bad = {
        "down": lambda: dead_mirror,
        "missing": lambda: serve({})[0],
        "cut": lambda: serve(PACKED, cuts=True)[0],
        "wrong": lambda: serve(PACKED | {TRAIN_LABELS: b"other"})[0],
    }[first]()
    good, _ = serve(PACKED)
    paths = files.fetch(sha256_of(PACKED), [bad, good], cache)
    assert {name: path.read_bytes() for name, path in paths.items()} == PACKED
    assert sorted(path.name for path in cache.iterdir()) == sorted(PACKED)


def test_mirrors_may_complete_each_other(serve, cache):
    one, _ = serve({name: PACKED[name] for name in (TRAIN_IMAGES, TEST_LABELS)})
    other, _ = serve({name: PACKED[name] for name in (TRAIN_LABELS, TEST_IMAGES)})
    assert len(files.fetch(sha256_of(PACKED), [one, other], cache)) == 4


def test_when_all_mirrors_fail_one_line_says_why_and_nothing_is_kept(serve, dead_mirror, cache):
    missing, cut, wrong = serve({})[0], serve(PACKED, cuts=True)[0], serve(dict.fromkeys(PACKED, b"other"))[0]
    with pytest.raises(UserError, match=f"cannot download {TRAIN_IMAGES}") as error:
        files.fetch(sha256_of(PACKED), [dead_mirror, missing, cut, wrong, "ftp://nowhere/"], cache)
    message = one_line(error)
    assert f"{dead_mirror}: ConnectionError" in message
    assert f"{missing}: HTTP status 404" in message
    assert f"{cut}: " in message
    assert f"{wrong}: wrong SHA-256" in message
    assert "ftp://nowhere/: no http(s) address" in message
    assert f"set path to a folder that holds {TRAIN_IMAGES}, " in message
    assert list(cache.iterdir()) == []


def test_without_mirrors_and_with_an_impossible_cache_one_line_says_so(cache):
    with pytest.raises(UserError, match=r"mirrors is empty") as error:
        files.fetch(sha256_of(PACKED), [], cache)
    one_line(error)
    (cache / "file").write_text("no folder")
    with pytest.raises(UserError, match=r"set FPKIT_CACHE to another folder") as error:
        files.fetch(sha256_of(PACKED), [], cache / "file" / "mnist")
    one_line(error)


@pytest.mark.parametrize(("build", "name"), [(mnist.build, TRAIN_IMAGES), (cifar10.build, files.CIFAR10_ARCHIVE)])
def test_building_checks_the_true_hashes(build, name, serve, cache):
    mirror, requests = serve(PACKED | {files.CIFAR10_ARCHIVE: gzip.compress(TAR, 1)})
    with pytest.raises(UserError, match=f"cannot download {name} .*wrong SHA-256") as error:
        build(mirrors=[mirror])
    one_line(error)
    assert requests == [name]
    assert not [path for path in cache.rglob("*") if path.is_file()]


# --- is_present ------------------------------------------------------------------------------------------------------


def test_is_present_in_folders_and_always_without_files(tmp_path):
    assert files.is_present("sines", None)
    for kind in ("digits", "parity", "photograph", "mine:cifar10", "my.package:cats"):
        assert files.is_present(kind, None)
        assert files.is_present(kind, str(tmp_path / "nowhere"))
    assert files.is_present("mnist", str(write(tmp_path / "packed", PACKED)))
    assert not files.is_present("mnist", str(tmp_path / "nowhere"))
    assert not files.is_present("mnist", None)
    assert files.is_present("cifar10", str(write(tmp_path / "batches", CIFAR_FILES)))
    (tmp_path / "batches" / "test_batch.bin").unlink()
    assert not files.is_present("cifar10", str(tmp_path / "batches"))
    assert files.is_present("fashion_mnist", None) == all((DEBIAN / name).is_file() for name in IDX_NAMES)


def test_is_present_in_the_cache_only_with_the_right_hash(cache, monkeypatch):
    monkeypatch.setitem(files.SHA256, "mnist", sha256_of(PACKED))  # the true files are not on this machine
    write(cache / "mnist", PACKED)
    assert files.is_present("mnist", None)
    assert mnist.build(mirrors=[]).sizes["sample_train"] == 60
    (cache / "mnist" / TEST_LABELS).write_bytes(b"other")
    assert not files.is_present("mnist", None)


def test_files_imports_the_standard_library_alone():
    code = "import sys, fpkit.datasets.files; print(*{'numpy', 'xarray', 'pooch', 'requests'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


# --- the real thing --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"Debian's dataset-fashion-mnist is not installed ({DEBIAN})")
def test_debian_fashion_mnist():
    dataset = fashion_mnist.build(limit=200, test_limit=100, pool=2)
    assert dataset["x_train"].shape == (200, 1, 14, 14)
    assert (dataset["y_train"].sum("sample_train") == 20).all()
    assert (dataset["y_test"].sum("sample_test") == 10).all()
    assert abs(float(dataset["x_train"].std()) - 1) < 1e-5
    # Images of a class resemble each other, so the nearest training image is often of the right class.
    train, test = (dataset[f"x_{part}"].to_numpy().reshape(-1, 14 * 14) for part in ("train", "test"))
    nearest = ((test[:, None] - train[None]) ** 2).sum(-1).argmin(1)
    right = dataset["y_train"].argmax("output").to_numpy()[nearest] == dataset["y_test"].argmax("output").to_numpy()
    assert right.mean() > 0.4  # 0.1 by chance
