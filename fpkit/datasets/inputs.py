"""What data sets read, by content: files that are exchanged make anew what was made of them, files touched do not.

The workflow asks each time it is parsed, in every job: so digests are kept beside the size and times of their files,
and this module imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fpkit.datasets import files
from fpkit.errors import UserError
from fpkit.store import places

# A file younger than this may change once more within the resolution of its times.
SETTLED_SECONDS = 3


def compared(datasets: Mapping[str, Any], kept: str | Path) -> dict[str, list[str]]:
    """Of each data set, `name@digest` of every file it reads.

    A file that is gone, or is on another machine, counts as it was last seen: the data set was made of it. Files that
    are still to be downloaded count as what they will be.

    Args:
        datasets: entries of the configuration by name: of their `kind`, `path` and `inputs`.
        kept: file that keeps the digests; where it cannot be written, they are made each time.

    Raises:
        UserError: a file of `inputs` is not there, or a file cannot be read.
    """
    digests = Digests(Path(kept))
    found = {}
    for name, dataset in datasets.items():
        try:
            found[name] = (_of_kind if dataset.kind in files.LAYOUTS else _of_own)(dataset, digests)
        except OSError as error:
            what = f"{error.filename} cannot be read ({error.strerror}); make it readable"
            raise UserError(f"datasets.{name}: {what}") from error
        except UserError as error:
            raise UserError(f"datasets.{name}.{error}") from error
    digests.keep()
    return found


def _of_kind(dataset: Any, digests: Digests) -> list[str]:
    kind = dataset.kind
    folders = files.WELL_KNOWN_FOLDERS.get(kind, ()) if dataset.path is None else (dataset.path,)
    for folder in folders:
        if paths := files.in_folder(kind, folder):
            return [f"{name}@{digests.of(path, kind, name)[:16]}" for name, path in paths.items()]
    for layout in files.LAYOUTS[kind] if dataset.path is not None else ():
        places = {name: [Path(os.path.expanduser(dataset.path)) / place for place in layout[name]] for name in layout}
        last = {
            name: next((digest for path in paths if (digest := digests.last(path, kind))), None)
            for name, paths in places.items()
        }
        if all(last.values()):
            return [f"{name}@{digest[:16]}" for name, digest in last.items()]
    return [f"{name}@{digest[:16]}" for name, digest in files.SHA256[kind].items()]


def _of_own(dataset: Any, digests: Digests) -> list[str]:
    return [
        f"{place}@{(digests.of(path) if os.path.isfile(path) else digests.last(path))[:16]}"
        for place, path in _named(dataset, digests)
    ]


def _named(dataset: Any, digests: Digests) -> Iterator[tuple[str, Path]]:
    """The files that a data set of one's own reads, each as it is named and as a path.

    Raises UserError for one that is not there, and never was.
    """
    for place in getattr(dataset, "inputs", ()):
        path = Path(os.path.expanduser(place))
        if not os.path.isfile(path) and digests.last(path) is None:
            what = "is a folder; name its files" if os.path.isdir(path) else "is not there; put it there, or correct it"
            # Under the key that the user has it in.
            key = next((key for key in ("path", "targets") if getattr(dataset, key, None) == place), "inputs")
            raise UserError(f"{key}: {place} {what}")
        yield place, path


def check_files(datasets: Mapping[str, Any], patterns: Mapping[str, list[str]], kept: str | Path) -> None:
    """Raises UserError where a file of a data set, or a store that was recorded elsewhere, is not there.

    Args: see `compared` and `recorded`.
    """
    digests = Digests(Path(kept))
    for name, dataset in datasets.items():
        try:
            list(_named(dataset, digests))
        except UserError as error:
            raise UserError(f"datasets.{name}.{error}") from error
    for name, several in patterns.items():
        try:
            places.stores(several)
        except UserError as error:
            raise UserError(f"experiments.{name}.recorded: {error}") from error


def recorded(patterns: Mapping[str, list[str]], kept: str | Path) -> dict[str, list[str]]:
    """Of each experiment that was recorded elsewhere, `path@digest` of every store that its patterns find.

    Args:
        patterns: by experiment. kept: see `compared`.

    Raises:
        UserError: no store there, or one that cannot be read.
    """
    digests = Digests(Path(kept))
    found = {}
    for name, several in patterns.items():
        try:
            found[name] = [f"{path}@{_of_store(path, digests)}" for path in places.stores(several)]
        except (OSError, UserError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(f"experiments.{name}.recorded: {why}") from error
    digests.keep()
    return found


def _of_store(path: Path, digests: Digests) -> str:
    """Of all that a store holds. What desktops and locks leave beside it begins with a dot."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    whole = [f"{file.relative_to(path)}@{digests.of(file)}" for file in files]
    return hashlib.sha256("\n".join(whole).encode()).hexdigest()[:16]


class Digests:
    """SHA-256 of files, made again only where a file's size or times are others than when it was last made."""

    def __init__(self, kept: Path):
        self.kept, self.changed = kept, False
        try:
            self.known: dict[str, list] = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # the first time, or cut short: all are made again
            self.known = {}

    def of(self, path: Path, kind: str = "", name: str = "") -> str:
        """The digest of a file that is there; of a file of a `kind`, `files.identity`. Raises OSError."""
        about = os.stat(path)
        # The time of change too: it cannot be set back.
        state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        *before, digest = self.known.get(f"{kind}:{path}", [None])
        if before != state:
            digest = files.identity(kind, name, path) if kind else files.digest(path)
            if max(about.st_mtime_ns, about.st_ctime_ns) < (time.time() - SETTLED_SECONDS) * 1e9:
                self.known[f"{kind}:{path}"], self.changed = [*state, digest], True
        return digest

    def last(self, path: Path, kind: str = "") -> str | None:
        """The digest of a file when it was last there; None if it never was."""
        return self.known.get(f"{kind}:{path}", [None])[-1]

    def keep(self) -> None:
        """Write down what is new, for all processes to come."""
        if not self.changed:
            return
        partial = self.kept.with_name(f"{self.kept.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a read-only or full disk: they are made each time
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self.known), encoding="utf-8")
            os.replace(partial, self.kept)
