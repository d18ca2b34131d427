"""Stores larger than the memory allowed: decomposed under it, by one process or by the workers of dask.distributed.

The stores are real ones of 640 MB, of which most files are links to the first few.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import on_linux

from fpkit import config
from fpkit.config.training import Mlp, Training
from fpkit.datasets import parity, photograph, sines
from fpkit.errors import UserError
from fpkit.measures.scheduler import scheduler
from fpkit.store import predictions
from fpkit.store.predictions import Writer, open_predictions

ROOT = Path(__file__).parents[1]
MEGABYTE = 2**20
STORE_BYTES = 640 * MEGABYTE
# A quarter of what it is, as are the stores beside those that a job has to do with.
SHARD_BYTES = predictions.SHARD_BYTES // 4
PASSAGE = {"threshold": 0.2, "hold": 0.05}


def cloud() -> xr.Dataset:
    """Inputs with a long axis, and 400 outputs that vary along it: a data set of images."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((200, 8)) * np.linspace(4, 0.5, 8)).astype(np.float32)
    y = np.sin(np.outer(x[:, 0], np.linspace(0.2, 1, 400))).astype(np.float32)
    empty = {"x_test": (("sample_test", "feature"), x[:0]), "y_test": (("sample_test", "output"), y[:0])}
    return xr.Dataset(
        {"x_train": (("sample_train", "feature"), x), "y_train": (("sample_train", "output"), y), **empty}
    )


def waves(**options) -> xr.Dataset:
    return sines.build([1, 3], samples=65_536, test_samples=0, **options)


RECIPE = {
    "model": config.plain(Mlp(kind="mlp", widths=[4])),
    "training": config.plain(Training(optimizer="sgd")),
}
# Data set, split, options and the results that have a step, of each measure.
CASES = {
    "fft": (
        waves,
        "train",
        PASSAGE | {"frequencies": None, "peak_height": 0.1},
        ["amplitude", "output_median", "relative_error"],
    ),
    "projection": (
        cloud,
        "train",
        PASSAGE | {"frequencies": [1, 2], "max_frequency": 6, "permutations": 20},
        ["amplitude", "relative_error", "control_relative_error"],
    ),
    "filtering": (cloud, "train", {"widths": [0.3]}, ["low_error", "high_error", "control_low_error"]),
    "walsh": (lambda: parity.build(dimensions=14), "all", {}, ["energy", "target_coefficient", "accuracy_train"]),
    "radial": (lambda: photograph.build(size=128), "train", PASSAGE | {"rings": 4}, ["relative_error"]),
    "ntk": (
        lambda: sines.build([1, 3], samples=1024, test_samples=0, embedding="circle"),
        "train",
        {"modes": [1, 3]},
        ["relative_residual", "relative_error"],
    ),
}


def write_store(path: Path, dataset: xr.Dataset, split: str, size: int) -> int:
    """A store of `size` bytes: shards alike, each a file; returns the steps of one."""
    parts = ("train", "test") if split == "all" else (split,)
    target = np.concatenate([dataset[f"y_{part}"].to_numpy() for part in parts])
    members = 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "SHARD_BYTES", SHARD_BYTES)
        writer = Writer(path, range(members), *target.shape, ["loss_train"])
    per_shard = zarr.open_array(path / "prediction").shards[0]
    rng = np.random.default_rng(0)
    for step in range(per_shard):
        noise = rng.standard_normal((members, *target.shape), dtype=np.float32)
        writer.append(step, (step / per_shard) * target + 0.1 * noise, loss_train=np.ones(members, np.float32))
    writer.describe(recipe=RECIPE)
    writer.flush()
    shards = -(-size // (4 * members * target.size * per_shard))
    group = zarr.open_group(path)
    for name in ("prediction", "loss_train", "step"):
        group[name].resize((shards * per_shard, *group[name].shape[1:]))
    group["loss_train"][:] = 1
    group["step"][:] = np.arange(shards * per_shard)
    for shard in range(1, shards):
        (path / f"prediction/c/{shard}/0/0").mkdir(parents=True)
        os.link(path / "prediction/c/0/0/0/0", path / f"prediction/c/{shard}/0/0/0")
    return per_shard


DECOMPOSE = """
import json, sys
from importlib import import_module
import xarray as xr
from fpkit.store import netcdf
from fpkit.store.predictions import open_predictions
from fpkit.measures.scheduler import scheduler

measure, store, dataset, output, options = sys.argv[1:6]
options = json.loads(options)
begun = netcdf.begin(output)
if measure == "fft":
    options["file"] = begun
if measure == "filtering":
    import fpkit.measures.kinds.filtering
    fpkit.measures.kinds.filtering.COLUMN_BYTES //= 16  # 24 MB: as the store is small beside what a job may take
predictions = open_predictions(store)
with scheduler(predictions, options.pop("address"), threads=1), xr.open_dataset(dataset, engine="netcdf4") as data:
    spectra = import_module(f"fpkit.measures.kinds.{measure}").decompose(predictions, data, **options)
netcdf.save(spectra, output, begun)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def decompose(folder: Path, measure: str, size: int, address: str | None = None) -> tuple[xr.Dataset, int, int]:
    """Spectra of a store of so many bytes, made by a process of its own; its peak memory in bytes, steps of a shard."""
    build, split, options, _ = CASES[measure]
    dataset = build()
    folder.mkdir()
    dataset.to_netcdf(folder / "dataset.nc", engine="netcdf4")
    per_shard = write_store(folder / "predictions.zarr", dataset, split, size)
    options = json.dumps(options | {"split": split, "address": address})
    paths = [folder / "predictions.zarr", folder / "dataset.nc", folder / "spectra.nc"]
    done = subprocess.run(
        [sys.executable, "-c", DECOMPOSE, measure, *paths, options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    spectra = xr.open_dataset(folder / "spectra.nc", engine="netcdf4")
    return spectra, 1024 * int(done.stdout.split()[-1]), per_shard


def assert_repeats(large: xr.Dataset, small: xr.Dataset, measure: str, per_shard: int) -> None:
    """Shards are alike: so are the results, and those of a store that is held in memory."""
    for name in CASES[measure][3]:
        first = small[name].transpose("step", ...).to_numpy()
        assert len(first) == per_shard
        assert np.isfinite(first[..., 0]).any() or np.isfinite(first).any()
        last = large[name].transpose("step", ...)[-per_shard:].to_numpy()
        np.testing.assert_allclose(last, first, rtol=1e-4, atol=1e-6, err_msg=name)


@on_linux
@pytest.mark.parametrize("measure", CASES)
def test_store_larger_than_the_memory_taken_gives_what_a_small_one_gives(tmp_path, measure):
    large, peak, per_shard = decompose(tmp_path / "large", measure, STORE_BYTES)
    small, _, _ = decompose(tmp_path / "small", measure, 1)
    assert_repeats(large, small, measure, per_shard)
    assert peak < STORE_BYTES, f"{peak / MEGABYTE:.0f} MB"
    large.close(), small.close()


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own making
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="500MiB", dashboard_address=None
        ) as cluster:
            yield cluster


@on_linux
@pytest.mark.xdist_group("dask")
@pytest.mark.parametrize("measure", ["fft", "projection"])
def test_workers_with_less_memory_than_the_store_decompose_it(tmp_path, cluster, measure):
    large, peak, per_shard = decompose(tmp_path / "large", measure, STORE_BYTES, cluster.scheduler_address)
    small, _, _ = decompose(tmp_path / "small", measure, 1)
    assert_repeats(large, small, measure, per_shard)
    assert peak < STORE_BYTES, f"{peak / MEGABYTE:.0f} MB"
    large.close(), small.close()


def test_address_where_no_scheduler_answers_is_told_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    write_store(tmp_path / "a.zarr", waves(), "train", 1)
    monkeypatch.setattr("fpkit.measures.scheduler.CONNECT_SECONDS", 1)
    lazy = open_predictions(tmp_path / "a.zarr").chunk(step=1)
    with (
        pytest.raises(UserError, match=r"^dask.address: no scheduler answers at tcp://127.0.0.1:9; [^\n]*$"),
        scheduler(lazy, "tcp://127.0.0.1:9", 1),
    ):
        pass


def test_small_store_asks_no_scheduler(tmp_path):
    write_store(tmp_path / "a.zarr", waves(), "train", 1)
    with scheduler(open_predictions(tmp_path / "a.zarr"), "tcp://127.0.0.1:9", 1):
        pass
