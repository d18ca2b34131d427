"""`record.content: spectrum`: the same spectra as of the predictions, which are never there as a whole."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import on_linux, run, same_records

from fpkit import config
from fpkit.config.training import Mlp, Training
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError
from fpkit.measures.kinds import projection
from fpkit.training import ensemble, trainer

ROOT = Path(__file__).parents[1]
MODEL = config.plain(Mlp(kind="mlp", widths=[12]))
PRINCIPAL = {"kind": "principal", "highest": 5}
PROJECTION = {
    "threshold": 0.2,
    "hold": 0.05,
    "frequencies": [1, 2],
    "max_frequency": 5,
    "permutations": 20,
    "nulls": ["share"],
}


def write_images(path: Path, samples: int, outputs: int) -> Path:
    """Inputs with a long axis, one of `outputs` classes along it (or, of one output, a wave), train and test parts."""
    rng = np.random.default_rng(0)
    variables = {}
    for part, count in (("train", samples), ("test", samples // 3)):
        x = (rng.standard_normal((count, 2, 3)) * [4, 1, 1]).astype(np.float32)
        along = x.sum(axis=1)[:, 0] + rng.standard_normal(count)
        y = np.sin(along)[:, None] if outputs == 1 else np.eye(outputs)[np.digitize(along, [-3, 3]) % outputs]
        variables[f"x_{part}"] = ((f"sample_{part}", "row", "column"), x)
        variables[f"y_{part}"] = ((f"sample_{part}", "output"), y.astype(np.float32))
    xr.Dataset(variables).to_netcdf(path, engine="netcdf4")
    return path


def trained(dataset: Path, folder: Path, record: dict, **training) -> xr.Dataset:
    options = {"device": "cpu", "members": 3, "steps": 60, "learning_rate": 0.01}
    training = config.plain(Training(**(options | training)))
    record = {"per_decade": 10, "split": "train"} | record
    return run(dataset, folder / "run", folder / "checkpoints", model=MODEL, training=training, record=record)


def decomposed(predictions: xr.Dataset, dataset: Path, split: str = "train", **options) -> xr.Dataset:
    with xr.open_dataset(dataset, engine="netcdf4") as data:
        return projection.decompose(predictions, data, split=split, **(PROJECTION | options))


@pytest.fixture
def few_together(monkeypatch):
    monkeypatch.setattr(ensemble, "SAMPLES_TOGETHER", 16)


@pytest.mark.parametrize(
    ("outputs", "split", "max_frequency", "training"),
    [
        (1, "train", 5, {}),
        (1, "all", 5, {"batch_size": 20, "loss": "huber"}),
        (3, "train", 80, {"batch_size": 20}),  # of so many, those of the dump are made by the fast transform
        (3, "test", 5, {"loss": "cross_entropy"}),
        (3, "all", 5, {"batch_size": 20, "loss": "cross_entropy", "threads": 2}),
    ],
)
def test_recorded_spectrum_equals_that_of_the_predictions(
    tmp_path, few_together, outputs, split, max_frequency, training
):
    dataset = write_images(tmp_path / "images.nc", 90, outputs)
    dump = trained(dataset, tmp_path / "dump", {"split": split}, **training)
    record = {"split": split, "basis": {"kind": "principal", "highest": max_frequency}}
    recorded = trained(dataset, tmp_path / "recorded", record, **training)
    assert "prediction" not in recorded
    assert recorded["coefficient"].dims == ("step", "member", "function", "output")
    one, other = (decomposed(p, dataset, split, max_frequency=max_frequency) for p in (dump, recorded))
    assert (set(one), one.sizes) == (set(other), other.sizes)
    for name in one.variables:
        assert one[name].attrs == other[name].attrs
        # Under nulls all but a shift that is alike at all frequencies: tests/test_bases.py.
        if name != "null" and not name.startswith("control_"):
            np.testing.assert_allclose(other[name], one[name].transpose(*other[name].dims), rtol=2e-4, atol=1e-5)
    h = dump["prediction"].to_numpy().astype(float)
    with xr.open_dataset(dataset, engine="netcdf4") as data:
        error = h - samples_of(data, split)[1].to_numpy()
    error -= error.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(recorded["error_norm"], np.sqrt((error**2).sum((2, 3))), rtol=1e-4)
    overlap = (error * error[0]).sum((2, 3))
    np.testing.assert_allclose(recorded["error_overlap"], overlap, rtol=1e-4, atol=1e-4 * overlap[0].max())
    assert one["relative_error"].max() > 1.1 * one["relative_error"].min()


def test_diverged_member_is_left_out_as_it_is_of_predictions(tmp_path, few_together):
    dataset = write_images(tmp_path / "images.nc", 60, 3)
    recorded = trained(dataset, tmp_path / "recorded", {"basis": PRINCIPAL}).load()
    healthy = decomposed(recorded, dataset)
    recorded["loss_train"][-1, 1] = np.nan
    sick = decomposed(recorded, dataset)
    assert sick["diverged"].to_numpy().tolist() == [False, True, False]
    for name in ("relative_error", "amplitude", "control_relative_error", "area"):
        assert sick[name].isel(member=1).isnull().all()
        xr.testing.assert_equal(sick[name].isel(member=[0, 2]), healthy[name].isel(member=[0, 2]))


class Interruption(Exception):
    """Stands for whatever ends a process."""


def test_interrupted_and_resumed_gives_the_same_bits(tmp_path, few_together, monkeypatch, capsys):
    dataset = write_images(tmp_path / "images.nc", 60, 3)
    options = {"batch_size": 20, "steps": 300}
    whole = trained(dataset, tmp_path / "whole", {"basis": PRINCIPAL}, **options).load()
    now = iter(range(1, 10**9))
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", 1)
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(now) / 4))
    monkeypatch.setattr("fpkit.training.run.train", interrupted(trainer.train, at=120))
    with pytest.raises(Interruption):
        trained(dataset, tmp_path / "again", {"basis": PRINCIPAL}, **options)
    monkeypatch.setattr("fpkit.training.run.train", trainer.train)
    again = trained(dataset, tmp_path / "again", {"basis": PRINCIPAL}, **options).load()
    assert "continuing from step" in capsys.readouterr().out
    same_records(whole, again)


def interrupted(train, at: int):
    def progress(step, loss):
        if step >= at:
            raise Interruption

    return lambda *arguments, **options: train(*arguments, **(options | {"progress": progress}))


def test_paces_of_recorded_coefficients_are_refused(tmp_path):
    dataset = write_images(tmp_path / "images.nc", 30, 1)
    recorded = trained(dataset, tmp_path / "recorded", {"basis": PRINCIPAL}, steps=1)
    with pytest.raises(UserError, match=r"^decomposition\.projection\.nulls: paces needs predictions.*leave it out"):
        decomposed(recorded, dataset, nulls=["share", "paces"])


def test_frequencies_beyond_those_recorded_are_told(tmp_path):
    dataset = write_images(tmp_path / "images.nc", 30, 1)
    recorded = trained(dataset, tmp_path / "recorded", {"basis": PRINCIPAL}, steps=1)
    with pytest.raises(
        UserError, match=r"^projection: coefficients of .*5.* were recorded, not of .*9.*; train again$"
    ):
        decomposed(recorded, dataset, max_frequency=9)


TRAIN = """
import json, sys
from fpkit.training.run import run

dataset, folder, recipe = sys.argv[1:]
run(dataset, folder + "/run", folder + "/checkpoints", **json.loads(recipe))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@on_linux
def test_predictions_are_never_held_as_a_whole(tmp_path):
    samples, outputs, members = 50_000, 400, 16
    one_record = 4 * samples * outputs * members
    dataset = write_images(tmp_path / "images.nc", samples, outputs)
    training = {"device": "cpu", "members": members, "steps": 2, "batch_size": 32}
    recipe = {
        "model": MODEL,
        "training": config.plain(Training(**training)),
        "record": {"per_decade": 10, "split": "train", "basis": PRINCIPAL},
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, dataset, tmp_path, json.dumps(recipe)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shape = zarr.open_array(tmp_path / "run/predictions.zarr/coefficient", mode="r").shape
    assert shape == (3, members, 10, outputs)
    peak = 1024 * int(done.stdout.split()[-1])
    assert peak < one_record, f"{peak / 2**20:.0f} of {one_record / 2**20:.0f} MB"
