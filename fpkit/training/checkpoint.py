"""Checkpoints: the whole state of a training in one file, replaced atomically; the one before is kept as well."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import torch

DIGEST = hashlib.sha256().digest_size


def save(path: Path, state: dict) -> None:
    """Write `state` (tensors and builtin types) so that `path`, or the one before, always is a whole checkpoint."""
    content = io.BytesIO()
    torch.save(state, content)
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as stream:
        stream.write(content.getbuffer())
        stream.write(hashlib.sha256(content.getbuffer()).digest())  # torch reads flipped bits without a word
        stream.flush()
        os.fsync(stream.fileno())
    if path.exists():
        os.replace(path, before(path))
    os.replace(partial, path)


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
    stored = memoryview(file.read_bytes())
    content, digest = stored[:-DIGEST], stored[-DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its checksum does not fit")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
