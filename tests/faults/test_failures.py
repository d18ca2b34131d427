"""Jobs that end for want of memory, or without a word; and which of those that fail are tried again."""

import re
import subprocess

import pytest

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
    assert all(line.startswith("datasets.mine: killed, or crashed, without a word; if for its memory:") for line in lines)
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
