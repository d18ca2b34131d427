"""Where this user's files are kept from one run to the next: downloads, and compiled code."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fpkit.errors import UserError


def folder(name: str) -> Path:
    """The folder of what is kept under this name: in $FPKIT_CACHE or, without it, in the user's cache."""
    base = os.environ.get("FPKIT_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "fpkit")
    return Path(os.path.expanduser(base)) / name


def own_folder(name: str) -> Path:
    """The same folder, made if need be, for what nobody else may put there.

    Raises:
        UserError: it cannot be made, or is not this user's alone.
    """
    place = folder(name)
    if str(place).startswith("~"):
        raise UserError(f"{place}: there is no such home folder")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.stat().st_mode & 0o077:
            with contextlib.suppress(OSError):  # a disk without modes, or somebody else's folder: seen next
                place.chmod(0o700)
    except OSError as error:
        raise UserError(f"{place}: cannot be made ({error.strerror})") from error
    if not is_own(place):
        raise UserError(f"{place}: belongs to another user")
    if place.stat().st_mode & 0o022:
        raise UserError(f"{place}: others may write there")
    return place


def is_own(path: Path) -> bool:
    """Whether a file or folder belongs to the user of this process."""
    return path.stat().st_uid == os.geteuid()
