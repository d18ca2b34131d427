"""Tables that were written whole, read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fpkit.errors import UserError


def read(path: str | Path, whole: Callable[[pd.DataFrame], bool], damaged: str, **options) -> pd.DataFrame:
    """The CSV table at `path`, if it is `whole` and its last line ended; options are those of `pandas.read_csv`.

    Raises UserError, `damaged` behind the path, where it is not.
    """
    try:
        table = pd.read_csv(path, **options)
        intact = whole(table) and Path(path).read_bytes().endswith(b"\n")
    except ValueError:  # no table at all
        intact = False
    if not intact:
        raise UserError(f"{path}: damaged{damaged}")
    return table
