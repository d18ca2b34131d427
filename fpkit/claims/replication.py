"""Replication: the verdicts of a run beside those of the same configuration on fresh seeds of members and data.

`python -m fpkit.claims.replication` says how far the table in `results/replication.csv` agrees, or one that is named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fpkit.claims import tables
from fpkit.claims.findings import VERDICTS
from fpkit.errors import UserError

TABLE = Path("results/replication.csv")
# What makes a row the same question, and what was answered. The run itself is number 0.
ASKED = ["claim", "experiment", "variant", "statistic", "bound"]
ANSWERED = ["verdict", "value", "ci_low", "ci_high"]


def read(path: str | Path) -> pd.DataFrame:
    """A `claims.csv`, or a table of `beside`. Raises UserError where it is damaged."""
    return tables.read(path, lambda table: set(ASKED) <= set(table), "; delete it, `make replicate` makes it anew")


def beside(claims: pd.DataFrame, again: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """A row for each row of `claims`, with `verdict_0`, `value_0`, `ci_low_0`, `ci_high_0` of it and the same of every
    replication, with its number.

    Args:
        claims, again: rows of `fpkit.claims.verdicts.judge`: of the run, and of its replications by number. A row of
            another statistic or bound, as an older configuration had, is none of the same question and is left out: the
            cells are empty then.
    """
    table = claims[ASKED + ANSWERED].rename(columns={name: f"{name}_0" for name in ANSWERED})
    for number in sorted(again):
        names = {name: f"{name}_{number}" for name in ANSWERED}
        table = table.merge(again[number][ASKED + ANSWERED].rename(columns=names), on=ASKED, how="left")
    return table


def numbers(table: pd.DataFrame) -> list[int]:
    """Those of the replications in a table of `beside`."""
    found = (re.fullmatch(r"verdict_(\d+)", name) for name in table)
    return [int(name[1]) for name in found if name and int(name[1]) > 0]


def counts(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """How often each verdict of the run (rows) met each of a replication (columns), in the order of `VERDICTS`."""
    both = table[table[f"verdict_{number}"].notna()]
    met = pd.crosstab(both["verdict_0"], both[f"verdict_{number}"])
    return met.reindex(index=VERDICTS, columns=VERDICTS, fill_value=0)


def agreement(table: pd.DataFrame) -> str:
    """In one line: `replication 1: 97 of 115 verdicts agree, 2 are opposite; replication 2: ...`."""
    said = []
    for number in numbers(table):
        met = counts(table, number).to_numpy()
        words = f"replication {number}: {met.trace()} of {met.sum()} verdicts agree"
        opposite = met[0, -1] + met[-1, 0]
        words += f", {opposite} {'is' if opposite == 1 else 'are'} opposite"
        missing = len(table) - met.sum()
        said.append(words + (f", {missing} of this configuration not repeated" if missing else ""))
    return "; ".join(said) or "no replication yet; make replicate"


if __name__ == "__main__":
    try:
        print(agreement(read(sys.argv[1] if len(sys.argv) > 1 else TABLE)))
    except UserError as error:
        sys.exit(str(error))
