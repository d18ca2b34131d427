"""How jobs end: a small file beside a job's log, by which the workflow knows more of a failure than that it was one.

A job that ends well leaves none. One that is killed leaves the file as it was when it began.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fpkit.errors import PassingError, UserError
from fpkit.jobs import shortage


@dataclass
class Ending:
    """What is known of the end of a job.

    Args:
        name: the job's. remedy: against too little memory, in words.
        kind: `killed` (it could not say anything any more), `short of memory`, `final` (it would fail the same way
            again) or `failed`.
    """

    name: str
    remedy: str
    kind: str = "killed"


@contextmanager
def noted(log: str | Path, name: str, remedy: str) -> Iterator[None]:
    """Note how the job ends that is run here."""
    _write(log, Ending(name, remedy))
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk, of which the error itself may tell
            _write(log, Ending(name, remedy, _kind(error)))
        raise
    _file(log).unlink(missing_ok=True)


def take(log: str | Path) -> Ending | None:
    """What the failed job with this log has left, once; None where it never began, or on another disk."""
    try:
        ending = Ending(**json.loads(_file(log).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None
    _file(log).unlink(missing_ok=True)
    return ending


def _kind(error: BaseException) -> str:
    short = shortage.of(error)
    if short == "memory":
        return "short of memory"
    final = short == "GPU memory" or (isinstance(error, UserError) and not isinstance(error, PassingError))
    return "final" if final and short != "threads" else "failed"


def _write(log: str | Path, ending: Ending) -> None:
    # In place: on a network's disk, a file that was replaced is seen later than one that was written.
    _file(log).write_text(json.dumps(asdict(ending)), encoding="utf-8")


def _file(log: str | Path) -> Path:
    return Path(log).with_name(f".{Path(log).name}.ending")
