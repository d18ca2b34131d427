"""Claims: sentences of the paper made measurable, and what our measurements say of them.

A statistic is a number per member. Its value is the median over members, with a 95% bootstrap interval; where a claim
names a control, the same statistic is taken of the null, and value and interval are those of the difference. The
verdict compares the interval, never the value alone, with a bound that was set before the run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from fpkit.claims import statistics
from fpkit.claims.intervals import known_interval
from fpkit.config.statistics import STATISTICS
from fpkit.errors import UserError

COLUMNS = (
    "claim", "statement", "source", "experiment", "variant", "statistic", "value", "ci_low", "ci_high", "control",
    "bound", "verdict", "members", "censored", "why_not", "remark",
)  # fmt: skip


def judge(claim_id: str, claim: dict, variant: str, spectra: Sequence[xr.Dataset]) -> dict:
    """One row of `claims.csv`: the claim on one variant. Where there is no number or no interval, `remark` says why.

    Args:
        claim: the config entry as a plain dictionary.
        spectra: of the claim's measure, of several variants where they are pooled: the statistic is taken of each, and
            their members are judged together. Diverged members are left out.

    Raises:
        UserError: the claim names a control that was not computed.
    """
    name, null = claim["statistic"], claim["control"]
    needs, taken = STATISTICS[name].needs, getattr(statistics, name)
    kept = [one.sel(member=~one["diverged"]) for one in spectra]
    nulled = [on_null(one, null, needs) for one in kept] if null else None
    members, left = (sum(one.sizes["member"] for one in several) for several in (spectra, kept))
    values, control, counted, remark = np.array([]), np.nan, "", ""
    lacking = [array for array in needs if any(array not in one for one in kept)]
    if lacking:
        remark = f"{name} needs {' and '.join(lacking)}, which the run does not have"
    else:
        try:
            counted = censored(kept, name)
            values = np.concatenate([taken(one).to_numpy() for one in kept])
            if nulled is not None:
                under = np.concatenate([taken(one).to_numpy() for one in nulled])
                values, control = values - under, np.median(under) if len(under) else np.nan
        except Exception as error:  # whatever one variant's spectra hold, the other claims are judged
            traceback.print_exc(file=sys.stdout)
            values, remark = np.array([]), " ".join(f"{name} failed: {type(error).__name__}: {error}".split())
    value, low, high = known_interval(values)
    known = int(np.isfinite(values).sum())
    if left == 0:
        remark = "all members diverged"
    elif not remark and known == 0:
        remark = f"{name} is undefined for every member"
    elif not remark and not np.isfinite([low, high]).all():
        few = "one member alone has no interval"
        remark = few if known == 1 else f"{name} is undefined for {len(values) - known} of {len(values)} members"
    kind, bound = next((kind, bound) for kind, bound in claim["bound"].items() if bound is not None)
    found = verdict(low, high, kind, bound)
    return {
        "claim": claim_id,
        "statement": claim["statement"],
        "source": claim["source"],
        "experiment": claim["experiment"],
        "variant": variant,
        "statistic": f"{name} - {name} under {null}" if null else name,
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "control": control,
        "bound": f"{'>=' if kind == 'at_least' else '<='} {bound:g}",
        "verdict": found,
        "members": f"{left} of {members}",
        "censored": counted,
        "why_not": (claim["why_not"] or "") if found == "does not hold" else "",
        "remark": remark,
    }


def on_null(spectra: xr.Dataset, null: str, arrays: Sequence[str]) -> xr.Dataset:
    """The spectra with every quantity replaced by its control under `null`, whose name is then among the attributes.

    Args:
        arrays: those that a statistic is about to be taken of.

    Raises:
        UserError: one of them has no such control: the statistic would be that of the spectra themselves.
    """
    there = "null" in spectra.coords and null in spectra["null"]
    lacking = [name for name in arrays if not (there and f"control_{name}" in spectra)]
    if lacking:
        measure = spectra.attrs.get("measure", "the measure")
        raise UserError(f"{null}: {measure} computes no control of {' and '.join(lacking)}; leave it out of the claim")
    controls = {str(name): spectra[name].sel(null=null) for name in spectra if str(name).startswith("control_")}
    nulled = spectra.assign({name.removeprefix("control_"): values for name, values in controls.items()})
    return nulled.assign_attrs(null=null)


def verdict(low: float, high: float, kind: str, bound: float) -> str:
    """`holds` or `does not hold` where all of [low, high] lies on one side of the bound, or `undecided`."""
    if not np.isfinite([low, high]).all():
        return "undecided"
    if kind == "at_most":
        low, high, bound = -high, -low, -bound
    return "holds" if low >= bound else "does not hold" if high < bound else "undecided"


def censored(spectra: Sequence[xr.Dataset], statistic: str) -> str:
    """How many of the followed (member, frequency) pairs were never captured, as `3 of 80`; empty without passages."""
    passage = STATISTICS[statistic].passage
    if passage is None:
        return ""
    followed = [one[passage].where(one["followed"], drop=True) for one in spectra]
    return f"{sum(int(one.isnull().sum()) for one in followed)} of {sum(one.size for one in followed)}"


def read_claims(path: str | Path, rows: int, **options) -> pd.DataFrame:
    """The table that was written from `rows` rows of `judge`; options are those of `pandas.read_csv`.

    Raises UserError where it is damaged.
    """
    try:
        table = pd.read_csv(path, **options)
        whole = tuple(table.columns) == COLUMNS and len(table) == rows and Path(path).read_bytes().endswith(b"\n")
    except ValueError:  # no table at all
        whole = False
    if not whole:
        raise UserError(f"{path}: damaged (not the {rows} rows once written); delete it, the next run makes it anew")
    return table
