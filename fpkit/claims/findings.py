"""What was found, in words: the rows of `claims.csv` as sentences for captions and pages."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from fpkit.claims import bounds

VERDICTS = ("holds", "undecided", "does not hold")
NEEDED = ("claim", "variant", "statistic", "value", "ci_low", "ci_high", "level", "bound")
# What a statistic is a number of, where it is not plain.
UNITS = {"lead": "decades of training"}


def judged_claims(path: str | Path) -> dict[str, list[dict[str, str]]]:
    """The rows of a `claims.csv` by claim; none where there is no file, and only whole rows of a broken one."""
    rows: dict[str, list[dict[str, str]]] = {}
    if Path(path).exists():
        with open(path, newline="", encoding="utf-8", errors="replace") as table:
            for row in csv.DictReader(table):
                whole = all(row.get(column) is not None for column in NEEDED)
                if whole and row.get("verdict") in VERDICTS:
                    rows.setdefault(row["claim"], []).append(row)
    return rows


def by_claim(rows: Iterable[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The rows of each claim, which stand together."""
    return [list(rows) for _, rows in groupby(rows, itemgetter("claim"))]


def given(rows: Iterable[dict[str, str]]) -> dict[str, int]:
    """How often each verdict was given that was given at all."""
    counted = Counter(row["verdict"] for row in rows)
    return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}


def counts(rows: list[dict[str, str]]) -> str:
    """The same in words: `holds for 9, undecided for 1 of 10 variants`."""
    parts = [f"{verdict} for {count}" for verdict, count in given(rows).items()]
    return f"{', '.join(parts)} of {len(rows)} variants"


def by_chance(levels: Iterable[str | float]) -> str:
    """In words, how many of the rows have an interval that misses the true value by chance alone.

    Each misses with a probability of at most one less its level; the expected number is the sum. A row whose interval
    misses may get another verdict, or the same.

    Args:
        levels: of all rows; empty, or NaN, of those without an interval.
    """
    known = [level for level in map(_number, levels) if math.isfinite(level)]
    missing = sum(1 - level for level in known)
    return (
        f"Of {len(known)} rows with an interval, {missing:.1f} at most are expected to miss the true value by chance."
    )


def finding(statement: str, rows: list[dict[str, str]]) -> str:
    """What was found of one claim, in one line of reStructuredText."""
    bound = rows[0]["bound"]
    known = [row for row in rows if math.isfinite(_number(row["value"]))]
    # The weakest first: the one that lies least inside the bound.
    known.sort(key=lambda row: float(bounds.margin(np.array(_number(row["value"])), bound)))
    words = f"{statement.rstrip('.')} ({rows[0]['statistic']} {bound}): "
    words += rows[0]["verdict"] if len(rows) == 1 else counts(rows)
    if known:
        weakest, best = known[0], known[-1]
        words += f"; median {_valued(weakest)}"
        if len(known) > 1:
            words += f" for {weakest['variant']}, the weakest, to {best['value']} for {best['variant']}"
        words += f"; {reached}" if (reached := _reached(known)) else ""
    early = sum("a lower bound" in row.get("remark", "") for row in rows)
    ends = f"{early} of {len(rows)}: the run ends before the high half is learned"
    words += f". A lower bound for {ends}" if early else ""
    explained = rows[0].get("explains")
    words += f". Tested as the explanation of where {explained} does not hold" if explained else ""
    supposed = next((row["conjecture"] for row in rows if row.get("conjecture")), "")
    words += f". Conjecture, not tested: {supposed.rstrip('.')}" if supposed else ""
    unknown = next((row for row in rows if row["verdict"] == "undecided" and row.get("remark")), None)
    words += ". Undecided for {variant}: {remark}".format_map(unknown) if unknown else ""
    words = re.sub(r"([^0-9A-Za-z\s])", r"\\\1", words)  # no character is markup
    return " ".join(words.split()) + "."


def _valued(row: dict[str, str]) -> str:
    """A row's median and interval, and what they are a number of."""
    unit = UNITS.get(row["statistic"].split(" ")[0], "")
    return "{value} [{ci_low}, {ci_high}]".format_map(row) + (f" {unit}" if unit else "")


def _reached(rows: list[dict[str, str]]) -> str:
    """How many draws of a null reach what was measured, at most: the permutation test."""
    tested = [row["reached"].split(" of ") for row in rows if row.get("reached")]
    if not tested:
        return ""
    null = rows[0]["statistic"].partition(" under ")[2]
    reached, draws = max(((int(some), int(all_)) for some, all_ in tested), key=lambda pair: pair[0] / pair[1])
    most = "at most " if len(tested) > 1 else ""
    return f"reached by {most}{reached} of {draws} draws of {null} (p = {(1 + reached) / (1 + draws):.2g})"


def _number(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
