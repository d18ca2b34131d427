"""Many kills, many steps, many members."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import xarray as xr
from conftest import JOB_SECONDS, same_records, wait_until
from test_interruption import MODEL, RECORD, TRAINING, continued_from

from faults.lives import forks, live
from fpkit.datasets import sines
from fpkit.store.predictions import open_predictions
from fpkit.training.run import STORE

KILLS = 50


def folder_with_data(folder: Path) -> Path:
    folder.mkdir()
    sines.build([1, 2, 3], samples=32, test_samples=16).to_netcdf(folder / "sines.nc", engine="netcdf4")
    return folder


def recipe(**training) -> dict:
    return {"model": MODEL, "training": TRAINING | training, "record": RECORD}


def records(folder: Path) -> xr.Dataset:
    return open_predictions(folder / "run" / STORE).load()


def test_fifty_kills_and_resumes_end_with_the_same_bits(tmp_path, record_property):
    """kill -9 at random moments: while starting, training, writing the store or a checkpoint, publishing."""
    longer, context, moments = recipe(steps=30_000), forks(), random.Random(50)
    whole = folder_with_data(tmp_path / "whole")
    for _ in range(2):  # the first one waits for the imports
        began = time.monotonic()
        undisturbed = context.Process(target=live, args=(whole, longer | {"code": [str(began)]}))
        undisturbed.start()
        undisturbed.join(JOB_SECONDS)
        assert undisturbed.exitcode == 0
        seconds = time.monotonic() - began

    terminal = tmp_path / "terminal.txt"
    folders = [folder_with_data(tmp_path / "0")]
    kills = 0
    while kills < KILLS:
        life = context.Process(target=live, args=(folders[-1], longer, 0.01, terminal))
        life.start()
        life.join(moments.uniform(0.05, 0.6) * seconds)
        life.kill()
        life.join(JOB_SECONDS)
        kills += life.exitcode == -signal.SIGKILL
        if life.exitcode == 0:
            folders.append(folder_with_data(tmp_path / f"{len(folders)}"))
        else:
            assert life.exitcode == -signal.SIGKILL, terminal.read_text()
    live(folders[-1], longer)

    for folder in folders:
        same_records(records(folder), records(whole))
    resumed = len(continued_from(terminal.read_text()))
    assert resumed > KILLS / 5
    record_property(
        "summary",
        f"{KILLS} cycles: {resumed} lives went on from a checkpoint, {len(folders)} trainings ended, each with the bits"
        " of an undisturbed one",
    )


def test_memory_is_flat_over_many_steps_of_many_members(tmp_path, record_property):
    """Records of 128 KiB: if they were kept, the second half alone would add 17 MiB. Few share a file, so that in the
    first half files were filled already in all the ways there are."""
    folder, noted = tmp_path / "many", tmp_path / "memory.txt"
    folder.mkdir()
    sines.build([1, 2, 3], samples=512, test_samples=0).to_netcdf(folder / "sines.nc", engine="netcdf4")
    many = recipe(members=64, steps=100_000, batch_size=8)
    many |= {"model": MODEL | {"widths": [4]}, "record": RECORD | {"per_decade": 90}}
    life = forks().Process(target=live, args=(folder, many), kwargs={"memory": noted, "shard_steps": 8})
    life.start()
    life.join(JOB_SECONDS)
    assert life.exitcode == 0
    steps, memory = np.loadtxt(noted).T
    assert steps[-1] == 100_000
    half = len(steps) // 2
    before, after = memory[:half].max(), memory[half:].max()
    record_property(
        "summary",
        f"64 members, 100,000 steps: {before:.1f} MiB up to step {steps[half - 1]:.0f}, {after:.1f} MiB after it",
    )
    assert after < before + 8


# --- two processes ----------------------------------------------------------------------------------------------------


def processes_on_one_checkpoint(folder: Path, first: dict, second: dict) -> str:
    """What the second one says, which comes upon the first in the middle of its training."""
    context, terminal = forks(), folder / "terminal.txt"
    early = context.Process(target=live, args=(folder, first, 0.01))
    early.start()
    wait_until(lambda: list(folder.glob("checkpoints/*/state.npz")), "a checkpoint")
    holder = psutil.Process(early.pid)
    holder.suspend()
    late = context.Process(target=live, args=(folder, second, 0.01, terminal))
    late.start()
    said = f"another process ({early.pid} on {os.uname().nodename}) is training this variant; waiting for it to end"
    wait_until(lambda: terminal.exists() and said in terminal.read_text(), "the second to wait")
    assert late.is_alive()
    assert not (folder / "run").exists()
    holder.resume()
    for process in (early, late):
        process.join(JOB_SECONDS)
        assert process.exitcode == 0, terminal.read_text()
    return terminal.read_text()


def test_two_processes_never_write_one_checkpoint(tmp_path):
    folder, longer = folder_with_data(tmp_path / "two"), recipe(steps=20_000)
    said = processes_on_one_checkpoint(folder, longer, longer)
    assert continued_from(said) == []
    assert "already trained, to step 20000" in said, "the second had nothing left to do"
    alone = folder_with_data(tmp_path / "alone")
    live(alone, longer)
    same_records(records(folder), records(alone))


def test_an_orphan_of_an_older_recipe_does_not_have_the_last_word(tmp_path):
    folder, newer = folder_with_data(tmp_path / "two"), recipe(steps=500, learning_rate=0.01)
    said = processes_on_one_checkpoint(folder, recipe(steps=20_000), newer)
    assert continued_from(said) == []
    alone = folder_with_data(tmp_path / "alone")
    live(alone, newer)
    same_records(records(folder), records(alone))
