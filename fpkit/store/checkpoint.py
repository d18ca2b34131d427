"""Checkpoints: the whole state of a training in one file, replaced atomically; the one before is kept as well."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fpkit.errors import UserError

DIGEST = hashlib.sha256().digest_size
# The arrays of a state have files of their own in the checkpoint; this stands for one where it was.
ARRAY = "__array__"


def save(path: Path, state: dict) -> None:
    """Write `state` so that `path`, or the one before, always is a whole checkpoint.

    Args:
        state: arrays, numbers and strings, in dictionaries (by strings) and lists.

    Raises:
        UserError: anything else is in it, which is then some algorithm of one's own.
    """
    content, arrays = io.BytesIO(), []
    tree = _set_aside(state, arrays)
    np.savez(content, *arrays, tree=json.dumps(tree))
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as stream:
        stream.write(content.getbuffer())
        stream.write(hashlib.sha256(content.getbuffer()).digest())
        stream.flush()
        os.fsync(stream.fileno())
    if path.exists():
        os.replace(path, before(path))
    os.replace(partial, path)


def _set_aside(node: object, arrays: list[np.ndarray]) -> object:
    """The tree of a state without its arrays, which are appended to `arrays`."""
    if isinstance(node, np.ndarray | np.generic):
        arrays.append(node)
        return {ARRAY: len(arrays) - 1}
    if isinstance(node, dict) and all(isinstance(key, str) for key in node):
        return {key: _set_aside(child, arrays) for key, child in node.items()}
    if isinstance(node, list):
        return [_set_aside(child, arrays) for child in node]
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise UserError(
        f"the optimizer keeps {node!r:.80} in its state, which no checkpoint can hold; let it keep tensors, numbers and"
        " strings, in dictionaries (by strings) and lists"
    )


def before(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_stem(f"{path.stem}.before")


def load(path: Path) -> Iterator[dict]:
    """The state last saved at `path`, and the one before; only such as can be read."""
    for file in (path, before(path)):
        try:
            yield _read(file)
        except FileNotFoundError:
            continue
        except ValueError as error:
            print(f"{file}: unreadable checkpoint ({error})", flush=True)


def _read(file: Path) -> dict:
    whole = memoryview(file.read_bytes())
    content, digest = whole[:-DIGEST], whole[-DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its checksum does not fit")
    with np.load(io.BytesIO(content)) as stored:
        return json.loads(
            str(stored["tree"]), object_hook=lambda node: stored[f"arr_{node[ARRAY]}"] if ARRAY in node else node
        )
