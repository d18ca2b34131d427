"""The Makefile's environment: too old a Python, an installation that was cut short, a Python that went away."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, environment_in

pytestmark = pytest.mark.workflow

INSTALLED = ".venv/installed"


@pytest.fixture
def folder(tmp_path) -> Path:
    """What the Makefile makes the environment from."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess:
    """Run make, with a pip that finds no package: what installs anything fails there, at once."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_", "MAKE"))}
    return subprocess.run(
        ["make", *arguments, f"PYTHON={python}"], cwd=folder, env=environment | {"PIP_NO_INDEX": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def remade(folder: Path) -> bool:
    """Whether `make figures` begins the environment anew; the installation that follows fails here, as pip must."""
    (folder / ".venv/marker").touch()
    done = make(folder, "figures")
    assert done.returncode != 0
    return not (folder / ".venv/marker").exists()


@pytest.fixture(scope="module")
def old_python() -> str:
    found = [*Path.home().glob(".pyenv/versions/3.*/bin/python3"), *map(shutil.which, ("python3.10", "python3.9"))]
    for python in filter(None, found):
        program = "import sys; print(sys.version_info < (3, 11))"
        ask = subprocess.run([python, "-c", program], capture_output=True, text=True)
        if ask.stdout == "True\n":
            return str(python)
    pytest.skip("no Python before 3.11 on this machine")


@pytest.mark.parametrize("arguments", [(), ("report", "CONFIG=presets/smoke.yaml")])
def test_too_old_a_python_is_one_line_and_leaves_nothing(folder, old_python, arguments):
    done = make(folder, *arguments, python=old_python)
    line, makes_own = done.stderr.splitlines()
    target = arguments[0] if arguments else "figures"
    pattern = rf"fpkit needs Python 3\.11 or newer, {re.escape(old_python)} is 3\.\d+: make {target} PYTHON=python3\.12"
    assert re.fullmatch(pattern, line), line
    assert makes_own.startswith("make: *** ")
    assert not (folder / ".venv").exists()
    make(folder, *arguments)
    version = subprocess.run([folder / ".venv/bin/python", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"Python {sys.version.split()[0]}\n", "the second, with another Python, gets beyond it"


def test_no_python_at_all_is_one_line(folder):
    line, _ = make(folder, python="python3.99").stderr.splitlines()
    assert line == "fpkit needs Python 3.11 or newer, there is no python3.99: make figures PYTHON=python3.12"


def test_an_installation_that_was_cut_short_begins_anew(folder):
    assert make(folder, "figures").returncode != 0
    assert (folder / ".venv/bin/python").exists()
    assert not (folder / INSTALLED).exists()
    assert remade(folder)


@pytest.mark.parametrize("lost", ["its Python", "its packages"])
def test_an_environment_whose_python_is_gone_or_another_begins_anew(folder, lost):
    environment = environment_in(folder)
    said = make(folder, "--dry-run", "figures").stdout.splitlines()
    assert said == [".venv/bin/python -P -m snakemake --cores all figures "]
    if lost == "its Python":
        for python in (environment / "bin").glob("python*"):
            python.unlink()
    else:  # as where `python3` has become another version, which looks into another folder
        (packages,) = (environment / "lib").glob("python*")
        packages.rename(environment / "lib/python3.0")
    assert remade(folder)


def test_an_environment_that_works_is_brought_up_to_date_and_never_emptied(folder):
    """A failed update, without a network perhaps, leaves what was there."""
    environment_in(folder)
    later = time.time() + 1
    os.utime(folder / "pyproject.toml", (later, later))
    assert not remade(folder)
    assert (folder / INSTALLED).exists()


def test_overlays_reach_snakemake_as_they_are_named(folder):
    environment_in(folder)
    for name in ("Snakefile", "workflow", "fpkit", "config.yaml"):
        (folder / name).symlink_to(REPOSITORY / name)
    for name in ("one's.yaml", "two&more.yaml"):
        (folder / name).write_text(f"experiments: {{none: {name}}}\n")
    done = make(folder, "figures", "CONFIG=one's.yaml two&more.yaml")
    assert re.search(r"^experiments\.none: .*'two&more\.yaml'$", done.stderr, re.MULTILINE), done.stderr
