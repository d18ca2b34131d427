"""A data set of the user's own: whatever its function does, what is said of it is one line."""

from __future__ import annotations

import traceback
from typing import Any

import xarray as xr

from fpkit import parts
from fpkit.errors import UserError


def build(kind: str, options: dict) -> Any:
    """What the function at `package.module:function` returns for its options.

    Raises UserError where it cannot be imported or fails, with the line of the user's file.
    """
    function, file = parts.load(kind), str(parts.source_file(kind))
    try:
        dataset = function(**options)
        # What is read when it is asked for may fail, too.
        return dataset.load() if isinstance(dataset, xr.Dataset) else dataset
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's function may fail in any way
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{kind} failed{f' at {file}, line {lines[-1]}' if lines else ''}: {why}") from error
