"""Trainings in processes of their own, forked from one that has imported all they need: no life is spent on that."""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import psutil

import fpkit.training.run
from fpkit.store import predictions
from fpkit.training import trainer


def forks() -> ForkServerContext:
    """Makes such processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fpkit.training.run"])  # and not this module, which its path does not reach
    return context


def live(
    folder: Path,
    recipe: dict,
    checkpoint_seconds: float = 1.0,
    terminal: Path | None = None,
    memory: Path | None = None,
    shard_steps: int = predictions.SHARD_STEPS,
) -> None:
    """Train what `fpkit.training.run.run` is given, on `folder/sines.nc`, to the end.

    Args:
        terminal: file for what is said. memory: file for step and resident memory (MiB) at each record.
        shard_steps: records that a file holds, and memory while it is filled.
    """

    def note(step: int, loss: np.ndarray) -> None:
        if memory:
            with open(memory, "a") as stream:
                print(step, psutil.Process().memory_info().rss / 2**20, file=stream)

    predictions.SHARD_STEPS = shard_steps
    trainer.CHECKPOINT_SECONDS, trainer.CHECKPOINT_SHARE = checkpoint_seconds, 1
    with contextlib.ExitStack() as stack:
        if terminal:
            stream = stack.enter_context(open(terminal, "a", buffering=1))
            stack.enter_context(contextlib.redirect_stdout(stream))
            stack.enter_context(contextlib.redirect_stderr(stream))
        fpkit.training.run.run(folder / "sines.nc", folder / "run", folder / "checkpoints", **recipe, progress=note)
