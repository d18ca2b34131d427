"""What is said once in a run, however many of its processes find it out."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

# The environment variable that names the folder in which a run's processes note what they said.
FOLDER = "FPKIT_NOTICES"
SUFFIX = ".said"


def once(line: str) -> None:
    """Say `line` here, in a job's log; on the terminal too if no other process of the run did so before."""
    print(line, flush=True)
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    note = Path(folder) / f"{hashlib.sha256(line.encode()).hexdigest()[:16]}{SUFFIX}"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch(exist_ok=False)
        note.write_text(f"{platform.node()}\n{line}", encoding="utf-8")
    except OSError:
        if note.exists():
            return
    print(line, file=sys.stderr, flush=True)


def begin(folder: str | Path) -> None:
    """Begin a run: forget what the one before said."""
    for note in Path(folder).glob(f"*{SUFFIX}"):
        note.unlink(missing_ok=True)


def end(folder: str | Path) -> None:
    """End a run: say here what was said on other machines, whose terminal is a file."""
    for note in sorted(Path(folder).glob(f"*{SUFFIX}")):
        machine, _, line = note.read_text(encoding="utf-8").partition("\n")
        if line and machine != platform.node():
            print(f"{line} (on {machine})", file=sys.stderr, flush=True)
