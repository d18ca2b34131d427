"""The store that one process records to: opened to be gone on with, written as records come, ended with the process."""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import json
import os
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from fpkit.datasets.points import features
from fpkit.errors import UserError
from fpkit.jobs import locks
from fpkit.store.arrays import DESCRIPTION, DESCRIPTIONS
from fpkit.store.predictions import Writer

if TYPE_CHECKING:
    from fpkit.recording.coefficients import Coefficients

# Whoever loaded data for a training that was killed ends some seconds after it, and holds its files until then.
WAIT_SECONDS = 20.0
# Records are written as they come; where writing takes long, less often: for at most this part of the time.
WRITING = 0.1
# What makes the numbers of a record others.
HOW = ("outputs", "split", "basis")
# Of this process, by path: a notebook makes a new recorder where it has one, and the last one writes until the end.
OPEN: dict[Path, Store] = {}


class Store:
    """The store that a process writes to, alone; it ends with the process, too."""

    def __init__(self, path: Path, member: int):
        self.path, self.member = path, member
        self.writer: Writer | None = None
        self.about: dict[str, Any] = {}
        self.process = os.getpid()
        self.written, self.took, self.failed = 0.0, 0.0, False
        self.held = contextlib.ExitStack()
        if before := OPEN.get(path):
            before.end()
        if path.exists() and not _is_store(path):
            what = "is a folder of other things" if path.is_dir() else "is a file"
            raise UserError(f"{path}: {what}; give the recorder another path")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.held.enter_context(locks.alone(lock_of(path), f"recording to {path}", WAIT_SECONDS))
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); give another path") from error
        OPEN[path] = self

    def open(
        self,
        step: int,
        x: np.ndarray,
        y: np.ndarray | None,
        scores: list[str],
        outputs: int,
        along: Coefficients | None,
        about: dict[str, Any],
    ) -> set[str]:
        """Open the store to append from a step on; what it holds of later steps is forgotten.

        Returns:
            Which scores of what it holds are the user's own.
        """
        ended, recorded = _told(self.path)
        content = [] if along is None else ["error_norm", "error_overlap"]
        functions = None if along is None else along.rows.shape[1]
        writer = Writer(self.path, [self.member], len(x), outputs, [*scores, *content], functions)
        writer.drop_damaged()
        if writer.records:
            steps = writer.kept("step")
            kept = int(np.searchsorted(steps, step))
            if not _same_points(writer, x, y) or self.member != int(writer.kept("member")[0]):
                writer.begin_anew("holds other probe points, or another member")
            elif any(recorded.get(key) != about["recipe"]["record"].get(key) for key in HOW):
                writer.begin_anew("was recorded in another way (outputs, part, coefficients)")
            elif kept == 0 and ended:
                writer.begin_anew(f"holds a training that ended at step {steps[-1]}")
            elif kept < len(steps):
                writer.truncate(kept)
        if not writer.records:
            writer.forget("first_prediction")
        if writer.kept("x") is None:
            writer.keep("x", x, ["sample", *features(x)])
            if y is not None:
                writer.keep("y", y, ["sample", "output"])
        if along is not None:
            along.start(writer)
        own = set(recorded.get("given", ())) if writer.records else set()
        writer.describe(**about)
        self.writer, self.about = writer, about
        return own

    def append(self, step: int, kept: np.ndarray, scores: Mapping[str, float]) -> None:
        """Add a record; write it at once, or with later ones where writing takes long."""
        if self.writer is None:
            raise UserError(
                f"{self.path}: another Recorder of this process has taken over; give each a path of its own"
            )
        began = time.perf_counter()
        try:
            self.writer.append(step, kept[None], **{name: np.float32([value]) for name, value in scores.items()})
            if began - self.written < self.took / WRITING:
                return
            self.writer.flush()
        except OSError as error:  # a full disk ends no training: records are kept, and tried again
            if not self.failed:
                told = f"{self.path}: cannot be written ({error.strerror or error}); records are kept in memory for now"
                warnings.warn(told, RuntimeWarning, stacklevel=4)
            self.failed = True
        else:
            self.failed = False
        self.written = time.perf_counter()
        self.took = self.written - began

    def end(self, about: dict[str, Any] | None = None) -> None:
        """Write what is left, and let others write; of a process that was forked off, do nothing."""
        if os.getpid() != self.process:
            return
        with self.held:
            if OPEN.get(self.path) is self:
                del OPEN[self.path]
            if self.writer is not None:
                self.writer.flush()
                self.writer.describe(**(about or self.about))
                self.writer = None


def _end_all() -> None:
    for store in list(OPEN.values()):
        store.end()


# Before the threads that Zarr writes with are ended: at `atexit` they are gone. Last registered, first called, so after
# those of concurrent.futures.
concurrent.futures.thread  # noqa: B018
threading._register_atexit(_end_all)


def lock_of(path: Path) -> Path:
    """The file that whoever records to a store holds."""
    return path.with_name(f".{path.name}.lock")


def _is_store(path: Path) -> bool:
    """Whether a folder is empty, or holds what a recorder writes and nothing else."""
    if not path.is_dir():
        return False
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    # A process may have been killed right after it began one.
    return names <= {DESCRIPTION} or ("member" in names and names <= {*DESCRIPTIONS, DESCRIPTION})


def flush(path: Path) -> None:
    """Write what this process has gathered for a store, if it records to it."""
    store = OPEN.get(path.resolve())
    if store is not None and store.writer is not None:
        store.writer.flush()


def recorded_before(path: Path, step: int) -> int | None:
    """The last step before another one that a store holds; None if there is none, or no store."""
    try:
        steps = zarr.open_array(path / "step", mode="r")[:]
    except (OSError, KeyError, TypeError, ValueError):  # not there, or damaged, which is told when it is opened
        return None
    earlier = steps[steps < step]
    return int(earlier[-1]) if len(earlier) else None


def _told(path: Path) -> tuple[bool, dict[str, Any]]:
    """Whether the training that a store holds has ended, and how it was recorded; of none, nothing."""
    try:
        attributes = json.loads((path / DESCRIPTION).read_text())["attributes"]
        return bool(attributes.get("ended")), json.loads(attributes["recipe"])["record"]
    except (OSError, KeyError, TypeError, ValueError):
        return False, {}


def _same_points(writer: Writer, x: np.ndarray, y: np.ndarray | None) -> bool:
    held = writer.kept("x"), writer.kept("y")
    return all(
        (one is None) == (other is None) and (one is None or np.array_equal(one, other))
        for one, other in zip(held, (x, y), strict=True)
    )
