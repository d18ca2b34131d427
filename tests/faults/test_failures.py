"""Jobs that end for want of memory, or without a word; and which of those that fail are tried again."""

import re
import resource
import subprocess
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import JOB_SECONDS, environment, on_linux, same_records, wait_until
from test_interruption import MODEL, RECORD, TRAINING

from faults.lives import forks, live
from faults.test_load import folder_with_data
from faults.test_processes import job_process
from fpkit.jobs import shortage
from fpkit.store import predictions
from fpkit.store.predictions import open_predictions
from fpkit.training.compiled import library
from fpkit.training.run import STORE

# A data set of the user's own, the first attempts at which fail as `how` says; all attempts are counted in a file.
MINE = """
import os, signal
import numpy as np
import xarray as xr

def build(how, times):
    with open("attempts.txt", "a") as stream:
        print(how, file=stream)
    if len(open("attempts.txt").readlines()) <= times:
        if how == "mistaken":
            raise ValueError("no such thing")
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "large":
            np.ones(10**15)
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    names = [(name, part) for part in ("train", "test") for name in (("x", "feature"), ("y", "output"))]
    return xr.Dataset({f"{name}_{part}": ((f"sample_{part}", dim), x) for (name, dim), part in names})
"""
CONFIGURATION = """
datasets:
  mine: {{kind: "mine:build", options: {{how: {how}, times: {times}}}}}
experiments:
  short:
    dataset: mine
    model: {{kind: mlp, widths: [16]}}
    training: {{steps: 100, members: 3}}
    record: {{per_decade: 10}}
    decomposition: {{fft: {{}}}}
claims: {{}}
figures: {{}}
"""
DATASET, LOG = "results/datasets/mine.nc", "datasets/mine.log"
REMEDY = "lower its samples (samples, limit), run fewer jobs at once (--cores), or on a cluster ask for more"


@pytest.fixture
def attempt(project):
    """attempt(how, *arguments) makes the data set, with three retries: what Snakemake said, and how often it tried."""

    def attempt(how: str, *arguments: str, times: int = 99) -> tuple[subprocess.CompletedProcess, int]:
        (project / "mine.py").write_text(MINE)
        (project / "config.yaml").write_text(CONFIGURATION.format(how=how, times=times))
        done = project.snakemake(DATASET, "--retries", "3", *arguments, overlays=())
        return done, len((project / "attempts.txt").read_text().splitlines())

    return attempt


def asked(done: subprocess.CompletedProcess, what: str) -> list[int]:
    """How much of a resource each attempt asked for."""
    return [int(number) for number in re.findall(rf"^    resources: .*\b{what}=(\d+)", done.stderr, re.MULTILINE)]


def told(terminal: str, job: str) -> list[str]:
    return [line for line in terminal.splitlines() if line.startswith(f"{job}: ")]


@pytest.mark.workflow
def test_what_the_user_must_mend_is_tried_once(attempt):
    done, attempts = attempt("mistaken")
    assert done.returncode == 1
    [line] = told(done.stderr, "datasets.mine")
    assert "no such thing" in line
    assert attempts == 1


@pytest.mark.workflow
def test_a_killed_job_is_told_in_one_line_and_tried_again_with_more_memory(attempt, project):
    done, attempts = attempt("killed", times=2)
    assert done.returncode == 0, done.stderr
    assert attempts == 3
    assert asked(done, "mem_mb") == [4000, 8000, 16000]
    assert asked(done, "runtime") == [30, 30, 30], "time was not short"
    lines = told(done.stderr, "datasets.mine")
    assert len(lines) == 2
    assert all(
        line.startswith("datasets.mine: killed, or crashed, without a word; if for its memory:") for line in lines
    )
    assert all(REMEDY in line for line in lines)
    assert project.log(LOG) == ""


@pytest.mark.workflow
def test_no_job_asks_for_more_than_it_may_or_is_repeated_with_what_was_too_little(attempt, project):
    done, attempts = attempt("large", "--resources", "mem_mb=12000")
    assert done.returncode == 1
    assert asked(done, "mem_mb") == [4000, 8000, 12000]
    assert asked(done, "runtime") == [30, 30, 30]
    assert attempts == 3, "the fourth would get what the third had"
    lines = told(done.stderr, "datasets.mine")
    assert len(set(lines)) == 1
    assert lines[0].startswith("datasets.mine: out of memory (mine:build failed at ")
    assert REMEDY in lines[0]
    assert "Traceback" not in done.stderr
    assert project.log(LOG).splitlines() == lines[:1]


# --- memory -----------------------------------------------------------------------------------------------------------

SAMPLES = 4_000_000


def limited(project, *arguments: str, kilobytes: int) -> subprocess.CompletedProcess:
    """Run Snakemake, and all that it starts, with so much memory each."""
    command = project.command(*arguments, overlays=())
    return subprocess.run(
        ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash", *command],
        cwd=project.folder, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
        timeout=JOB_SECONDS,
    )  # fmt: skip


@pytest.mark.workflow
def test_a_training_larger_than_memory_is_one_line(small):
    small.edit("config.yaml", "widths: [16]", "widths: [40000, 40000]")
    done = limited(small, "results/runs/short/base", kilobytes=4_000_000)
    assert done.returncode == 1
    [line] = told(done.stderr, "train short/base")
    assert re.search(
        r"out of memory \(.*Unable to allocate 5.96 GiB.*\); lower training.members, training.batch_s", line
    )
    assert line.endswith("or on a cluster ask for more (--set-resources train:mem_mb=...)")
    assert "Traceback" not in done.stderr
    assert small.log("runs/short/base.log").splitlines() == [line]


@pytest.mark.workflow
def test_a_training_that_is_killed_is_told_in_one_line(small):
    small.edit("config.yaml", "steps: 100", "steps: 1000000")
    snakemake = small.start("figures", overlays=())
    tree = psutil.Process(snakemake.pid)
    training = wait_until(lambda: job_process(tree, "train.py"), "a training process")
    wait_until(lambda: "step" in small.log("runs/short/base.log"), "it to be at work")
    training.kill()
    assert snakemake.wait(timeout=JOB_SECONDS) == 1
    [line] = told((small / "terminal.txt").read_text(), "train short/base")
    assert line.startswith(
        "train short/base: killed, or crashed, without a word; if for its memory: lower training.mem"
    )
    assert small.log("runs/short/base.log").splitlines()[-1] == line


def limit_memory(more: int) -> None:
    """From now on, this process may have so many bytes more than it has."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))


def short_of_memory(store: Path, more: int) -> None:
    """Look for damage with so many bytes more than are in use."""
    writer = predictions.Writer(store, range(1), SAMPLES, 1, scores=["loss_train"])
    limit_memory(more)
    try:
        writer.drop_damaged()
    except BaseException as error:
        if shortage.of(error):
            raise SystemExit(7) from error
        raise


@on_linux
def test_a_store_that_does_not_fit_into_memory_is_not_taken_for_damaged(tmp_path):
    writer = predictions.Writer(tmp_path / "store", range(1), SAMPLES, 1, scores=["loss_train"])
    for step in range(4):
        writer.append(step, np.full((1, SAMPLES, 1), step, np.float32), loss_train=np.ones(1, np.float32))
    writer.flush()
    whole = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "store").rglob("*"))
    process = forks().Process(target=short_of_memory, args=(tmp_path / "store", 2**25))
    process.start()
    process.join(JOB_SECONDS)
    assert process.exitcode == 7, "it said that memory was short"
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "store").rglob("*")) == whole


def few_threads(folder: Path, threads: int, more: int) -> None:
    """Train by torch with so many threads, and so many bytes for their stacks and all else."""
    import torch

    torch.ones(9).sum()
    threading.stack_size(2**30)  # so large that little else counts
    limit_memory(more)
    library.loaded = lambda: None  # in this process alone: no compiled code
    training = TRAINING | {"threads": threads, "steps": 20, "members": threads}
    live(folder, {"model": MODEL, "training": training, "record": RECORD}, terminal=folder / "terminal.txt")


@on_linux
def test_a_training_goes_on_with_the_threads_that_can_be_had(tmp_path):
    """64 of torch's, in memory for the stacks of some."""
    for name, more in (("many", 2**40), ("few", 2**35)):
        process = forks().Process(target=few_threads, args=(folder_with_data(tmp_path / name), 64, more))
        process.start()
        process.join(JOB_SECONDS)
        said = (tmp_path / name / "terminal.txt").read_text()
        assert process.exitcode == 0, said
        assert bool(
            re.search(r"^only \d+ threads can be started \(.*\); training goes on with these$", said, re.M)
        ) == (name == "few"), said
    same_records(*(open_predictions(tmp_path / name / "run" / STORE).load() for name in ("many", "few")))
