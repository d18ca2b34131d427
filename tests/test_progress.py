"""Progress: lines in the log, bars on a real pseudo-terminal, and no files left behind."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fpkit.jobs import progress
from fpkit.jobs.progress import Progress


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_first_and_last_step_are_logged_with_the_median_loss(tmp_path, capsys):
    with Progress("a/base", 100, tmp_path) as report:
        for step in range(0, 101, 10):
            report(step, np.array([1.0, 3.0, 200.0]))
    first, *_, last = lines(capsys.readouterr().out)
    assert first == "step 0 of 100, median loss 3, just begun"
    assert re.fullmatch(r"step 100 of 100, median loss 3, 0 s left", last)


def test_lines_between_come_every_few_seconds(tmp_path, capsys, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("a/base", 1000, tmp_path) as report:
        for step in range(0, 1001):
            report(step, np.array([0.5]))
            clock[0] += 0.125  # a binary fraction: 40 steps are 5 s, exactly
    found = lines(capsys.readouterr().out)
    logged = [int(line.split()[1]) for line in found]
    assert logged[:3] == [0, 40, 80]
    assert logged[-1] == 1000
    assert len(found) == len(set(logged)) <= 26
    assert found[logged.index(480)].endswith(", 65 s left")  # 520 steps at 0.125 s


def test_remaining_time_of_a_continued_training_counts_from_where_it_began(tmp_path, capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("a/base", 1000, tmp_path) as report:
        report(900, np.array([0.5]))
        clock[0] = 10
        report(950, np.array([0.5]))
    assert lines(capsys.readouterr().out)[-1].endswith(", 10 s left")


def test_nan_loss_is_told_without_complaint(tmp_path, capsys):
    with Progress("a/base", 10, tmp_path) as report:
        report(0, np.array([np.nan, 1.0]))
    assert "median loss nan" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_drawn_and_no_file_is_left(tmp_path, capsys):
    with Progress("a/base", 10, tmp_path / "deep" / "folder") as report:
        report(0, np.array([1.0]))
        report(10, np.array([1.0]))
    assert capsys.readouterr().err == ""
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_foreign_files_beside_the_states_are_passed_over(tmp_path):
    for name, text in {"a.json": "{}", "b.json": "[1]", "c.json": '["d", null]', "e.json": "7"}.items():
        (tmp_path / name).write_text(text)
    with Progress("a/base", 10, tmp_path) as report:
        report.terminal = io.StringIO()
        report(5, np.array([1.0]))
        assert report.terminal.getvalue().strip().removeprefix("\x1b[2K") == "a/base ━━━━━━╌╌╌╌╌╌  50%"


# --- on a terminal ----------------------------------------------------------------------------------------------------

JOB = """
import sys, time
import numpy as np
from fpkit.jobs import progress
progress.DRAW_SECONDS = 0
name, part, ending = sys.argv[1:]
try:
    with progress.Progress(name, 100, "folder") as report:
        report(int(part), np.array([1.0]))
        print("drawn", flush=True)
        sys.stdin.readline()  # until the test has seen enough
        if ending == "fails":
            raise RuntimeError("training failed")
except RuntimeError:
    pass
"""


class Job:
    """A process of its own whose stderr is a pseudo-terminal, 100 columns wide."""

    def __init__(self, folder: Path, name: str, part: int, ending: str = "ends"):
        self.terminal, stderr = pty.openpty()
        environment = os.environ | {"PYTHONPATH": str(Path(progress.__file__).parents[1]), "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, name, str(part), ending],
            cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
        os.close(stderr)
        while self.process.stdout.readline() not in ("drawn\n", ""):
            pass
        self.shown = os.read(self.terminal, 65536).decode()

    def end(self) -> str:
        """Let it end; what it still wrote to the terminal."""
        self.process.communicate("\n")
        rest = ""
        try:
            while chunk := os.read(self.terminal, 65536):
                rest += chunk.decode()
        except OSError:
            pass  # a pseudo-terminal whose other side is closed says so with an error
        os.close(self.terminal)
        return rest


@pytest.mark.parametrize("ending", ["ends", "fails"])
def test_bar_line_shows_all_running_jobs_and_is_wiped_at_the_end(tmp_path, ending):
    one = Job(tmp_path, "synthetic/base", 25)
    assert "synthetic/base ━━━╌╌╌╌╌╌╌╌╌  25%" in one.shown
    two = Job(tmp_path, "images/model~cnn", 50, ending)
    bars = two.shown.split("\x1b[2K")[-1]
    assert "synthetic/base" in bars
    assert "images/model~cnn ━━━━━━╌╌╌╌╌╌  50%" in bars
    assert bars.endswith("\r")
    assert "\n" not in bars  # one line, rewritten in place
    assert len(list((tmp_path / "folder").iterdir())) == 2
    assert two.end().endswith("\x1b[2K\r")
    assert len(list((tmp_path / "folder").iterdir())) == 1  # also after an exception
    one.end()
    assert list((tmp_path / "folder").iterdir()) == []


def test_files_that_are_stale_or_broken_are_ignored(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    stale = folder / "1.json"
    stale.write_text(json.dumps(["killed/job", 0.5]))
    os.utime(stale, (time.time() - 3600,) * 2)
    (folder / "2.json").write_text('["half-writ')
    fresh = folder / "3.json"
    fresh.write_text(json.dumps(["living/job", 1.0]))
    later = time.time() + 600  # fresh however slow this machine is today
    os.utime(fresh, (later, later))
    job = Job(tmp_path, "synthetic/base", 25)
    job.end()
    assert "living/job ━━━━━━━━━━━━ 100%" in job.shown
    assert "killed" not in job.shown
    assert "half" not in job.shown


def test_bar_line_is_never_wider_than_the_terminal(tmp_path):
    job = Job(tmp_path, "x" * 300, 25)
    job.end()
    assert len(job.shown.replace("\x1b[2K", "").strip("\r")) == 99
