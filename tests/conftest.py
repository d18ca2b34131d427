"""Projects in which Snakemake is run for real: copies of this repository, each in a folder of its own."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

import fpkit.training.run
from fpkit.store.predictions import open_predictions

REPOSITORY = Path(__file__).parents[1]
SOURCES = ("Snakefile", "config.yaml", "presets", "profiles", "workflow", "fpkit", "benchmarks")
SMOKE = "presets/smoke.yaml"
# Memory is measured, and bounded, as Linux does it.
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is not told or bounded so on this system")

JOB_SECONDS = 300  # no job of a test takes this long: whoever waits longer waits for ever

STARTED: list[subprocess.Popen] = []


class Project:
    """A folder with the sources of fpkit, and perhaps with results."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    def command(self, *arguments: str, overlays=(SMOKE,)) -> list[str]:
        # -P: as the console script `snakemake` does, leave the current folder out of sys.path.
        command = [sys.executable, "-P", "-m", "snakemake", "--cores", "2", *arguments]
        return [*command, "--configfile", *map(str, overlays)] if overlays else command

    def start(self, *arguments: str, overlays=(SMOKE,)) -> subprocess.Popen:
        """Snakemake in a process group of its own, as a shell would start it; all it says goes to `terminal.txt`."""
        with open(self / "terminal.txt", "wb") as terminal:
            snakemake = subprocess.Popen(
                self.command(*arguments, overlays=overlays),
                cwd=self.folder, env=environment(), stdout=terminal, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
                # Whoever runs the tests in the background may have them ignore Ctrl-C, and all they start with them.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        STARTED.append(snakemake)
        return snakemake

    def snakemake(self, *arguments: str, overlays=(SMOKE,)) -> subprocess.CompletedProcess:
        """Run Snakemake to its end, whatever that is."""
        return subprocess.run(
            self.command(*arguments, overlays=overlays),
            cwd=self.folder, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=JOB_SECONDS,
        )  # fmt: skip

    def make(self, *arguments: str, overlays=(SMOKE,)) -> subprocess.CompletedProcess:
        """Run Snakemake; it must succeed."""
        done = self.snakemake(*arguments, overlays=overlays)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def plan(self, *targets: str, overlays=(SMOKE,)) -> set[str]:
        """The jobs Snakemake would run for `targets` (figures): `train images/dataset~digits+model~mlp`."""
        done = self.make("--dry-run", *(targets or ["figures"]), overlays=overlays)
        jobs = planned_jobs(done.stdout)
        assert bool(jobs) != ("Nothing to be done" in done.stdout), done.stdout
        return jobs

    def overlay(self, text: str, name: str = "overlay.yaml") -> tuple[str, str]:
        """The smoke preset, and `text` on top of it."""
        (self / name).write_text(text)
        return SMOKE, name

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one occurrence of `old`."""
        text = (self / path).read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        (self / path).write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        (self / path).write_text((self / path).read_text() + text)

    def log(self, path: str) -> str:
        """A job's log; empty before the job began."""
        path = self / "results/logs" / path
        return path.read_text() if path.exists() else ""

    def predictions(self, variant: str) -> xr.Dataset:
        return xr.load_dataset(self / f"results/runs/{variant}/predictions.zarr", engine="zarr", consolidated=False)


def run(dataset: Path, output: Path, checkpoints: Path, **recipe) -> xr.Dataset:
    """The predictions of a finished run, lazily."""
    fpkit.training.run.run(dataset, output, checkpoints, **recipe)
    return open_predictions(Path(output) / fpkit.training.run.STORE)


def same_records(one: xr.Dataset, other: xr.Dataset) -> None:
    """Every bit of every array is the same."""
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        assert one[name].dtype == other[name].dtype
        assert one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes(), name


def wait_until(condition, what: str):
    """What `condition` returns, once it is true."""
    end = time.monotonic() + JOB_SECONDS
    while not (result := condition()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)
    return result


def environment() -> dict[str, str]:
    """The user's, without what would lead to another fpkit or to another configuration of Snakemake."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SNAKEMAKE", "PYTEST"))}


def planned_jobs(report: str) -> set[str]:
    """`rule value/value` of each job in a dry run's report."""
    jobs = []
    for rule, block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", report, re.MULTILINE):
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        values = [pair.split("=", 1)[1] for pair in wildcards[1].split(", ")] if wildcards else []
        jobs.append(" ".join([rule, "/".join(values)]).strip())
    total = re.search(r"^total +(\d+)$", report, re.MULTILINE)
    assert len(jobs) == (int(total[1]) if total else 0), f"found {jobs} in\n{report}"
    assert len(set(jobs)) == len(jobs)
    return set(jobs)


def copy_sources(folder: Path, source: Path = REPOSITORY) -> Project:
    """The sources as a checkout leaves them: without results, and modified just now."""
    ignored = shutil.ignore_patterns("__pycache__", "results", ".snakemake")
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=ignored, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source / name, folder / name)
    return Project(folder)


def environment_in(folder: Path) -> Path:
    """A virtual environment where `make` puts it, which takes its packages from the one that runs the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (packages,) = (folder / ".venv/lib").glob("python*/site-packages")
    (packages / "theirs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / ".venv/installed").touch()
    return folder / ".venv"


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """However a test ends, what it started ends with it, and what it drew."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
    while STARTED:
        snakemake = STARTED.pop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(snakemake.pid, signal.SIGKILL)
        snakemake.wait()


@pytest.fixture
def project(tmp_path) -> Project:
    """Sources alone; nothing was ever run."""
    return copy_sources(tmp_path / "project")


def once_for_all_workers(tmp_path_factory, worker_id: str, name: str, make: Callable[[Path], None]) -> Path:
    """A folder of this name that the first worker to ask makes, and the others wait for."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / f"{name}.made").exists():
            assert not (shared / name).exists(), "it failed; another worker tells why"
            make(shared / name)
            (shared / f"{name}.made").touch()
    return shared / name


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, worker_id) -> Project:
    """The smoke preset, run to its end, once for all workers. Shared: look, do not touch."""

    def make(folder: Path) -> None:
        copy_sources(folder).make("figures")

    return Project(once_for_all_workers(tmp_path_factory, worker_id, "finished_run", make))


@pytest.fixture
def finished(finished_run, tmp_path) -> Project:
    """A copy of the finished run, times included, to be edited at will."""
    return Project(shutil.copytree(finished_run.folder, tmp_path / "finished", symlinks=True))
