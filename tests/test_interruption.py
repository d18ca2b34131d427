"""Interrupted work is never lost and never trusted: killed, resumed, and the same bits in the end."""

import itertools
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import run, same_records
from matplotlib.text import Text

from fpkit.claims.verdicts import judge
from fpkit.datasets import sines
from fpkit.errors import UserError
from fpkit.figures import style
from fpkit.figures.kinds import synthetic
from fpkit.measures.kinds import fft
from fpkit.store import checkpoint, netcdf
from fpkit.store.predictions import Writer, open_predictions, reading
from fpkit.training import trainer
from fpkit.training.compiled import library
from fpkit.training.compiled.ensemble import CompiledEnsemble
from fpkit.training.run import STORE

MODEL = {"activation": "tanh", "initialization": "scaled", "kind": "mlp", "std": 0.1, "widths": [16, 16]}
TRAINING = {
    "batch_size": 10, "device": "cpu", "learning_rate": 0.003, "loss": "mse", "members": 3,
    "momentum": 0.0, "nesterov": False,
    "optimizer": "adam", "seed_offset": 1000, "steps": 400, "threads": 1,
}  # fmt: skip
RECORD = {"per_decade": 20, "split": "train"}
FFT = {"frequencies": None, "hold": 0.05, "peak_height": 0.1, "threshold": 0.95}  # after a few hundred steps


# --- the library: an exception at any point -------------------------------------------------------------------------


class Interruption(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def dataset(tmp_path) -> Path:
    path = tmp_path / "sines.nc"
    sines.build([1, 2, 3], samples=32, test_samples=16).to_netcdf(path, engine="netcdf4")
    return path


@pytest.fixture
def fast_clock(monkeypatch):
    """Checkpoints come every few records, however fast the machine."""
    now = iter(range(1, 10**9))
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", 1)
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(now) / 4))


def train(dataset: Path, folder: Path, training=TRAINING, record=RECORD, **options) -> xr.Dataset:
    return run(
        dataset, folder / "run", folder / "checkpoints", model=MODEL, training=training, record=record, **options
    ).load()


def interrupt_at(step: int):
    def progress(now, loss):
        if now >= step:
            raise Interruption

    return progress


def work_in_progress(folder: Path) -> Path:
    (work,) = (path for path in (folder / "checkpoints").iterdir() if path.is_dir())
    return work


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2] if how == "half" else b"")


def continued_from(said: str) -> list[int]:
    return [int(step) for step in re.findall(r"continuing from step (\d+)", said)]


@pytest.fixture
def uninterrupted(dataset, tmp_path) -> xr.Dataset:
    return train(dataset, tmp_path / "uninterrupted")


def test_interrupted_often_and_resumed_gives_the_same_bits(dataset, tmp_path, uninterrupted, fast_clock, capsys):
    for step in (0, 10, 100, 110, 200, 300, 400):
        with pytest.raises(Interruption):
            train(dataset, tmp_path / "again", progress=interrupt_at(step))
        assert not (tmp_path / "again/run").exists(), "nothing is published before the end"
    resumed = train(dataset, tmp_path / "again")
    starts = continued_from(capsys.readouterr().out)
    assert len(set(starts)) > 3, "checkpoints were written on the way"
    assert starts == sorted(starts), "no work was lost"
    same_records(resumed, uninterrupted)


def test_an_exception_while_saving_keeps_the_last_checkpoint(
    dataset, tmp_path, uninterrupted, fast_clock, monkeypatch, capsys
):
    """The store is ahead of the checkpoint then: its surplus is dropped."""
    saves = []

    def save(path, state):
        saves.append(state["step"])
        if len(saves) == 3:
            path.with_suffix(".partial").write_bytes(b"half a checkpo")
            raise Interruption
        checkpoint_save(path, state)

    checkpoint_save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again")
    resumed = train(dataset, tmp_path / "again")
    assert continued_from(capsys.readouterr().out) == saves[1:2]
    same_records(resumed, uninterrupted)


def test_a_store_cut_short_while_writing_is_mended(dataset, tmp_path, uninterrupted, fast_clock):
    """Some of its arrays are longer than `step` then."""
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    store = zarr.open_group(work_in_progress(tmp_path / "again") / STORE, mode="r+")
    for name in ("prediction", "loss_train"):
        store[name].resize((store[name].shape[0] + 5, *store[name].shape[1:]))
        store[name][-5:] = 7
    same_records(train(dataset, tmp_path / "again"), uninterrupted)


@pytest.mark.parametrize("broken", [f"{STORE}/step/zarr.json", f"{STORE}/zarr.json"])
@pytest.mark.parametrize("how", ["empty", "half"])
def test_a_half_written_store_starts_the_training_again(
    broken, how, dataset, tmp_path, uninterrupted, fast_clock, capsys
):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    damage(work_in_progress(tmp_path / "again") / broken, how)
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    assert continued_from(capsys.readouterr().out) == []


def test_foreign_folders_beside_the_arrays_do_not_begin_the_training_again(
    dataset, tmp_path, uninterrupted, fast_clock, capsys
):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    left = work_in_progress(tmp_path / "again") / STORE / ".ipynb_checkpoints"
    left.mkdir()
    (left / "zarr-checkpoint.json").write_text("{}")
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    (start,) = continued_from(capsys.readouterr().out)
    assert start > 100
    assert left.is_dir()
    assert not (tmp_path / "again/run" / STORE / left.name).exists()


@pytest.mark.parametrize("how", ["empty", "half", "flipped"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    how, dataset, tmp_path, uninterrupted, fast_clock, monkeypatch, capsys
):
    saves = []
    checkpoint_save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, state: saves.append(state["step"]) or checkpoint_save(path, state)
    )
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    newest = work_in_progress(tmp_path / "again") / "state.npz"
    damage(newest, how)
    newest.with_suffix(".partial").write_bytes(b"half a checkpo")
    older = saves[-2]
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    said = capsys.readouterr().out
    assert f"{newest}: unreadable checkpoint (its checksum does not fit)" in said
    assert continued_from(said) == [older]


def test_two_damaged_checkpoints_start_the_training_again(dataset, tmp_path, uninterrupted, fast_clock, capsys):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    newest = work_in_progress(tmp_path / "again") / "state.npz"
    for file in (newest, checkpoint.before(newest)):
        damage(file, "flipped")
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    said = capsys.readouterr().out
    assert said.count("unreadable checkpoint") == 2
    assert continued_from(said) == []


@pytest.mark.parametrize("ahead", ["of the last", "of both"])
def test_a_checkpoint_ahead_of_its_store_is_not_continued(ahead, dataset, tmp_path, uninterrupted, fast_clock, capsys):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    work = work_in_progress(tmp_path / "again")
    newest, older = checkpoint.load(work / "state.npz")
    assert newest["records"] > older["records"] > 1
    store = zarr.open_group(work / STORE, mode="r+")
    for _, array in store.arrays():
        if "step" in array.metadata.dimension_names:
            array.resize((older["records"] - (ahead == "of both"), *array.shape[1:]))
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    assert continued_from(capsys.readouterr().out) == ([older["step"]] if ahead == "of the last" else [])


@pytest.mark.parametrize("how", ["empty", "half", "flipped", "missing"])
@pytest.mark.parametrize("array", ["step", "member", "loss_train", "prediction"])
def test_a_damaged_file_of_the_store_is_made_again(array, how, dataset, tmp_path, uninterrupted, fast_clock, capsys):
    """The published store shares it: it is deleted, as its reader says, and no training goes on from the damage."""
    train(dataset, tmp_path / "again")
    shutil.rmtree(tmp_path / "again/run")
    (file,) = (
        path for path in (work_in_progress(tmp_path / "again") / STORE / array / "c").rglob("*") if path.is_file()
    )
    file.unlink() if how == "missing" else damage(file, how)
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    said = capsys.readouterr().out
    assert f"{file}: damaged; what it held is made again" in said
    assert continued_from(said) == []


def test_a_writer_interrupted_between_two_shards_loses_nothing_that_was_flushed(tmp_path):
    writer = Writer(tmp_path / "store", members=[1], samples=4, outputs=1, scores=["loss_train"])
    values = np.random.default_rng(0).standard_normal((100, 1, 4, 1)).astype(np.float32)
    for step in range(70):
        writer.append(step, values[step], loss_train=values[step, :, 0, 0])
    # 64 records filled a shard, six are in memory and gone with the process.
    writer = Writer(tmp_path / "store", members=[1], samples=4, outputs=1, scores=["loss_train"])
    assert writer.records == 64
    for step in range(64, 100):
        writer.append(step, values[step], loss_train=values[step, :, 0, 0])
    writer.flush()
    stored = zarr.open_group(tmp_path / "store", mode="r")
    assert np.array_equal(stored["prediction"][:], values)
    assert np.array_equal(stored["step"][:], np.arange(100))


def test_other_threads_continue(dataset, tmp_path, uninterrupted, fast_clock, capsys):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", TRAINING | {"threads": 3}, progress=interrupt_at(200))
    fewer = train(dataset, tmp_path / "again", TRAINING | {"threads": 1})
    assert continued_from(capsys.readouterr().out)
    same_records(fewer, uninterrupted)


STEPS = (20, 60, 110)


@pytest.mark.parametrize("order", [*itertools.permutations(STEPS)], ids=lambda order: "-".join(map(str, order)))
@pytest.mark.parametrize("batch_size", [None, 10])
@pytest.mark.parametrize("by", ["compiled", "torch"])
def test_more_or_fewer_steps_in_any_order_are_parts_of_one_training(
    order, batch_size, by, dataset, tmp_path, monkeypatch
):
    if by == "torch":
        monkeypatch.setattr(library, "loaded", lambda: None)
    elif library.loaded() is None:
        pytest.skip("no C++ compiler on this machine")
    training = TRAINING | {"batch_size": batch_size}
    whole = train(dataset, tmp_path / "uninterrupted", training | {"steps": max(STEPS)})
    farthest, state = 0, b""
    for steps in order:
        found = train(dataset, tmp_path / "again", training | {"steps": steps})
        same_records(found, whole.sel(step=slice(0, steps)))
        assert found["step"].max() == max(step for step in whole["step"].to_numpy() if step <= steps)
        kept = (work_in_progress(tmp_path / "again") / "state.npz").read_bytes()
        if steps <= farthest:
            assert kept == state, "what was trained stays what it is"
        farthest, state = max(farthest, steps), kept


def parameters_after(dataset: Path, steps: int, by: str) -> np.ndarray:
    """Of the trainer's own state, without any store."""
    with netcdf.open_dataset(dataset) as opened:
        data = {f"{axis}_{part}": opened[f"{axis}_{part}"].to_numpy() for axis in "xy" for part in ("train", "test")}
    algorithm = {"name": "adam", "learning_rate": 0.003, "momentum": 0.0, "nesterov": False}
    with trainer.build(MODEL, data, range(1000, 1003), algorithm, "mse", 10) as ensemble:
        assert isinstance(ensemble, CompiledEnsemble) == (by == "compiled")
        ensemble.advance(0, steps)
        return np.stack([member["parameters"] for member in ensemble.state()])


@pytest.mark.parametrize("by", ["compiled", "torch"])
def test_parameters_at_the_end_are_kept_if_asked_for_also_of_a_training_that_was_interrupted(
    by, dataset, tmp_path, fast_clock, monkeypatch, capsys
):
    if by == "torch":
        monkeypatch.setattr(library, "loaded", lambda: None)
    elif library.loaded() is None:
        pytest.skip("no C++ compiler on this machine")
    kept = RECORD | {"parameters": True}
    plain = train(dataset, tmp_path / "a")
    assert "parameter" not in plain
    # Asked for afterwards, they are taken from the checkpoint, and nothing is trained again.
    found = train(dataset, tmp_path / "a", record=kept)
    assert "already trained, to step 400" in capsys.readouterr().out
    expected = parameters_after(dataset, 400, by)
    assert found["parameter"].dims == ("member", "weight")
    assert found["parameter"].dtype == np.float32
    np.testing.assert_array_equal(found["parameter"], expected)
    same_records(found.drop_vars(["parameter", "weight"]), plain)
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "b", record=kept, progress=interrupt_at(100))
    same_records(train(dataset, tmp_path / "b", record=kept), found)
    # A longer training goes on from it, and has its own; what is cut from it has none, and says so.
    longer = train(dataset, tmp_path / "b", TRAINING | {"steps": 700}, record=kept)
    np.testing.assert_array_equal(longer["parameter"], parameters_after(dataset, 700, by))
    capsys.readouterr()
    shorter = train(dataset, tmp_path / "b", TRAINING | {"steps": 200}, record=kept)
    assert "parameters are left out: this training went on beyond step 200" in capsys.readouterr().out
    same_records(shorter, plain.sel(step=slice(0, 200)))
    same_records(train(dataset, tmp_path / "b", TRAINING | {"steps": 700}, record=kept), longer)


def test_damaged_parameters_are_told_in_one_line(dataset, tmp_path):
    train(dataset, tmp_path, record=RECORD | {"parameters": True})
    store = tmp_path / "run" / STORE
    (file,) = (path for path in (store / "parameter" / "c").rglob("*") if path.is_file() and path.parent.name == "1")
    damage(file, "flipped")
    with pytest.raises(UserError, match="the checksum of parameter/c/1/0 does not fit"), reading(store):
        open_predictions(store).load()
    file.unlink()
    with pytest.raises(UserError, match="parameter/c/1/0 is missing or empty"):
        open_predictions(store)


def test_fewer_steps_are_cut_from_a_store_whose_end_is_damaged(dataset, tmp_path, uninterrupted):
    """Its last shard is lost, and with it the state; what is wanted lies before."""
    train(dataset, tmp_path / "again")
    store = zarr.open_group(work_in_progress(tmp_path / "again") / STORE, mode="r+")
    for _, array in store.arrays():
        if "step" in array.metadata.dimension_names:
            array.resize((array.shape[0] - 1, *array.shape[1:]))
    few = train(dataset, tmp_path / "again", TRAINING | {"steps": 100})
    same_records(few, uninterrupted.sel(step=slice(0, 100)))
    same_records(train(dataset, tmp_path / "again"), uninterrupted)


def test_updates_are_never_counted_backwards(dataset):
    with xr.open_dataset(dataset, engine="netcdf4") as data:
        arrays = {name: data[name].to_numpy() for name in ("x_train", "y_train")}
    algorithm = {"name": "adam", "learning_rate": 0.01, "momentum": 0.0, "nesterov": False}
    with trainer.build(MODEL, arrays, [1], algorithm) as ensemble, pytest.raises(AssertionError, match="from 5 to 4"):
        ensemble.advance(5, 4)


def test_other_code_or_another_recipe_never_continues(dataset, tmp_path, fast_clock, capsys):
    folder = tmp_path / "again"
    with pytest.raises(Interruption):
        train(dataset, folder, code=["trainer@1"], progress=interrupt_at(200))
    train(dataset, folder, code=["trainer@2"])
    train(dataset, folder, TRAINING | {"learning_rate": 0.004}, code=["trainer@2"])
    assert continued_from(capsys.readouterr().out) == []


def test_a_recipe_that_comes_back_finds_its_training_finished_or_not(
    dataset, tmp_path, uninterrupted, fast_clock, capsys
):
    folder, faster = tmp_path / "again", TRAINING | {"learning_rate": 0.004}
    with pytest.raises(Interruption):
        train(dataset, folder, progress=interrupt_at(200))
    other = train(dataset, folder, faster)
    capsys.readouterr()
    same_records(train(dataset, folder), uninterrupted)
    assert continued_from(capsys.readouterr().out) != [], "what was half done went on"
    for training, wanted in ((faster, other), (TRAINING, uninterrupted)):
        same_records(train(dataset, folder, training, progress=interrupt_at(0)), wanted)  # no step was trained


# --- a member that diverges -------------------------------------------------------------------------------------------


ORDER = {
    "statement": "", "source": "", "experiment": "edge", "measure": "fft", "statistic": "area_order",
    "bound": {"at_least": 0.0, "at_most": None, "between": None}, "control": None, "given": {}, "explains": None,
    "conjecture": {},
}  # fmt: skip


def spectra_of(predictions: xr.Dataset, dataset: Path) -> xr.Dataset:
    with xr.open_dataset(dataset, engine="netcdf4") as data:
        spectra = fft.decompose(predictions, data, split="train", **FFT)
    return spectra.assign_attrs(experiment="edge", variant="base", dataset="sines")


def texts_drawn(spectra: xr.Dataset, folder: Path) -> list[str]:
    """All the words in the figure of one variant."""
    with style.context(width_mm=180, font_size=8, colormap="cividis"):
        figure = synthetic.draw([spectra])
        texts = [text.get_text() for text in figure.findobj(Text)]
        style.save(figure, [str(folder / "edge.svg")])
    return texts


def test_a_diverging_member_is_named_masked_counted_and_marked(dataset, tmp_path, capsys):
    """Seed 1115 starts where the loss is steep: plain gradient descent diverges from learning rate 0.08 on, while its
    neighbours stand 0.1 well."""
    training = TRAINING | {
        "optimizer": "sgd", "learning_rate": 0.08, "batch_size": None, "seed_offset": 1110, "members": 10, "steps": 300,
    }  # fmt: skip
    predictions = run(
        dataset, tmp_path / "run", tmp_path / "checkpoints",
        model=MODEL | {"activation": "relu"}, training=training, record=RECORD,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert re.findall(r"member with seed (\d+) diverged", said) == ["1115"]
    others = [seed for seed in range(1110, 1120) if seed != 1115]
    assert np.isfinite(predictions["prediction"].sel(member=others)).all()

    spectra = spectra_of(predictions, dataset)
    assert spectra["member"].where(spectra["diverged"], drop=True).to_numpy().tolist() == [1115]
    followed = spectra.sel(frequency=[1, 2, 3])
    for name in ("relative_error", "first_passage", "hold_passage", "area"):
        assert followed[name].sel(member=1115).isnull().all(), name
    for name in ("relative_error", "area"):
        assert followed[name].sel(member=others).notnull().all(), name

    row = judge("order", ORDER, "base", [spectra])
    assert row["members"] == "9 of 10"
    assert np.isfinite([row["value"], row["ci_low"], row["ci_high"]]).all()

    assert any("9 of 10 members (1 diverged)" in text for text in texts_drawn(spectra, tmp_path))


def test_an_ensemble_that_diverges_as_a_whole_is_no_crash(dataset, tmp_path, capsys):
    training = TRAINING | {"optimizer": "sgd", "learning_rate": 1e6, "steps": 50}
    predictions = train(dataset, tmp_path, training)
    assert not np.isfinite(predictions["prediction"].isel(step=-1)).any()
    assert re.findall(r"member with seed (\d+) diverged", capsys.readouterr().out) == ["1000", "1001", "1002"]
    spectra = spectra_of(predictions, dataset)
    row = judge("order", ORDER, "base", [spectra])
    assert (row["members"], row["verdict"]) == ("0 of 3", "undecided")
    assert any("0 of 3 members (3 diverged)" in text for text in texts_drawn(spectra, tmp_path))
