"""Folders of every name: what a shell takes for its own is part of it."""

import os
import shutil
import subprocess

import pytest
from conftest import JOB_SECONDS, REPOSITORY, copy_sources, environment, environment_in, same_records

pytestmark = pytest.mark.workflow

FOLDER = "My Projects/user's work & co (é, $HOME; `x`)"


def test_a_folder_whose_name_a_shell_would_take_apart(made, tmp_path):
    """As `make` does it: the environment inside, all jobs, the report, and nothing left to do."""
    project = copy_sources(tmp_path / FOLDER)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, project.folder)
    shutil.copy(made / "config.yaml", project.folder)
    environment_in(project.folder)

    def make(*arguments: str) -> str:
        done = subprocess.run(
            ["make", *arguments], cwd=project.folder, env=environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=JOB_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    make("figures")
    for name in ("figures/short.svg", "figures/claims.png", "claims.csv"):
        assert (project / "results" / name).stat().st_size > 0
    same_records(project.predictions("short/base"), made.predictions("short/base"))
    make("report")
    assert (project / "results/report.html").stat().st_size > 0
    assert "Nothing to be done" in make("figures")


def test_rules_that_are_shell_commands_run_there(tmp_path):
    project = copy_sources(tmp_path / FOLDER)
    table = project / "results/benchmarks/training.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        "row,case,algorithm,threads,contender,ms_per_step\n"
        "measurement,small,adam,1,fpkit,1.0\nmeasurement,small,adam,1,loop,2.0\n"
    )
    command = project.command("results/benchmarks/training.svg", overlays=())
    done = subprocess.run(
        [environment_in(project.folder) / "bin/python", *command[1:]],
        cwd=project.folder, env=environment(), capture_output=True, text=True, timeout=JOB_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results/benchmarks/training.svg").stat().st_size > 0


def test_a_folder_that_python_itself_would_take_apart_is_one_line(tmp_path):
    project = copy_sources(tmp_path / f"one{os.pathsep}two")
    done = project.snakemake("--dry-run", "figures", overlays=())
    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines()[-1] == (
        f"{project.folder}: Python parts paths at '{os.pathsep}'; rename the folder, or work in another"
    )
