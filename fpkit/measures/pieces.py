"""Long work in pieces, of which those that are done are kept: a job that was killed goes on behind them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fpkit.store import checkpoint

# At most so often pieces are kept.
SECONDS = 60.0

_kept: tuple[Path, str] | None = None


@contextmanager
def keeping(path: str | Path, key: str) -> Iterator[None]:
    """Inside, `pieces` keeps what is done at `path`, until the end of this context is reached.

    Args:
        key: what the work is: of another key nothing is taken up.
    """
    global _kept
    _kept = Path(path), key
    try:
        yield
    finally:
        file, _kept = _kept[0], None
    for one in (file, checkpoint.before(file)):
        one.unlink(missing_ok=True)


def pieces(starts: Sequence[int], arrays: dict[str, np.ndarray]) -> Iterator[int]:
    """Those of `starts` that are still to be done; before the first one, `arrays` hold what the others had left.

    Args:
        arrays: what the pieces fill in, each its own part, or sums that all of them add to.
    """
    done, saved = _take_up(starts, arrays), time.monotonic()
    for number, start in enumerate(starts):
        if number < done:
            continue
        yield start
        if _kept and number + 1 < len(starts) and time.monotonic() - saved >= SECONDS:
            file, key = _kept
            file.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(file, {"key": key, "pieces": len(starts), "done": number + 1, "arrays": arrays})
            saved = time.monotonic()


def _take_up(starts: Sequence[int], arrays: dict[str, np.ndarray]) -> int:
    """How many pieces are done."""
    if _kept is None:
        return 0
    for state in checkpoint.load(_kept[0]):
        if (state["key"], state["pieces"]) == (_kept[1], len(starts)) and state["arrays"].keys() == arrays.keys():
            for name, values in state["arrays"].items():
                arrays[name][...] = values
            print(f"{state['done']} of {len(starts)} pieces were done before", flush=True)
            return state["done"]
    return 0
