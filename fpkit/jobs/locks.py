"""Processes that would write the same files: one after the other."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fpkit.errors import UserError
from fpkit.jobs import notices

# What disks without `flock` answer: Lustre, NFS, SMB and FUSE, as they are mounted.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
BEAT_SECONDS = 10.0
# So long without a beat, and whoever held a lock on another machine is gone.
GONE_SECONDS = 60.0
LOOK_SECONDS = 0.2


@contextmanager
def alone(lock: str | Path, work: str, patience: float = math.inf) -> Iterator[None]:
    """Hold the file `lock` against other processes; while one of them holds it, say so once and wait.

    What Snakemake started goes on when Snakemake itself is killed, on a cluster even more so; and the next workflow
    begins the same work, perhaps after another recipe. The kernel gives the lock back however its holder ends. Where
    the disk has no such locks, a file that its holder makes, keeps changing and deletes stands for one.

    Args:
        work: what is done under the lock, for the one who waits: `training long/base`.
        patience: seconds to wait for, in silence unless without end.

    Raises:
        UserError: it is still held by then.
    """
    with open(lock, "a+", encoding="utf-8") as stream:
        try:
            _lock(stream, work, patience)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            reason = error.strerror
        else:
            stream.truncate(0)
            print(_owner(), end="", file=stream, flush=True)
            yield
            return
    notices.once(
        f"{_disk(lock)}: this disk has no file locks ({reason}); files called *.held take their place, and one that a"
        f" job killed on another machine left behind holds up the next for {GONE_SECONDS:.0f} s"
    )
    with _held(Path(f"{lock}.held"), work, patience):
        yield


def is_held(lock: str | Path) -> bool:
    """Whether a process, this one perhaps, holds the file `lock`."""
    try:
        with open(lock, encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:  # it is not there, or the disk has no locks
        return error.errno in NO_LOCKS and Path(f"{lock}.held").exists()
    return False


def _lock(stream: TextIO, work: str, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            stream.seek(0)
            owner = stream.read()
        if time.monotonic() >= until:
            raise _busy(owner, work)
        if patience == math.inf:
            _say(owner, work)
            fcntl.flock(stream, fcntl.LOCK_EX)
            return
        time.sleep(LOOK_SECONDS)


def _busy(owner: str, work: str) -> UserError:
    return UserError(f"another process ({owner}) is {work}; wait for it to end, or give each a place of its own")


def _say(owner: str, work: str, remedy: str = "") -> None:
    said = f"another process ({owner}) is {work}; waiting for it to end{remedy}"
    for out in dict.fromkeys((sys.stdout, sys.stderr)):  # a job's log, and the terminal
        print(said, file=out, flush=True)


def _owner() -> str:
    return f"{os.getpid()} on {platform.node()}"


def _disk(path: str | Path) -> Path:
    """The folder where the file system of `path` is mounted."""
    place = Path(path).resolve()
    return next(folder for folder in (place, *place.parents) if os.path.ismount(folder))


# --- a file for a lock ------------------------------------------------------------------------------------------------


@contextmanager
def _held(file: Path, work: str, patience: float) -> Iterator[None]:
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, ended), daemon=True)
    beating.start()
    try:
        _take(file, work, patience)
        yield
    finally:
        ended.set()
        beating.join()
        if _is_mine(file):
            file.unlink()


def _take(file: Path, work: str, patience: float) -> None:
    """Make the file, once nobody has it."""
    seen, since, said = "", time.monotonic(), patience < math.inf
    until = time.monotonic() + patience
    while True:
        try:
            with open(file, "x", encoding="utf-8") as stream:
                stream.write(f"{_owner()}\n")
            return
        except FileExistsError:
            content = _read(file)
        if content != seen:
            seen, since = content, time.monotonic()
        owner = content.partition("\n")[0]
        pid, _, machine = owner.partition(" on ")
        # A process of this machine may be stopped for long, and go on.
        here = machine == platform.node() and pid.isdigit()
        if not _lives(int(pid)) if here else time.monotonic() - since > GONE_SECONDS:
            _take_away(file, content)
            continue
        if time.monotonic() >= until:
            raise _busy(owner, work)
        if not said and owner:
            _say(owner, work, f"; if there is none, delete {file}")
            said = True
        time.sleep(LOOK_SECONDS)


def _take_away(file: Path, content: str) -> None:
    """Delete the file of a process that is gone, unless somebody else just did and made it his own."""
    aside = file.with_name(f"{file.name}.{_owner()}")
    try:
        file.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_text(encoding="utf-8") == content:
        aside.unlink()
    else:
        aside.rename(file)


def _beat(file: Path, ended: threading.Event) -> None:
    """Change the file now and then, for others to see that its holder lives."""
    beats = 0
    while not ended.wait(BEAT_SECONDS):
        beats += 1
        if _is_mine(file):
            file.write_text(f"{_owner()}\n{beats}", encoding="utf-8")


def _is_mine(file: Path) -> bool:
    return _read(file).partition("\n")[0] == _owner()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
