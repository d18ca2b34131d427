"""Processes killed, stopped and started twice; the same bits in the end."""

import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import JOB_SECONDS, Project, copy_sources, same_records, wait_until
from test_interruption import MODEL, RECORD, TRAINING, continued_from

from fpkit.datasets import sines
from fpkit.store import netcdf
from fpkit.training import trainer

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
RUN, LOG = "results/runs/long/base", "runs/long/base.log"

# A decomposition of several seconds, of a training of none.
DECOMPOSITION = """
datasets:
  digits: {kind: digits, limit: 200}
experiments:
  images:
    dataset: digits
    model: {kind: mlp, widths: [8]}
    training: {steps: 20, members: 2}
    record: {per_decade: 10}
    decomposition: {filtering: {widths: [0.25, 0.5], null_draws: 1000}}
claims: {}
figures:
  images: {kind: filtering, experiment: images}
"""
SPECTRA = "results/spectra/images/base/filtering.nc"


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


def job_process(snakemake: psutil.Process, script: str) -> psutil.Process | None:
    for child in snakemake.children(recursive=True):
        try:
            command = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        # Between the two stands a shell, whose last argument is the whole command line.
        if command and Path(command[0]).name.startswith("python") and command[-1].endswith(script):
            return child
    return None


class Life:
    """One run of Snakemake, up to the moment when its training has written a checkpoint."""

    def __init__(self, project: Project):
        self.project = project
        before = self.checkpoints()
        self.snakemake = project.start("figures", overlays=())
        self.tree = psutil.Process(self.snakemake.pid)
        self.training = wait_until(lambda: self.goes_on() and job_process(self.tree, "train.py"), "a training process")
        wait_until(lambda: self.goes_on() and self.checkpoints() - before, "a checkpoint")
        self.log = project.log(LOG)

    def checkpoints(self) -> set[int]:
        files = (self.project / "results/checkpoints/long/base").glob("*/state.npz")
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
    logs = []

    life = Life(project)
    life.training.kill()
    assert life.end() == 1
    assert not (project / RUN).exists()
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
        said = f"another process ({orphan.pid} on {os.uname().nodename}) is at work on `train long/base`; waiting"
        wait_until(lambda: last.poll() is not None or said in project.log(LOG), "the second training to wait")
        assert said in (project / "terminal.txt").read_text()
        assert last.poll() is None, (project / "terminal.txt").read_text()
        assert not (project / RUN).exists()
    finally:
        orphan.resume()
    assert last.wait(timeout=JOB_SECONDS) == 0, (project / "terminal.txt").read_text()
    logs.append(project.log(LOG))

    starts = [step for log in logs for step in continued_from(log)]
    assert len(starts) == 3, "every life but the first went on from the one before"
    assert "already trained, to step" in logs[-1], "the orphan left the last one nothing to do"
    assert starts == sorted(set(starts)), "no work was lost"
    assert project.plan(overlays=()) == set()
    for path in ("claims.csv", "figures/long.svg", "figures/long.pdf", "figures/long.png"):
        assert (project / "results" / path).stat().st_size > 0

    undisturbed.make(RUN, overlays=())
    assert continued_from(undisturbed.log(LOG)) == []
    same_records(project.predictions("long/base"), undisturbed.predictions("long/base"))


@pytest.mark.workflow
def test_stopped_and_continued_or_told_to_end_nothing_is_lost(tmp_path):
    project = training_project(tmp_path / "project", seconds=6)

    # Snakemake told to end lets its job end, and starts no other.
    life = Life(project)
    life.snakemake.terminate()
    assert life.end() != 0
    assert not is_locked(project)
    finished = project.predictions("long/base")
    assert not (project / "results/spectra/long/base/fft.nc").exists()

    # The training, then Snakemake, stopped and continued.
    shutil.rmtree(project / "results")
    life = Life(project)
    life.training.suspend()
    wait_until(lambda: life.training.status() == psutil.STATUS_STOPPED, "the training to stop")
    at = life.training.cpu_times().user
    time.sleep(0.5)
    assert life.training.cpu_times().user == at
    life.training.resume()
    life.tree.suspend()
    # Its end, that is: the process itself stays, as a zombie, until Snakemake can look after it.
    wait_until((project / RUN).exists, "the run to be published, without Snakemake")
    life.tree.resume()
    assert life.end() == 0, (project / "terminal.txt").read_text()
    assert project.plan(overlays=()) == set()
    same_records(project.predictions("long/base"), finished)


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
    assert "already trained, to step" in project.log(LOG)
    same_records(project.predictions("long/base"), finished)


@pytest.mark.workflow
def test_a_decomposition_killed_or_stopped_is_made_whole(tmp_path):
    project = copy_sources(tmp_path / "project")
    (project / "config.yaml").write_text(DECOMPOSITION)
    project.make("results/runs/images/base", overlays=())
    spectra = project / SPECTRA
    lock = project / "results/logs/spectra/images/base/.filtering.log.lock"

    def start() -> tuple:
        snakemake = project.start("figures", overlays=())
        tree = psutil.Process(snakemake.pid)
        job = wait_until(lambda: job_process(tree, "decompose.py"), "a decomposition")
        # By its lock, not by a time: how long it takes is the machine's affair.
        wait_until(lambda: lock.exists() and lock.read_text().startswith(f"{job.pid} "), "it to be at work")
        return snakemake, job

    for end in (psutil.Process.kill, psutil.Process.terminate):
        snakemake, job = start()
        end(job)
        assert snakemake.wait(timeout=JOB_SECONDS) == 1
        assert not spectra.exists()
        assert not is_locked(project)

    # Snakemake alone is killed, and the orphan stopped: the next decomposition waits for it.
    snakemake, orphan = start()
    orphan.suspend()
    try:
        snakemake.kill()
        snakemake.wait()
        project.make("--unlock", overlays=())
        last = project.start("figures", overlays=())
        said = "at work on `decompose images/base/filtering`; waiting for it to end"
        wait_until(
            lambda: last.poll() is not None or said in project.log("spectra/images/base/filtering.log"),
            "the second decomposition to wait",
        )
        assert last.poll() is None, (project / "terminal.txt").read_text()
    finally:
        orphan.resume()
    assert last.wait(timeout=JOB_SECONDS) == 0, (project / "terminal.txt").read_text()
    assert project.plan(overlays=()) == set()
    stopped = netcdf.load_dataset(spectra)

    spectra.unlink()
    project.make(SPECTRA, overlays=())
    undisturbed = netcdf.load_dataset(spectra)
    assert undisturbed.identical(stopped)
    same_records(undisturbed, stopped)
    assert [path.name for path in spectra.parent.iterdir()] == [spectra.name], "nothing half-written is left"


@pytest.mark.workflow
def test_the_same_workflow_started_twice_is_refused_in_one_line(tmp_path):
    project = training_project(tmp_path / "project", seconds=3)
    life = Life(project)
    life.tree.suspend()
    life.training.suspend()
    second = project.snakemake("figures", overlays=())
    assert second.returncode == 1
    said = [line for line in (second.stdout + second.stderr).splitlines() if "Directory cannot be locked" in line]
    assert len(said) == 1, second.stdout + second.stderr
    life.training.resume()
    life.tree.resume()
    assert life.end() == 0, (project / "terminal.txt").read_text()
    assert project.plan(overlays=()) == set()


@pytest.mark.workflow
def test_a_remake_that_is_killed_leaves_no_old_figure_for_a_new_one(small):
    """The run between is gone, the old spectra and figures are newer than all there is: they still are remade."""
    small.edit("config.yaml", "steps: 100", "steps: 1000000")
    snakemake = small.start("figures", overlays=())
    tree = psutil.Process(snakemake.pid)
    wait_until(lambda: job_process(tree, "train.py"), "a training process").kill()
    assert snakemake.wait(timeout=JOB_SECONDS) == 1
    assert not (small / "results/runs/short/base").exists()
    assert (small / "results/figures/short.svg").exists()
    chain = {"train short/base", "decompose short/base/fft", "plot short", "judge_claims", "plot claims", "figures"}
    assert small.plan(overlays=()) == chain


MISSING = {
    "results/datasets/sines.nc": {"make_dataset sines"},
    "results/runs/short/base": {"train short/base"},
    "results/spectra/short/base/fft.nc": {"decompose short/base/fft"},
    "results/claims.csv": set(),
}


@pytest.mark.workflow
@pytest.mark.parametrize("path", MISSING)
def test_whatever_is_missing_between_a_change_plans_the_end(path, small):
    """As Snakemake deletes the outputs of a job before it starts, and what it knew of them."""
    small.make("--cleanup-metadata", path, overlays=())
    missing = small / path
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    small.edit("config.yaml", "samples: 32,", "samples: 32, noise: 0.1,")
    assert small.plan(overlays=()) >= {"plot short", "plot claims", "judge_claims", "figures"} | MISSING[path]


@pytest.mark.workflow
def test_a_half_written_figure_is_made_again(small):
    """Everything dies at once, as in a power cut, while a figure is being written."""
    svg = small / "results/figures/short.svg"
    whole, module = svg.read_bytes(), (small / "fpkit/figures/style.py").read_text()
    laid_out = '    figure.set_layout_engine("none")'
    assert module.count(laid_out) == 1
    dying = "    for path in paths:\n        open(path, 'w').write('<svg')\n        __import__('time').sleep(300)\n"
    (small / "fpkit/figures/style.py").write_text(module.replace(laid_out, dying + laid_out))
    snakemake = small.start("results/figures/short.svg", overlays=())
    wait_until(lambda: svg.exists() and svg.read_text(errors="replace") == "<svg", "half a figure")
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait(timeout=JOB_SECONDS)
    (small / "fpkit/figures/style.py").write_text(module)
    small.make("--unlock", overlays=())
    small.make("figures", overlays=())
    assert svg.read_bytes() == whole
