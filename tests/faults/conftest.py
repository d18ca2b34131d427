"""Faults done for real: what they share, and the table of docs/reliability.md with its marks at the end."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import REPOSITORY, Project, copy_sources, once_for_all_workers

TABLE = REPOSITORY / "docs/reliability.md"
MARKS = {"failed": "FAILED", "error": "FAILED", "passed": "passed", "skipped": "skipped"}  # the worst first

CONFIGURATION = """
datasets:
  sines: {kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}
experiments:
  short:
    dataset: sines
    model: {kind: mlp, widths: [16]}
    training: {steps: 100, members: 3}
    record: {per_decade: 10}
    decomposition: {fft: {}}
claims:
  order: &claim
    statement: Low first.
    source: Here
    experiment: short
    measure: fft
    statistic: area_order
    bound: {at_least: 0}
  order_hold: {<<: *claim, statistic: hold_order}
figures:
  short: {kind: synthetic, experiment: short}
  claims: {kind: claims}
"""


def rows() -> list[tuple[str, list[str]]]:
    """Fault and tests of each row of the table."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and (tests := re.findall(r"tests/[\w/]+\.py::\w+", line)):
            found.append((line.split("|")[1].strip(), tests))
    return found


def pytest_terminal_summary(terminalreporter, config):
    """The table's rows, each with the mark of its worst test; a row of which no test was run is left out."""
    outcomes = defaultdict(set)
    for mark in MARKS:
        for report in terminalreporter.stats.get(mark, ()):
            outcomes[report.nodeid.split("[")[0].split("@")[0]].add(mark)
    marked = []
    for fault, tests in rows():
        seen = set().union(*(outcomes[test] for test in tests))
        if seen:
            marked.append((next(MARKS[mark] for mark in MARKS if mark in seen), fault))
    if marked:
        terminalreporter.section("faults")
    for mark, fault in marked:
        terminalreporter.write_line(f"{mark:8} {fault}")
    for name in ("passed", "failed"):
        for report in terminalreporter.stats.get(name, ()):
            for key, line in report.user_properties:
                if key == "summary":
                    terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id) -> Project:
    """A tiny workflow run to its end, once for all workers. Shared: look, do not touch."""

    def make(folder: Path) -> None:
        project = copy_sources(folder)
        (project / "config.yaml").write_text(CONFIGURATION)
        project.make("figures", overlays=())

    return Project(once_for_all_workers(tmp_path_factory, worker_id, "made", make))


@pytest.fixture
def small(made, tmp_path) -> Project:
    """A copy of the tiny workflow, times included, to be damaged at will."""
    return Project(shutil.copytree(made.folder, tmp_path / "small", symlinks=True))


@pytest.fixture
def disk():
    """mount(folder, megabytes) puts a disk of its own there, remount(folder, options) changes it."""
    mounted: list[Path] = []

    def mount(folder: Path, megabytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "fpkit-test", str(folder)]
        try:
            done = subprocess.run(["mount", *options], capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no `mount` here")
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        mounted.append(folder)

    def remount(folder: Path, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    mount.remount = remount
    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
