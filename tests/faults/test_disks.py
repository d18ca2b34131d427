"""Disks that are full, or cannot be written: one line, and with room again the work goes on where it stood."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import Project, copy_sources, same_records

from faults.test_files import assert_same_results, nothing_after
from faults.test_processes import LOG, RUN, Life, continued_from, training_project

READ_ONLY = "results: cannot be written; make it writable, or work in a copy"


def fill(folder: Path, free: int = 0) -> Path:
    """A file that leaves so many bytes on the disk."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(2**16))
        except OSError:
            stream.truncate(max(0, stream.tell() - free))
    return ballast


def told(terminal: str, job: str) -> str:
    """What a job said, in one line and without a traceback."""
    said = [line for line in terminal.splitlines() if line.startswith(f"{job}: ")]
    assert len(said) == 1, terminal
    assert "Traceback" not in terminal
    return said[0]


@pytest.mark.workflow
def test_disk_that_fills_up_in_training_loses_nothing(tmp_path, disk):
    project = training_project(tmp_path / "project", seconds=5)
    undisturbed = copy_sources(tmp_path / "undisturbed", project.folder)
    results = project / "results"
    disk(results, megabytes=8)
    life = Life(project)
    ballast = fill(results)
    assert life.end() == 1
    line = told((project / "terminal.txt").read_text(), "train long/base")
    assert "No space left on device" in line
    assert re.search(r"free some space and run again: .* goes on from its last checkpoint$", line)
    assert not (project / RUN).exists()

    ballast.unlink()
    project.make("figures", overlays=())
    assert continued_from(project.log(LOG)), "the checkpoint was kept"
    assert project.plan(overlays=()) == set()
    undisturbed.make(RUN, overlays=())
    same_records(project.predictions("long/base"), undisturbed.predictions("long/base"))


@pytest.mark.workflow
@pytest.mark.parametrize("free", [2**13, 2**15])
def test_full_disk_in_decomposition_leaves_no_half_spectra(free, small, made, disk):
    on_a_disk(small, disk)
    nothing_after("runs", small)
    ballast = fill(small / "results", free)
    done = small.snakemake("figures", overlays=())
    assert done.returncode == 1
    assert "No space left on device" in told(done.stderr, "decompose short/base/fft")
    assert not list((small / "results/spectra").rglob("*.nc*"))
    ballast.unlink()
    small.make("figures", overlays=())
    assert_same_results(small, made)


@pytest.mark.workflow
@pytest.mark.parametrize("gone", [False, True], ids=["outputs there", "outputs missing"])
def test_read_only_results_are_told_in_one_line(gone, small, disk):
    on_a_disk(small, disk)
    if gone:
        nothing_after("runs", small)
    disk.remount(small / "results", "ro")
    assert bool(small.plan(overlays=())) == gone, "looking needs no writing"
    small.edit("config.yaml", "fft: {}", "fft: {threshold: 0.3}")
    done = small.snakemake("figures", overlays=())
    assert done.returncode == 1
    assert done.stderr.splitlines().count(READ_ONLY) == 1, done.stderr
    assert "Traceback" not in done.stderr
    disk.remount(small / "results", "rw")
    small.make("figures", overlays=())
    assert small.plan(overlays=()) == set()


def on_a_disk(project: Project, disk) -> None:
    """Put the results on a disk of their own, times included."""
    results = project / "results"
    kept = results.rename(project / "kept")
    disk(results, megabytes=8)
    shutil.copytree(kept, results, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(kept)
