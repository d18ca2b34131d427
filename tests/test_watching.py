"""`fpkit watch`: what it shows of recorded trainings, in a terminal and on a page, while they go on."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until

import fpkit
from fpkit import watching
from fpkit.errors import UserError

ROOT = Path(__file__).parents[1]
LINE = np.arange(32)[:, None] / 32
WAVES = np.stack([np.sin(2 * np.pi * k * LINE[:, 0]) for k in (1, 3)])
POINTS = np.random.default_rng(0).standard_normal((60, 3))


def outputs(step: int) -> np.ndarray:
    return ((1 - np.exp(-step / np.array([2, 40]))) @ WAVES)[:, None]


def recorded(path, steps, member=0) -> None:
    with fpkit.Recorder(path, LINE, WAVES.sum(axis=0), member=member, when=lambda step: True) as recorder:
        for step in steps:
            recorder.append(step, outputs(step))


def watch(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "fpkit.cli", "watch", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"COLUMNS": "100", "PATH": "/usr/bin:/bin"}
    )


def test_a_terminal_shows_what_remains_by_frequency(tmp_path):
    for member in range(6):
        recorded(tmp_path / f"seed{member}.zarr", range(12), member)
    done = watch(tmp_path / "seed*.zarr", "--once")
    assert done.returncode == 0, done.stderr
    assert "step 11, 12 records, 6 members; lead until now 0." in done.stdout
    rows = dict(re.findall(r"│ +(\d) │ +(-?\d\.\d\d) │", done.stdout))
    assert float(rows["1"]) == pytest.approx(np.exp(-11 / 2), abs=0.006)
    assert float(rows["3"]) == pytest.approx(np.exp(-11 / 40), abs=0.006)


def test_a_page_shows_a_picture_and_refreshes_itself(tmp_path):
    recorded(tmp_path / "a.zarr", range(12))
    done = watch(tmp_path / "a.zarr", "--once", "--html", tmp_path / "page.html", "--every", "7")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert '<meta http-equiv="refresh" content="7">' in page
    assert page.count("<svg") == 1
    assert "step 11, 12 records, 1 member" in page


def test_it_follows_a_training_that_goes_on(tmp_path):
    recorded(tmp_path / "a.zarr", range(3))
    seen = []

    def training(seconds: float) -> None:
        seen.append(re.search(r"step (\d+)", (tmp_path / "page.html").read_text())[1])
        if len(seen) == 3:
            raise KeyboardInterrupt
        recorded(tmp_path / "a.zarr", range(3 * len(seen), 3 * len(seen) + 3))

    with pytest.raises(KeyboardInterrupt):
        watching.watch([str(tmp_path / "a.zarr")], html=str(tmp_path / "page.html"), sleep=training)
    assert seen == ["2", "5", "8"]


@pytest.mark.workflow
def test_a_workflow_s_own_training_is_looked_at_where_its_run_will_be(project):
    overlays = project.overlay("experiments: {synthetic: {training: {steps: 10000000}}}")
    project.start("results/runs/synthetic/base", overlays=overlays)
    checkpoints = project / "results/checkpoints/synthetic/base"
    wait_until(lambda: list(checkpoints.glob("*/predictions.zarr/step/c/*")), "the first records")
    done = watch(project / "results/runs/synthetic/base", "--once")
    assert done.returncode == 0, done.stderr
    assert re.search(r"step [\d,]+, \d+ records, 3 members", done.stdout)


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        (LINE, "fft"),
        (np.sort(np.random.default_rng(0).random((40, 1)), axis=0), "graph"),
        (np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), axis=-1).reshape(-1, 2), "radial"),
        (1 - 2 * (np.arange(8)[:, None] >> np.arange(3) & 1), "walsh"),
        (POINTS, "graph"),
    ],
)
def test_the_measure_suits_the_points(tmp_path, points, wanted):
    y = np.random.default_rng(1).standard_normal(len(points))
    with fpkit.Recorder(tmp_path / "a.zarr", points, y) as recorder:
        recorder.append(0, 0 * y)
        recorder.append(1, y / 2)
        recorder.append(2, y)
    assert watching.look([str(tmp_path / "a.zarr")]).notes.split("; ")[0] == wanted


def test_of_many_points_some_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "MOST_POINTS", 20)
    y = POINTS[:, 0]
    with fpkit.Recorder(tmp_path / "a.zarr", POINTS, y) as recorder:
        recorder.append(0, 0 * y)
        recorder.append(1, y)
    assert watching.look([str(tmp_path / "a.zarr")]).notes == "graph; 20 of 60 points"


def test_coefficients_are_looked_at_along_their_own_basis(tmp_path):
    y = POINTS[:, 0]
    with fpkit.Recorder(tmp_path / "a.zarr", POINTS, y, coefficients={"graph": {}}) as recorder:
        for step in range(4):
            recorder.append(step, y * step / 4)
    assert watching.look([str(tmp_path / "a.zarr")]).notes == "graph"


def test_nothing_to_look_at_is_one_line(tmp_path):
    done = watch(tmp_path / "none*.zarr", "--once")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "no such store; give the path of a recorded run, or a pattern that finds some"
    )
    recorded(tmp_path / "a.zarr", [0])
    done = watch(tmp_path / "a.zarr", "--once")
    assert done.stderr.splitlines()[-1].endswith("1 records until now; it takes two")
    recorded(tmp_path / "a.zarr", [1])
    with pytest.raises(UserError, match="measure 'grph': give one of fft"):
        watching.look([str(tmp_path / "a.zarr")], "grph")
