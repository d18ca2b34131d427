"""Files between jobs, cut short, altered or gone: noticed, told in one line with the remedy, and made again."""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import Project

from benchmarks import pipeline
from fpkit.claims import verdicts
from fpkit.datasets import sines
from fpkit.errors import UserError
from fpkit.store import checkpoint, netcdf
from fpkit.store.predictions import Writer, open_predictions, reading


def damages(content: bytes, seed: int, flips: int):
    """The content cut at a few places, and with single bits flipped."""
    draw = random.Random(seed)
    yield from ((f"cut at {at}", content[:at]) for at in (0, 1, len(content) // 2, len(content) - 1))
    for _ in range(flips):
        at, bit = draw.randrange(len(content)), draw.randrange(8)
        yield f"bit {bit} of byte {at}", content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def same(one: xr.Dataset, other: xr.Dataset) -> bool:
    return one.identical(other) and all(
        one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes() for name in other.variables
    )


def attempt(read) -> tuple[xr.Dataset | None, str]:
    """What was read, or what was said instead."""
    try:
        return read(), ""
    except UserError as error:
        return None, str(error)


def read_store(store: Path) -> xr.Dataset:
    with reading(store):
        return open_predictions(store).load()


def one_line(error: pytest.ExceptionInfo, path: Path) -> str:
    """The message, which names the path, and what it says to delete."""
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return re.search(r"; delete (\S+), the next run makes it anew$", said)[1]


# --- one file -------------------------------------------------------------------------------------------------------


def test_netcdf_with_any_bit_flipped_or_cut_short_is_never_read(tmp_path):
    dataset, path = sines.build([1, 2, 3], samples=32, test_samples=16), tmp_path / "sines.nc"
    netcdf.save(dataset, path)
    whole, content = netcdf.load_dataset(path), path.read_bytes()
    assert same(whole, xr.load_dataset(path, engine="netcdf4")), "others read it too"
    for what, broken in damages(content, seed=1, flips=300):
        path.write_bytes(broken)
        found, said = attempt(lambda: netcdf.load_dataset(path))
        if found:
            assert same(found, whole), what  # it was the checksum's own mark that was hit
        else:
            assert re.fullmatch(rf"{path}: damaged \([^\n]+\); delete it, the next run makes it anew", said), what


def test_netcdf_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.nc"
    netcdf.save(sines.build([1], samples=8, test_samples=0), path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="infer dtype"):
        netcdf.save(xr.Dataset({"a": ((), object())}), path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A store of two shards."""
    path, values = tmp_path_factory.mktemp("run") / "predictions.zarr", np.random.default_rng(0)
    writer = Writer(path, [1000, 1001], 3, 2, ["loss_train"])
    for step in range(70):
        prediction = values.standard_normal((2, 3, 2)).astype(np.float32)
        writer.append(3 * step, prediction, loss_train=values.random(2).astype(np.float32))
    writer.flush()
    writer.describe(device="cpu", recipe={"training": {"steps": 207}})
    return path


def files_of(store: Path) -> list[Path]:
    return sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())


def test_store_with_any_file_altered_or_missing_is_never_read(stored, tmp_path):
    whole = open_predictions(stored).load()
    assert len(files_of(stored)) == 14
    for number, file in enumerate(files_of(stored)):
        store = Path(shutil.copytree(stored, tmp_path / f"{number}" / stored.name))
        for what, broken in [("gone", None), *damages((store / file).read_bytes(), seed=number, flips=25)]:
            (store / file).unlink(missing_ok=True)
            if broken is not None:
                (store / file).write_bytes(broken)
            found, said = attempt(lambda store=store: read_store(store))
            if not found:
                line = rf"{store}: no readable prediction store \([^\n]+\); delete {store.parent}, the next run .*"
                assert re.fullmatch(line, said), f"{file}, {what}"
                continue
            # Of the descriptions, which are text, a bit may say the same, or alter a name that nobody reads.
            assert file.name == "zarr.json", f"{file}, {what}"
            for name, variable in whole.variables.items():
                assert found[name].to_numpy().tobytes() == variable.to_numpy().tobytes(), f"{file}, {what}"
            assert found.attrs["recipe"] == whole.attrs["recipe"], f"{file}, {what}"


def test_altered_chunk_is_told_with_its_file(stored, tmp_path):
    store = Path(shutil.copytree(stored, tmp_path / stored.name))
    shard = store / "prediction/c/1/0/0/0"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"the checksum of prediction/c/1/0/0/0 does not fit") as error, reading(store):
        open_predictions(store).load()
    assert one_line(error, store) == str(tmp_path)


def test_other_errors_than_damage_are_not_taken_for_it(stored):
    with pytest.raises(KeyError, match="nothing"), reading(stored):
        open_predictions(stored)["nothing"]


def test_store_full_of_zeros_is_no_damage(tmp_path):
    """Zarr would leave out chunks that hold the fill value alone."""
    writer = Writer(tmp_path / "a.zarr", [0], 3, 1, ["loss_train"])
    writer.append(0, np.zeros((1, 3, 1), np.float32), loss_train=np.zeros(1, np.float32))
    writer.flush()
    assert not open_predictions(tmp_path / "a.zarr")["prediction"].any()


def test_checkpoint_with_any_bit_flipped_or_cut_short_falls_back(tmp_path, capsys):
    path = tmp_path / "state.npz"
    numbers = np.random.default_rng(0).standard_normal(300)
    for step in (1, 2):
        checkpoint.save(path, {"step": step, "members": [{"parameters": numbers * step}]})
    content = path.read_bytes()
    for what, broken in damages(content, seed=2, flips=200):
        path.write_bytes(broken)
        (state,) = checkpoint.load(path)
        assert state["step"] == 1, what
        assert np.array_equal(state["members"][0]["parameters"], numbers), what
    path.write_bytes(content)
    assert [state["step"] for state in checkpoint.load(path)] == [2, 1]


def test_claims_cut_anywhere_are_never_read(made, tmp_path):
    content, path = (made / "results/claims.csv").read_bytes(), tmp_path / "claims.csv"
    path.write_bytes(content)
    assert len(verdicts.read_claims(path, rows=2)) == 2
    for at in range(len(content)):
        path.write_bytes(content[:at])
        with pytest.raises(UserError, match="2 rows") as error:
            verdicts.read_claims(path, rows=2)
        assert one_line(error, path) == "it"


def test_a_notebooks_copies_of_job_times_are_no_jobs(tmp_path, monkeypatch):
    folder = tmp_path / "results/benchmarks/datasets"
    for file in (folder / "sines.tsv", folder / ".ipynb_checkpoints/sines-checkpoint.tsv"):
        file.parent.mkdir(parents=True)
        file.write_text("s\th:m:s\n1.5\t0:00:01\n")
    monkeypatch.chdir(tmp_path)
    assert [seconds for _, seconds in pipeline.job_times()["datasets"]] == [1.5]


# --- the workflow ---------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


SPECTRA = "results/spectra/short/base/fft.nc"
SHARD = "results/runs/short/base/predictions.zarr/prediction/c/0/0/0/0"
# File, what happens to it, and the job that needs it.
DAMAGES = {
    "dataset altered": ("results/datasets/sines.nc", flip, "train short/base"),
    "shard altered": (SHARD, flip, "decompose short/base/fft"),
    "shard missing": (SHARD, Path.unlink, "decompose short/base/fft"),
    "spectra cut": (SPECTRA, cut, "judge_claims"),
    "claims cut": ("results/claims.csv", cut, "figures.claims"),
}


@pytest.mark.workflow
@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_told_in_one_line_and_its_remedy_heals(case, small, made):
    file, damage, job = DAMAGES[case]
    damage(small / file)
    nothing_after(file.split("/")[1], small)
    done = small.snakemake("figures", overlays=())
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith(f"{job}: ")]
    assert len(said) == 1, done.stderr
    path, remedy = re.fullmatch(rf"{job}: (\S+): .*; delete (\S+), the next run makes it anew", said[0]).groups()
    assert file.startswith(path)
    assert "Traceback" not in done.stderr
    (broken,) = small.folder.glob(path if remedy == "it" else remedy)
    shutil.rmtree(broken) if broken.is_dir() else broken.unlink()
    small.make("figures", overlays=())
    assert small.plan(overlays=()) == set()
    assert_same_results(small, made)


def nothing_after(stage: str, project: Project) -> None:
    """Leave the results up to a stage alone, so that the rest is made again."""
    stages = ("datasets", "runs", "spectra", "claims.csv", "figures")
    for later in stages[stages.index(stage) + 1 :]:
        path = project / "results" / later
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def assert_same_results(one: Project, other: Project) -> None:
    for path in ("results/claims.csv", "results/figures/short.svg", "results/figures/claims.svg"):
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    for path in ("results/datasets/sines.nc", SPECTRA):
        assert same(netcdf.load_dataset(one / path), netcdf.load_dataset(other / path)), path
