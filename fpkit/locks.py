"""Processes that would write the same files: one after the other."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock: str | Path, work: str) -> Iterator[None]:
    """Hold the file `lock` against other processes; while one of them holds it, say so once and wait.

    What Snakemake started goes on when Snakemake itself is killed, on a cluster even more so; and the next workflow
    begins the same work, perhaps after another recipe. The kernel gives the lock back however its holder ends.

    Args:
        work: what is done under the lock, for the one who waits: `training long/base`.
    """
    with open(lock, "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            said = f"another process ({stream.read()}) is {work}; waiting for it to end"
            for out in dict.fromkeys((sys.stdout, sys.stderr)):  # a job's log, and the terminal
                print(said, file=out, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        print(f"{os.getpid()} on {platform.node()}", end="", file=stream, flush=True)
        yield
