"""What every job script does around its one library call: thread limits, a lock, a log, and errors in one line."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fpkit.errors import UserError
from fpkit.jobs import endings, locks, shortage

# Objects that may lead to each other, as many as a garbage collection waits for.
COLLECTED_AT = 10_000
# Where threads are bound to cores, by the runtimes of OpenMP.
BINDINGS = ("OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_HW_SUBSET")
# What a disk may refuse, and the remedy.
DISK_ERRORS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it accessible",
    errno.EPERM: "make it accessible",
}


@contextmanager
def job(log: str, name: str, threads: int, rule: str, large: str = "") -> Iterator[ExitStack]:
    """Run a job, alone: what it prints goes to `log`, an error that the user can mend is one line there and on the
    terminal. Contexts that are entered into what it gives end with it.

    Enter it before numpy or torch are imported: thread pools read their limits once.

    Args:
        rule: whose job it is. large: what makes it take much memory, as the configuration names it.
    """
    lower = f"lower {large}, " if large else ""
    remedies = {
        "memory": f"{lower}run fewer jobs at once (--cores), or on a cluster ask for more (--set-resources"
        f" {rule}:mem_mb=...)",
        "GPU memory": f"{lower}run fewer trainings at once (--resources gpu=1), or set training.device to cpu",
        "threads": "take fewer `threads`, run fewer jobs at once (--cores), or raise `ulimit -u`",
    }
    # A job imports some hundred thousand objects that live to its end: collected over and over, and once more when it
    # ends, they would make up to half of its start.
    gc.set_threshold(COLLECTED_AT)
    # Where the user's own parts are: behind all else, since one may be called like any module.
    sys.path += filter(None, os.environ.get("FPKIT_PARTS", "").split(os.pathsep))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # Bound to "the first cores", as clusters like to set it, all jobs side by side would share them.
    for variable in BINDINGS:
        os.environ.pop(variable, None)
    os.environ["OMP_PROC_BIND"] = "false"
    # Jobs lock what they write themselves; HDF5's own locks would end those on a disk that has none.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    try:
        with open(log, "w", buffering=1, encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            try:
                with (
                    locks.alone(Path(log).with_name(f".{Path(log).name}.lock"), f"at work on `{name}`"),
                    endings.noted(log, name, remedies["memory"]),
                    ExitStack() as opened,
                ):
                    yield opened
            except Exception as error:
                told = _told(error, log, remedies)
                if told is None:
                    traceback.print_exc(file=stream)
                else:
                    print(f"{name}: {told}", file=stream)
                raise
    except Exception as error:
        # Not where it was raised: the log's disk may be the full one, and its end is reached only here.
        told = _told(error, log, remedies)
        if told is None:
            raise
        print(f"{name}: {told}", file=sys.stderr)
        sys.exit(1)
    finally:
        gc.freeze()


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let libraries find none of these, which they would import and nothing would use.

    To ask whether an array is one of dask's, xarray imports all of dask: longer than a small job takes for all else.
    Of those that were imported already nothing is gained, and nothing happens.
    """
    hidden = [module for module in modules if sys.modules.setdefault(module, None) is None]
    try:
        yield
    finally:
        for module in hidden:
            if sys.modules.get(module, job) is None:
                del sys.modules[module]


def _told(error: Exception, log: str, remedies: dict[str, str]) -> str | None:
    """The one line that tells the user what to mend; None of any other error.

    Args:
        remedies: against too little of what `fpkit.jobs.shortage.of` tells.
    """
    short = shortage.of(error)
    if short:
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return f"out of {short} ({' '.join(why.split()):.300}); {remedies[short]}"
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        folder = Path(log).parent
        where = error.filename or f"{folder}, {shutil.disk_usage(folder).free / 2**20:.1f} MB free"
        return (
            f"{os.strerror(error.errno)} ({where}); {DISK_ERRORS[error.errno]} and run again: what is finished stays,"
            " a training goes on from its last checkpoint"
        )
    return None
