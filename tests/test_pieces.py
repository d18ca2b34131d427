"""Long work in pieces: who takes up what is kept of it; a killed decomposition ends with the same bits."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from conftest import REPOSITORY

from fpkit.measures import pieces


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(pieces, "SECONDS", 0)


def work(path, key: str = "this", until: int = 5) -> tuple[list[int], np.ndarray]:
    """Which pieces of five were done, and what they add up to; it is interrupted before one of them."""
    total, done = np.zeros(3), []
    try:
        with pieces.keeping(path, key):
            for start in pieces.pieces(range(0, 50, 10), {"total": total}):
                if len(done) == until:
                    raise KeyboardInterrupt
                total += start
                done.append(start)
    except KeyboardInterrupt:
        assert until < 5
    return done, total


def test_what_was_done_is_taken_up_and_then_forgotten(tmp_path):
    path = tmp_path / "some/where.npz"
    assert work(path, until=3)[0] == [0, 10, 20]
    done, total = work(path)
    assert done == [30, 40]
    assert total.tolist() == [100] * 3
    assert list(path.parent.iterdir()) == []
    assert work(path)[0] == [0, 10, 20, 30, 40]


def test_other_work_takes_nothing_up(tmp_path):
    work(tmp_path / "a.npz", until=3)
    done, total = work(tmp_path / "a.npz", key="that")
    assert done == [0, 10, 20, 30, 40]
    assert total.tolist() == [100] * 3


def test_a_damaged_file_is_told_and_the_one_before_taken(tmp_path, capsys):
    path = tmp_path / "a.npz"
    work(path, until=3)
    path.write_bytes(path.read_bytes()[:-1])
    assert work(path)[0] == [20, 30, 40]
    assert "unreadable" in capsys.readouterr().out


KILLED = """
import os, signal, sys
import numpy as np, xarray as xr
import fpkit
from fpkit.measures import pieces
from fpkit.measures.kinds import filtering

pieces.SECONDS, filtering.COLUMN_BYTES = 0, 1
energies, calls = filtering._energies, [0]

def counted(*arguments):
    calls[0] += 1
    if calls[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return energies(*arguments)

filtering._energies = counted
draw = np.random.default_rng(0)
x, y = draw.standard_normal((60, 3)), draw.standard_normal((60, 1))
h = y * (1 - np.exp(-np.arange(12) / 4))[:, None, None, None] + 0.1 * draw.standard_normal((12, 2, 60, 1))
with pieces.keeping(sys.argv[1] + ".npz", "key"):
    spectra = fpkit.measures.filtering(h.astype(np.float32), x, y)
spectra.drop_attrs().to_netcdf(sys.argv[1] + ".nc")
"""


def test_a_killed_filtering_goes_on_and_ends_with_the_same_bits(tmp_path):
    def run(name: str, killed_at: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", KILLED, str(tmp_path / name), str(killed_at)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    assert run("whole", 0).returncode == 0
    assert run("killed", 8).returncode == -signal.SIGKILL
    done = run("killed", 0)
    assert done.returncode == 0, done.stderr
    assert "7 of 12 pieces were done before" in done.stdout
    whole, again = (xr.load_dataset(tmp_path / f"{name}.nc") for name in ("whole", "killed"))
    assert whole.identical(again)
