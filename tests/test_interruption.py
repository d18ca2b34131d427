"""Interrupted work is never lost and never trusted: killed, resumed, and the same bits in the end."""

import os
import re
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import xarray as xr
import zarr
from conftest import JOB_SECONDS, Project, copy_sources, run, same_records
from matplotlib.text import Text

from fpkit import runs
from fpkit.claims import judge
from fpkit.datasets import sines
from fpkit.figures import style, synthetic
from fpkit.predictions import Writer
from fpkit.spectra import fft
from fpkit.training import checkpoint, trainer

MODEL = {"activation": "tanh", "initialization": "scaled", "kind": "mlp", "std": 0.1, "widths": [16, 16]}
TRAINING = {
    "batch_size": 10, "device": "cpu", "learning_rate": 0.003, "loss": "mse", "members": 3,
    "momentum": 0.0, "nesterov": False,
    "optimizer": "adam", "seed_offset": 1000, "steps": 400, "threads": 1,
}  # fmt: skip
RECORD = {"per_decade": 20, "split": "train"}
FFT = {"frequencies": None, "hold": 0.05, "peak_height": 0.1, "threshold": 0.2}


def wait_until(condition, what: str):
    """What `condition` returns, once it is true."""
    end = time.monotonic() + JOB_SECONDS
    while not (result := condition()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)
    return result


# --- the library: an exception at any point -------------------------------------------------------------------------


class Interruption(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def dataset(tmp_path) -> Path:
    path = tmp_path / "sines.nc"
    sines.build([1, 2, 3], samples=32, test_samples=16).to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def fast_clock(monkeypatch):
    """Checkpoints come every few records, however fast the machine."""
    now = iter(range(1, 10**9))
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", 1)
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(now) / 4))


def train(dataset: Path, folder: Path, training=TRAINING, **options) -> xr.Dataset:
    return run(
        dataset, folder / "run", folder / "checkpoints", model=MODEL, training=training, record=RECORD, **options
    ).load()


def interrupt_at(step: int):
    def progress(now, loss):
        if now >= step:
            raise Interruption

    return progress


def work_in_progress(folder: Path) -> Path:
    (work,) = (folder / "checkpoints").iterdir()
    return work


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
    store = zarr.open_group(work_in_progress(tmp_path / "again") / runs.STORE, mode="r+")
    for name in ("prediction", "loss_train"):
        store[name].resize((store[name].shape[0] + 5, *store[name].shape[1:]))
        store[name][-5:] = 7
    same_records(train(dataset, tmp_path / "again"), uninterrupted)


@pytest.mark.parametrize("broken", ["state.pt", f"{runs.STORE}/step/zarr.json", f"{runs.STORE}/zarr.json"])
@pytest.mark.parametrize("left", [0, 0.5], ids=["empty", "half"])
def test_a_half_written_file_starts_the_training_again(
    broken, left, dataset, tmp_path, uninterrupted, fast_clock, capsys
):
    with pytest.raises(Interruption):
        train(dataset, tmp_path / "again", progress=interrupt_at(200))
    path = work_in_progress(tmp_path / "again") / broken
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    same_records(train(dataset, tmp_path / "again"), uninterrupted)
    said = capsys.readouterr().out
    assert continued_from(said) == []
    assert ("unreadable checkpoint" in said) == (broken == "state.pt")


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


def test_other_code_or_another_recipe_never_continues(dataset, tmp_path, fast_clock, capsys):
    folder = tmp_path / "again"
    with pytest.raises(Interruption):
        train(dataset, folder, code=["trainer@1"], progress=interrupt_at(200))
    train(dataset, folder, code=["trainer@2"])
    train(dataset, folder, TRAINING | {"learning_rate": 0.004}, code=["trainer@2"])
    assert continued_from(capsys.readouterr().out) == []
    assert len(list((folder / "checkpoints").iterdir())) == 1, "what nobody will continue is deleted"


# --- a member that diverges -------------------------------------------------------------------------------------------


ORDER = {
    "statement": "", "source": "", "experiment": "edge", "measure": "fft", "statistic": "area_order",
    "bound": {"at_least": 0.0, "at_most": None}, "control": None,
}  # fmt: skip


def spectra_of(predictions: xr.Dataset, dataset: Path) -> xr.Dataset:
    with xr.open_dataset(dataset, engine="h5netcdf") as data:
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
    """Seed 1091 starts where the loss is steep: plain gradient descent diverges from learning rate 0.08 on, while its
    neighbours stand 0.1 well."""
    training = TRAINING | {
        "optimizer": "sgd", "learning_rate": 0.1, "batch_size": None, "seed_offset": 1085, "members": 10, "steps": 300,
    }  # fmt: skip
    predictions = run(
        dataset, tmp_path / "run", tmp_path / "checkpoints",
        model=MODEL | {"activation": "relu"}, training=training, record=RECORD,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert re.findall(r"member with seed (\d+) diverged", said) == ["1091"]
    others = [seed for seed in range(1085, 1095) if seed != 1091]
    assert np.isfinite(predictions["prediction"].sel(member=others)).all()

    spectra = spectra_of(predictions, dataset)
    assert spectra["member"].where(spectra["diverged"], drop=True).to_numpy().tolist() == [1091]
    followed = spectra.sel(frequency=[1, 2, 3])
    for name in ("relative_error", "first_passage", "hold_passage", "area"):
        assert followed[name].sel(member=1091).isnull().all(), name
    for name in ("relative_error", "area"):
        assert followed[name].sel(member=others).notnull().all(), name

    row = judge("order", ORDER, "base", spectra)
    assert row["members"] == "9 of 10"
    assert np.isfinite([row["value"], row["ci_low"], row["ci_high"]]).all()

    assert any("9 of 10 members (1 diverged)" in text for text in texts_drawn(spectra, tmp_path))


def test_an_ensemble_that_diverges_as_a_whole_is_no_crash(dataset, tmp_path, capsys):
    training = TRAINING | {"optimizer": "sgd", "learning_rate": 1e6, "steps": 50}
    predictions = train(dataset, tmp_path, training)
    assert not np.isfinite(predictions["prediction"].isel(step=-1)).any()
    assert re.findall(r"member with seed (\d+) diverged", capsys.readouterr().out) == ["1000", "1001", "1002"]
    spectra = spectra_of(predictions, dataset)
    row = judge("order", ORDER, "base", spectra)
    assert (row["members"], row["verdict"]) == ("0 of 3", "undecided")
    assert any("0 of 3 members (3 diverged)" in text for text in texts_drawn(spectra, tmp_path))


# --- the workflow: killed for real ------------------------------------------------------------------------------------

CONFIGURATION = """
datasets:
  sines: {{kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}}
experiments:
  long:
    dataset: sines
    model: {{kind: mlp, widths: [32, 32]}}
    training: {{steps: {steps}, members: 3, batch_size: 20}}
    record: {{per_decade: 20}}
    decomposition: {{fft: {{}}}}
claims:
  order:
    statement: Low first.
    source: Here
    experiment: long
    measure: fft
    statistic: area_order
    bound: {{at_least: 0}}
figures:
  long: {{kind: synthetic, experiment: long}}
"""


def training_project(folder: Path, seconds: float) -> Project:
    """A project with one training, which takes about `seconds` on this machine."""
    data = sines.build([1, 2, 3], samples=32, test_samples=16)
    data = {name: data[name].to_numpy() for name in ("x_train", "y_train", "x_test", "y_test")}
    sink = SimpleNamespace(
        records=0, append=lambda *record, **scores: None, flush=lambda: None, truncate=lambda n: None
    )
    few, many = 400, 8000
    ends = [time.monotonic()]
    for steps in (few, many):
        options = TRAINING | {"batch_size": 20, "steps": steps}
        trainer.train(MODEL | {"widths": [32, 32]}, data, sink, **options, **RECORD)
        ends.append(time.monotonic())
    # Without what a training takes to start.
    per_step = ((ends[2] - ends[1]) - (ends[1] - ends[0])) / (many - few)
    project = copy_sources(folder)
    (project / "config.yaml").write_text(CONFIGURATION.format(steps=round(seconds / per_step)))
    return project


def training_process(snakemake: psutil.Process) -> psutil.Process | None:
    for child in snakemake.children(recursive=True):
        try:
            command = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        # Between the two stands a shell, whose last argument is the whole command line.
        if command and Path(command[0]).name.startswith("python") and command[-1].endswith("train.py"):
            return child
    return None


class Life:
    """One run of Snakemake, up to the moment when its training has written a checkpoint."""

    def __init__(self, project: Project):
        self.project = project
        before = self.checkpoints()
        self.snakemake = project.start("figures", overlays=())
        tree = psutil.Process(self.snakemake.pid)
        self.training = wait_until(lambda: self.goes_on() and training_process(tree), "a training process")
        wait_until(lambda: self.goes_on() and self.checkpoints() - before, "a checkpoint")
        self.log = project.log("runs/long/base.log")

    def checkpoints(self) -> set[int]:
        files = (self.project / "results/checkpoints/long/base").glob("*/state.pt")
        return {path.stat().st_mtime_ns for path in files}

    def goes_on(self) -> bool:
        assert self.snakemake.poll() is None, "ended too early:\n" + (self.project / "terminal.txt").read_text()
        return True

    def end(self) -> int:
        return self.snakemake.wait(timeout=JOB_SECONDS)


def is_locked(project: Project) -> bool:
    return any((project / ".snakemake/locks").glob("*"))


@pytest.mark.workflow
def test_killed_in_every_way_and_rerun_gives_the_same_bits(tmp_path):
    project = training_project(tmp_path / "project", seconds=20)
    undisturbed = copy_sources(tmp_path / "undisturbed", project.folder)
    target, log = "results/runs/long/base", "runs/long/base.log"
    logs = []

    life = Life(project)
    life.training.kill()
    assert life.end() == 1
    assert not (project / target).exists()
    logs.append(life.log)

    life = Life(project)
    life.training.terminate()
    assert life.end() == 1
    logs.append(life.log)

    life = Life(project)
    os.killpg(life.snakemake.pid, signal.SIGINT)  # Ctrl-C reaches all processes of the terminal
    assert life.end() != 0
    psutil.wait_procs([life.training], timeout=JOB_SECONDS)
    assert not is_locked(project)
    logs.append(life.log)

    # Snakemake alone is killed: its training goes on. It is held up until the next run has come upon it.
    life = Life(project)
    orphan = life.training
    orphan.suspend()
    try:
        life.snakemake.kill()
        life.end()
        logs.append(life.log)
        assert is_locked(project)
        project.make("--unlock", overlays=())
        last = project.start("figures", overlays=())
        wait_until(
            lambda: last.poll() is not None or "another process is training this variant" in project.log(log),
            "the second training to notice the first",
        )
        assert last.poll() is None, (project / "terminal.txt").read_text()
        assert not (project / target).exists()
    finally:
        orphan.resume()
    assert last.wait(timeout=JOB_SECONDS) == 0, (project / "terminal.txt").read_text()
    logs.append(project.log(log))

    starts = [step for log in logs for step in continued_from(log)]
    assert len(starts) == 4, "every life but the first went on from the one before"
    assert starts == sorted(set(starts)), "no work was lost"
    assert project.plan(overlays=()) == set()
    for path in ("claims.csv", "figures/long.svg", "figures/long.pdf", "figures/long.png"):
        assert (project / "results" / path).stat().st_size > 0

    undisturbed.make(target, overlays=())
    assert continued_from(undisturbed.log(log)) == []
    same_records(project.predictions("long/base"), undisturbed.predictions("long/base"))


@pytest.mark.workflow
def test_a_training_that_outlives_snakemake_is_picked_up(tmp_path):
    """Its output is there, but Snakemake never saw it being finished."""
    project = training_project(tmp_path / "project", seconds=3)
    life = Life(project)
    life.snakemake.kill()
    life.end()
    psutil.wait_procs([life.training], timeout=JOB_SECONDS)
    finished = project.predictions("long/base")
    project.make("--unlock", overlays=())
    project.make("figures", overlays=())
    assert "continuing from step" in project.log("runs/long/base.log")
    same_records(project.predictions("long/base"), finished)


@pytest.mark.workflow
def test_a_remake_that_is_killed_leaves_no_old_figure_for_a_new_one(finished):
    """The run between is gone, the old spectra and figures are newer than all there is: they still are remade."""
    longer = finished.overlay("experiments: {synthetic: {training: {steps: 1000000}}}")
    snakemake = finished.start("figures", overlays=longer)
    tree = psutil.Process(snakemake.pid)
    wait_until(lambda: training_process(tree), "a training process").kill()
    assert snakemake.wait(timeout=JOB_SECONDS) == 1
    assert not (finished / "results/runs/synthetic/base").exists()
    assert (finished / "results/figures/synthetic.svg").exists()
    chain = {"train synthetic/base", "decompose synthetic/base/fft", "plot synthetic", "judge_claims", "figures"}
    assert finished.plan(overlays=longer) == chain


CHANGED = "datasets: {sines: {noise: 0.1}}"
MISSING = {
    "results/datasets/sines.nc": {"make_dataset sines"},
    "results/runs/synthetic/base": {"train synthetic/base"},
    "results/spectra/synthetic/base/fft.nc": {"decompose synthetic/base/fft"},
    "results/claims.csv": set(),
}


@pytest.mark.workflow
@pytest.mark.parametrize("path", MISSING)
def test_whatever_is_missing_between_a_change_plans_the_end(path, finished):
    """As Snakemake deletes the outputs of a job before it starts, and what it knew of them."""
    finished.make("--cleanup-metadata", path, overlays=())
    missing = finished / path
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    planned = finished.plan(overlays=finished.overlay(CHANGED))
    assert planned >= {"plot synthetic", "judge_claims", "figures"} | MISSING[path]


@pytest.mark.workflow
def test_a_half_written_figure_is_made_again(finished):
    """Everything dies at once, as in a power cut, while a figure is being written."""
    svg = finished / "results/figures/synthetic.svg"
    whole, module = svg.read_bytes(), (finished / "fpkit/figures/style.py").read_text()
    undated = '    undated = {"svg"'
    assert module.count(undated) == 1
    dying = "    for path in paths:\n        open(path, 'w').write('<svg')\n        __import__('time').sleep(300)\n"
    (finished / "fpkit/figures/style.py").write_text(module.replace(undated, dying + undated))
    snakemake = finished.start("results/figures/synthetic.svg")
    wait_until(lambda: svg.exists() and svg.read_text(errors="replace") == "<svg", "half a figure")
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait(timeout=JOB_SECONDS)
    (finished / "fpkit/figures/style.py").write_text(module)
    finished.make("--unlock")
    finished.make("figures")
    assert svg.read_bytes() == whole
