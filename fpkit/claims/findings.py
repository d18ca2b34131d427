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

VERDICTS = ("holds", "undecided", "does not hold")
NEEDED = ("claim", "variant", "statistic", "value", "ci_low", "ci_high", "bound")


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


def finding(statement: str, rows: list[dict[str, str]]) -> str:
    """What was found of one claim, in one line of reStructuredText."""
    bound = rows[0]["bound"]
    known = [row for row in rows if math.isfinite(_number(row["value"]))]
    # The weakest first: the smallest value where the claim asks for a large one.
    known.sort(key=lambda row: _number(row["value"]) * (1 if ">" in bound else -1))
    words = f"{statement.rstrip('.')} ({rows[0]['statistic']} {bound}): "
    words += rows[0]["verdict"] if len(rows) == 1 else counts(rows)
    if known:
        weakest, best = known[0], known[-1]
        words += "; median {value} [{ci_low}, {ci_high}]".format_map(weakest)
        if len(known) > 1:
            words += f" for {weakest['variant']}, the weakest, to {best['value']} for {best['variant']}"
    why_not = next((row["why_not"] for row in rows if row.get("why_not")), "")
    words += f". Where it does not hold: {why_not.rstrip('.')}" if why_not else ""
    unknown = next((row for row in rows if row.get("remark")), None)
    words += ". Undecided for {variant}: {remark}".format_map(unknown) if unknown else ""
    words = re.sub(r"([^0-9A-Za-z\s])", r"\\\1", words)  # no character is markup
    return " ".join(words.split()) + "."


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
