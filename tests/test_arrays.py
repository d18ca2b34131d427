"""Data sets out of a file of the user's: each format, and what goes wrong with it."""

import numpy as np
import pytest
import xarray as xr

from fpkit import config
from fpkit.config.datasets import Arrays
from fpkit.datasets import arrays, contract, inputs
from fpkit.errors import UserError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((20, 3)) * [1, 5, 100] + 2, RNG.standard_normal((20, 2))
LABELS = RNG.integers(0, 4, 20)


def built(path, **keys) -> xr.Dataset:
    """By its entry, as the workflow does."""
    entry = config.plain(Arrays(kind="arrays", path=str(path), **keys))
    del entry["kind"]
    return contract.checked(arrays.build(**entry))


def written(tmp_path, ending: str):
    """X and Y in a file of this format, and what the entry says of it."""
    path = tmp_path / f"data{ending}"
    if ending == ".npz":
        np.savez(path, x=X, y=Y)
    elif ending == ".nc":
        xr.Dataset({"x": (("n", "f"), X), "y": (("n", "o"), Y)}).to_netcdf(path)
    elif ending == ".npy":
        np.save(path, X)
        np.save(tmp_path / "targets.npy", Y)
        return path, {"targets": str(tmp_path / "targets.npy")}
    else:
        lines = [", ".join(map(str, [*x, *y])) for x, y in zip(X.tolist(), Y.tolist(), strict=True)]
        path.write_text("\n".join(["width, height, weight, price, age", *lines]))
        return path, {"targets": ["price", "age"]}
    return path, {}


@pytest.mark.parametrize("ending", [".npz", ".nc", ".npy", ".csv"])
def test_every_format_gives_the_same_numbers(tmp_path, ending):
    path, keys = written(tmp_path, ending)
    dataset = built(path, **keys)
    np.testing.assert_allclose(dataset["x_train"], (X - X.mean(axis=0)) / X.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(dataset["y_train"], Y, rtol=1e-6)
    assert dataset.sizes["sample_test"] == 0
    np.testing.assert_allclose(built(path, scale="none", **keys)["x_train"], X, rtol=1e-6)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(built(path, scale="all", **keys)["x_train"], centred / centred.std(), atol=1e-6)


def test_parts_by_name_and_a_part_set_aside(tmp_path):
    images = RNG.random((10, 4, 4))
    np.savez(tmp_path / "a.npz", x_train=images, y_train=LABELS[:10], x_test=images[:3], y_test=LABELS[:3])
    dataset = built(tmp_path / "a.npz", labels=True)
    assert dataset["x_train"].dims == ("sample_train", "feature_0", "feature_1")
    assert dataset.sizes["sample_test"] == 3
    np.testing.assert_array_equal(dataset["y_train"].argmax("output"), LABELS[:10])
    np.savez(tmp_path / "b.npz", x=X, y=LABELS)
    one, other = (built(tmp_path / "b.npz", test_fraction=0.25, seed=seed) for seed in (0, 1))
    assert (one.sizes["sample_train"], one.sizes["sample_test"]) == (15, 5)
    assert sorted([*one["y_train"][:, 0].to_numpy(), *one["y_test"][:, 0].to_numpy()]) == sorted(LABELS)
    assert not np.array_equal(one["y_test"], other["y_test"])


def test_a_line_a_picture_and_sign_vectors_are_known_by_their_values(tmp_path):
    position = np.linspace(2, 3, 20, endpoint=False)
    np.savez(tmp_path / "line.npz", x=position, y=np.sin(position))
    np.testing.assert_allclose(built(tmp_path / "line.npz")["position_train"], position, rtol=1e-6)
    pixels = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1).reshape(-1, 2)
    np.savez(tmp_path / "pixels.npz", x=pixels, y=pixels[:, 0])
    picture = built(tmp_path / "pixels.npz")
    assert picture.attrs["size"] == 8
    np.testing.assert_array_equal(picture["row_train"], pixels[:, 0])
    signs = 1 - 2 * (np.arange(16)[:, None] >> np.arange(4) & 1)
    np.savez(tmp_path / "signs.npz", x=signs, y=signs.prod(axis=1))
    whole = built(tmp_path / "signs.npz", test_fraction=0.5)
    assert sorted([*whole["index_train"].to_numpy(), *whole["index_test"].to_numpy()]) == list(range(16))


def test_what_it_reads_is_compared_by_content(tmp_path):
    path, keys = written(tmp_path, ".npy")
    entry = Arrays(kind="arrays", path=str(path), **keys)
    (before,) = inputs.compared({"mine": entry}, tmp_path / "kept").values()
    assert [one.rpartition("@")[0] for one in before] == [str(path), keys["targets"]]
    np.save(keys["targets"], Y + 1)
    (after,) = inputs.compared({"mine": entry}, tmp_path / "kept").values()
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("content", "keys", "told"),
    [
        (None, {}, r"path: .*data\.npz is not there; put it there"),
        ({"a": X}, {}, r"path: .* has no array x or x_train; there are a"),
        ({"x": X}, {}, r"path: .* has no array y or y_train; there are x"),
        ({"x": X, "y": Y[:3]}, {}, r"path: the train part has 20 inputs, and targets of shape \(3, 2\)"),
        ({"x": X * np.nan, "y": Y}, {}, "path: x of the train part holds NaN or infinity"),
        ({"x": X.astype(str), "y": Y}, {}, "path: x of the train part is no array of numbers"),
        ({"x": X, "y": Y}, {"labels": True}, "labels: y of the train part holds no classes 0, 1, 2"),
        ({"x": X[:1], "y": Y[:1]}, {"test_fraction": 0.5}, "test_fraction: 0.5 of 1 samples leaves none to train on"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
            {"test_fraction": 0.5},
            "test_fraction: .* has a test part of its own",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, content, keys, told):
    path = tmp_path / "data.npz"
    if content is not None:
        np.savez(path, **content)
    with pytest.raises(UserError, match=told) as error:
        built(path, **keys)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "keys", "told"),
    [
        ("a.txt", b"1", {}, r"path: .*a\.txt is none of \.npz, \.npy, \.nc, \.csv; save it as one"),
        ("a.npz", b"no zip", {}, r"path: .*a\.npz cannot be read"),
        ("a.npy", b"nothing", {}, r"targets: .*a\.npy holds inputs alone; name the \.npy file of their targets"),
        ("a.npy", b"nothing", {"targets": "b.npy"}, r"path: .*a\.npy cannot be read"),
        ("a.csv", b"", {}, r"path: .*a\.csv cannot be read"),
        ("a.csv", b"a,b\n1,2\n", {"targets": ["c"]}, r"targets: .*a\.csv has no column 'c'; there are a, b"),
        ("a.csv", b"a,b\n1,2\n", {"targets": ["a", "b"]}, r"targets: all columns of .*a\.csv are targets"),
        ("a.csv", b"a,b\nx,2\n", {}, "path: x of the train part is no array of numbers"),
        ("a.nc", b"nothing", {}, r"a\.nc"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path, name, content, keys, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as error:
        built(tmp_path / name, **keys)
    assert "\n" not in str(error.value)
