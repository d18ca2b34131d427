"""The table of a calibration (`fpkit.claims.calibration`): what its rows hold, and what they should say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fpkit.claims import tables

COLUMNS = (
    "inputs", "measure", "truth", "target", "noise", "statistic", "lead", "bound", "ensembles", "holds", "undecided",
    "does_not_hold", "holds_low", "holds_high", "value",
)  # fmt: skip
# A statement that low is first holds in at most this part of the ensembles of which it is not true ...
FALSE = 0.05
# ... and in at least this part of those in which low is first by a decade.
TRUE = 0.9


def read_calibration(path: str | Path) -> pd.DataFrame:
    """The table that `fpkit.claims.calibration.calibrate` made.

    Raises UserError where it is damaged.
    """
    damaged = " (not the table once written); delete it, the next run makes it anew"
    return tables.read(path, lambda table: tuple(table.columns) == COLUMNS and len(table) > 0, damaged)
