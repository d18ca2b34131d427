"""Where stores lie: by path or by pattern. Needs the standard library alone: a workflow asks at each start."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from fpkit.errors import UserError

# The store in the folder of a run that a workflow made.
STORE = "predictions.zarr"


def stores(several: Iterable[str | os.PathLike]) -> list[Path]:
    """The stores at these paths and patterns (`runs/*.zarr`), in the order of their names, each once, whatever names it
    has; of a run its store.

    Raises UserError where there is none.
    """
    named = [os.path.expanduser(os.fspath(one)) for one in several]
    paths = [Path(path) for one in named for path in (sorted(glob.glob(one)) or [one])]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such store; give the path of a recorded run, or a pattern that finds some")
    found = [path / STORE if (path / STORE).is_dir() else path for path in paths]
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())
