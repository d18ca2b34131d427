"""Results that move to another folder or machine."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Project, same_records

from faults.test_files import assert_same_results


@pytest.mark.workflow
def test_copy_with_its_times_reruns_nothing_and_goes_on(made, tmp_path):
    """As `cp -a`, `rsync -a` and `tar` make it."""
    copy = Project(tmp_path / "elsewhere/copy")
    copy.folder.parent.mkdir()
    subprocess.run(["cp", "-a", str(made.folder), str(copy.folder)], check=True)
    assert copy.plan(overlays=()) == set()

    before = made.predictions("short/base")
    copy.edit("config.yaml", "steps: 100", "steps: 200")
    copy.make("figures", overlays=())
    assert "continuing from step 100" in copy.log("runs/short/base.log")
    same_records(made.predictions("short/base"), before)
    same_records(copy.predictions("short/base").isel(step=slice(0, before.sizes["step"])), before)


@pytest.mark.workflow
def test_copy_without_its_times_is_as_good_once_touched(made, tmp_path):
    """As `cp -r` and `git` make it: Snakemake goes by times where it kept no checksum, and remakes what it must."""
    copy = Project(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder, copy_function=shutil.copyfile)
    remade = copy.plan(overlays=())
    assert not remade & {"make_dataset sines"}
    copy.make("figures", "--touch", overlays=())
    assert copy.plan(overlays=()) == set()

    again = Project(tmp_path / "again")
    shutil.copytree(made.folder, again.folder, copy_function=shutil.copyfile)
    again.make("figures", overlays=())
    assert "continuing from step 100" in again.log("runs/short/base.log") or "train short/base" not in remade
    assert_same_results(again, made)


@pytest.mark.workflow
def test_results_know_no_absolute_path(made):
    """Logs, benchmarks and Snakemake's own notes aside."""
    kept = [made / "results" / part for part in ("datasets", "runs", "spectra", "checkpoints", "figures", "claims.csv")]
    files = [file for part in kept for file in ([part] if part.is_file() else part.rglob("*")) if file.is_file()]
    assert len(files) > 20
    for file in files:
        for folder in (made.folder, Path.home(), Path(__file__).parents[2]):
            assert f"{folder}/".encode() not in file.read_bytes(), file
