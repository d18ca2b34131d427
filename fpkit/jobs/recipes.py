"""Trainings of other recipes than those whose results are shown: kept, so that a configuration that comes back finds
them.

`python -m fpkit.jobs.recipes` lists them with what they hold, `python -m fpkit.jobs.recipes --clear` deletes them; of
another folder than `results`, where one is named.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fpkit.jobs import locks

RESULTS = Path("results")


def others(results: Path = RESULTS) -> Iterator[Path]:
    """Folders below `results/checkpoints` of trainings that are not those in `results/runs`.

    Where a variant has no run, as while it trains, the training last begun or taken up is not counted among them.
    """
    for variant in sorted((results / "checkpoints").glob("*/*/")):
        trainings = sorted((path for path in variant.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        shown = _shown(results / "runs" / variant.relative_to(results / "checkpoints"))
        if shown not in {path.name for path in trainings}:
            trainings, shown = trainings[:-1], None
        yield from (path for path in trainings if path.name != shown)


def _shown(run: Path) -> str | None:
    """The name of the training that a run was made from."""
    try:
        return json.loads((run / "predictions.zarr/zarr.json").read_text())["attributes"]["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is damaged, which its reader tells


def held(folder: Path) -> int:
    """Bytes that deleting a folder gives back: files with other names elsewhere stay."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(file.st_size for file in files if file.st_nlink == 1)


def summary(results: Path = RESULTS) -> str | None:
    """How much all of them hold, in one line; None where there are none."""
    found = [held(folder) for folder in others(results)]
    if not found:
        return None
    command = "python -m fpkit.jobs.recipes" + (f" {shlex.quote(str(results))}" if results != RESULTS else "")
    trainings = "1 training" if len(found) == 1 else f"{len(found):,} trainings"
    return (
        f"{results / 'checkpoints'}: {trainings} of other recipes, kept in case they come back,"
        f" {_in_words(sum(found))}; `{command}` lists them, `{command} --clear` deletes them"
    )


def clear(results: Path = RESULTS) -> None:
    """Delete them all."""
    for folder in list(others(results)):
        with locks.alone(folder.parent / "lock", f"training {folder.parent.relative_to(results / 'checkpoints')}"):
            # One that was waiting may have taken it up.
            if folder in others(results):
                shutil.rmtree(folder)


def _in_words(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fpkit.jobs.recipes", description=__doc__)
    parser.add_argument("--clear", action="store_true", help="delete them")
    parser.add_argument("results", nargs="?", default=RESULTS, type=Path, help="where they are (%(default)s)")
    asked = parser.parse_args()
    if asked.clear:
        clear(asked.results)
    for folder in others(asked.results):
        taken = datetime.fromtimestamp(folder.stat().st_mtime)
        print(f"{folder}: {_in_words(held(folder))}, last used {taken:%Y-%m-%d %H:%M}")
    print(summary(asked.results) or f"{asked.results / 'checkpoints'}: trainings of other recipes hold nothing")


if __name__ == "__main__":
    main()
