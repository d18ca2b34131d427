"""A data set of the user's own: whatever its function does, what is said of it is one line."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from fpkit import parts


def build(kind: str, options: dict) -> Any:
    """What the function at `package.module:function` returns for its options.

    Raises UserError where it cannot be imported or fails, with the line of the user's file.
    """
    home = os.getcwd()
    try:
        with parts.blamed(kind, always=True):
            dataset = parts.load(kind)(**options)
            # What is read when it is asked for may fail, too.
            return dataset.load() if isinstance(dataset, xr.Dataset) else dataset
    finally:
        os.chdir(home)  # which the function may have left: other paths are relative to it
