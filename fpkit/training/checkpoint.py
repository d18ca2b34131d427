"""Checkpoints: the whole state of a training in one file, replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def save(path: Path, state: dict) -> None:
    """Write `state` (tensors and builtin types) so that `path` always holds a whole checkpoint, old or new."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def load(path: Path) -> dict | None:
    """The state last saved at `path`, or None where there is none or it cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch.load raises whatever the broken bytes lead it to
        print(f"{path}: unreadable checkpoint ({type(error).__name__}), training starts again")
        return None
