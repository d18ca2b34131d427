"""Claims: sentences of the paper made measurable, and what our measurements say of them.

A statistic is a number per member. Its value is the median over members, with its exact interval; where a claim names a
control, value and interval are those of the difference to the null (`beyond`). The verdict compares the interval, never
the value alone, with a bound that was set before the run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from fpkit.claims import bounds, statistics, tables
from fpkit.claims.halves import open_ends, overshoot, starts_late
from fpkit.claims.intervals import FEWEST, FEWEST_DRAWS, Interval, known_interval
from fpkit.config.statistics import STATISTICS, UNCHANGED
from fpkit.errors import UserError
from fpkit.xarrays import by_numpy

COLUMNS = (
    "claim", "statement", "source", "experiment", "variant", "statistic", "value", "ci_low", "ci_high", "level",
    "control", "reached", "bound", "verdict", "members", "censored", "given", "remark", "explains", "conjecture",
)  # fmt: skip
# From here on, beyond 0 or 1, a remaining share is no share: the error grew, or turned round.
FAR_BEYOND = 0.5
# A null's draws lie beyond the end that is taken of them with this probability, on each side.
BEYOND = 0.05


@by_numpy()
def judge(claim_id: str, claim: dict, variant: str, spectra: Sequence[xr.Dataset]) -> dict:
    """One row of `claims.csv`: the claim on one variant. Where there is no number or no interval, `remark` says why.

    Args:
        claim: the config entry as a plain dictionary. spectra: of the claim's measure; several, where the variant is
            trained on several draws of the data, whose members are taken together. Diverged members are left out.

    Raises:
        UserError: the claim names a control that was not computed.
    """
    name, null = claim["statistic"], claim["control"]
    kept = [one.sel(member=~one["diverged"].to_numpy()) for one in spectra]
    draws = np.repeat(range(len(kept)), [one.sizes["member"] for one in kept])
    if null:
        for one in kept:  # an error of the claim, not of the statistic
            on_null(one, null, STATISTICS[name].needs)
    values, failed = _taken(kept, name)
    counted = "" if failed else censored(kept, name)
    ends = _open_ends(name, kept, failed)
    interval, control, reached = known_interval(values, draws, ends), np.nan, ""
    if null and np.isfinite(values).any():
        under = [_taken(kept, name, null, draw) for draw in range(spectra[0].sizes.get("draw", 1))]
        failed = next((reason for _, reason in under if reason), [])
        medians = np.array([_null_median(values, drawn) for drawn, _ in under])
        if not failed and np.isnan(medians).any():
            failed = [f"{name} under {null} is undefined for {np.isnan(medians).sum()} of {len(medians)} draws"]
        interval, control = beyond(interval, medians)
        reached = f"{_reached(values, medians, claim['bound'])} of {len(medians)}"
    remarks = failed or _unknown(name, values, draws)
    if name == "lead" and not failed:
        remarks += _late(kept) + _unfinished(kept, values, ends) + _overshoot(kept)
    remarks += sorted({one.attrs["cut"] for one in kept if "cut" in one.attrs})
    found = bounds.verdict(interval.low, interval.high, claim["bound"])
    given, unmet = _given(claim, kept, draws)
    found = "undecided" if unmet else found
    said = f" in {len(kept)} draws" if len(kept) > 1 else ""
    return {
        "claim": claim_id,
        "statement": claim["statement"],
        "source": claim["source"],
        "experiment": claim["experiment"],
        "variant": variant,
        "statistic": f"{name} - {name} under {null}" if null else name,
        "value": interval.value,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "level": interval.level,
        "control": control,
        "reached": reached,
        "bound": bounds.text(claim["bound"]),
        "verdict": found,
        "members": f"{len(values)} of {sum(one.sizes['member'] for one in spectra)}{said}",
        "censored": counted,
        "given": "; ".join(given),
        "remark": "; ".join([*remarks, *unmet]),
        "explains": claim["explains"] or "",
        "conjecture": _conjecture(claim, variant) if found == "does not hold" else "",
    }


def on_null(spectra: xr.Dataset, null: str, arrays: Sequence[str], draw: int | slice = 0) -> xr.Dataset:
    """The spectra with one draw of a null in place of the arrays; its name is then among the attributes.

    Args:
        arrays: those that a statistic is about to be taken of. What no null changes stays as it is.
        draw: several of them, a slice, are one more dimension of the arrays.

    Raises:
        UserError: one of them has no such control: the statistic would be that of the spectra themselves.
    """
    from fpkit.config.measures import MEASURES  # where a null is asked for: figures wait for no schema

    there = "null" in spectra.coords and null in spectra["null"]
    replaced = [name for name in arrays if name not in UNCHANGED]
    measure = spectra.attrs["measure"]
    # What a measure computes under another null alone is there all the same, and NaN.
    computed = MEASURES[measure].controlled.get(null, ()) if there else ()
    lacking = [name for name in replaced if name not in computed or f"control_{name}" not in spectra]
    if lacking:
        raise UserError(f"{null}: {measure} computes no control of {' and '.join(lacking)}; leave it out of the claim")
    controls = spectra[[f"control_{name}" for name in replaced]].sel(null=null).isel(draw=draw, missing_dims="ignore")
    nulled = spectra.assign({name: controls[f"control_{name}"] for name in replaced})
    return nulled.assign_attrs(null=null)


def beyond(interval: Interval, medians: np.ndarray) -> tuple[Interval, float]:
    """The difference of a median to that of a null, with its interval; and the null's: the mean over its draws.

    Under the null hypothesis the measured median is one more of the draws' medians, and lies beyond all n of them, on
    one side, with probability 1 / (n + 1). So each end of the interval is the members' own end less the draw at the
    other end: the k-th from it, k the greatest with k / (n + 1) <= 0.05. Both spreads are added as they are, not in
    squares: of 20 draws, it lies above zero under the null in less than 1 of 20 cases, whatever the distributions.

    Args:
        interval: of the measured median. medians: (draw,), over members, of the statistic under the null; NaN where
            one is unknown, and then nothing is concluded.

    Returns:
        The difference; `level` is what the members' level and the draws' leave together. The mean over draws.
    """
    control = float(medians.mean())
    rank = max(1, int(BEYOND * (len(medians) + 1)))
    ordered = np.sort(medians)
    low, high = interval.low - ordered[-rank], interval.high - ordered[rank - 1]
    if np.isnan(control):
        low, high = -np.inf, np.inf
    level = interval.level - 2 * rank / (len(medians) + 1)
    return Interval(interval.value - control, float(low), float(high), level), control


def censored(spectra: Sequence[xr.Dataset], statistic: str) -> str:
    """How many of the followed (member, frequency) pairs are left out, as `3 of 80`: never captured, or not measured.

    Empty for a statistic that leaves none out.
    """
    array = STATISTICS[statistic].counted
    if array is None or any(array not in one for one in spectra):
        return ""
    left_out = whole = 0
    for one in spectra:
        followed = one[array].isel(frequency=one["followed"].to_numpy())
        left_out, whole = left_out + int(followed.isnull().sum()), whole + followed.size
    return f"{left_out} of {whole}"


def _taken(
    spectra: Sequence[xr.Dataset], name: str, null: str | None = None, draw: int = 0
) -> tuple[np.ndarray, list[str]]:
    """A statistic of all members of several spectra, or of one draw of a null in their place; or why there is none."""
    needs, statistic = STATISTICS[name].needs, getattr(statistics, name)
    lacking = [array for array in needs if any(array not in one for one in spectra)]
    unknown = np.full(sum(one.sizes["member"] for one in spectra), np.nan)
    if lacking:
        return unknown, [f"{name} needs {' and '.join(lacking)}, which the run does not have"]
    try:
        taken_of = [on_null(one, null, needs, draw) for one in spectra] if null else spectra
        return np.concatenate([statistic(one).transpose("member").to_numpy() for one in taken_of]).astype(float), []
    except Exception as error:  # whatever one variant's spectra hold, the other claims are judged
        traceback.print_exc(file=sys.stdout)
        return unknown, [" ".join(f"{name} failed: {type(error).__name__}: {error}".split())]


def _null_median(values: np.ndarray, under: np.ndarray) -> float:
    """The median over members of one draw of a null; NaN where it is unknown of one whose own value is known."""
    return float(np.median(under[np.isfinite(values)]))


def _reached(values: np.ndarray, medians: np.ndarray, bound: dict) -> int:
    """How many draws of a null lie at the measured median, or farther on the side that the bound asks for.

    The permutation test: that none does has a p-value of 1 / (1 + draws).
    """
    sign = -1 if np.isinf(bounds.ends(bound)[0]) else 1
    return int((sign * medians >= sign * np.median(values[np.isfinite(values)])).sum())


def _unknown(name: str, values: np.ndarray, draws: np.ndarray) -> list[str]:
    """Why a statistic has no number, or no interval; nothing where it has both."""
    known = int(np.isfinite(values).sum())
    if len(values) == 0:
        return ["all members diverged"]
    if known == 0:
        return [f"{name} is undefined for every member"]
    if np.isfinite(known_interval(values, draws)[1:3]).all():
        return []
    if known < len(values):
        return [f"{name} is undefined for {len(values) - known} of {len(values)} members"]
    if known < FEWEST:
        return [f"{known} {'member has' if known == 1 else 'members have'} no 95% interval; it takes {FEWEST}"]
    if 1 < (many := len(np.unique(draws))) < FEWEST_DRAWS:
        return [f"{many} draws of the data have no 95% interval; it takes {FEWEST_DRAWS}"]
    alike = f"the members of its {draws.max() + 1} draws of the data are too much alike"
    return [f"{alike}, and count for fewer than {FEWEST}"]


def _given(claim: dict, spectra: Sequence[xr.Dataset], draws: np.ndarray) -> tuple[list[str], list[str]]:
    """What a claim takes for granted, with what was found of it; and those that are not met, as remarks."""
    told, unmet = [], []
    for name, bound in claim["given"].items():
        values, remarks = _taken(spectra, name)
        found = known_interval(values, draws, _open_ends(name, spectra, remarks))
        told.append(f"{name} {bounds.text(bound)}: {bounds.said(found)}")
        if bounds.verdict(found.low, found.high, bound) != "holds":
            what = remarks[0] if remarks else f"which is {bounds.said(found)}"
            unmet.append(f"not met: {name} {bounds.text(bound)}, {what}")
    return told, unmet


def _late(spectra: Sequence[xr.Dataset]) -> list[str]:
    """That a lead was won, perhaps, before there was a record of it."""
    late = np.concatenate([starts_late(one).to_numpy() for one in spectra])
    steps = [one["step"].to_numpy() for one in spectra]
    if late.any():
        first = max(float(step[step >= 1][0]) for step in steps if (step >= 1).any())
        many = f"({late.sum()} of {len(late)} members)"
        return [f"at step {first:g}, the first record after the start, much is learned {many}; record earlier steps"]
    if (first := max(float(step[0]) for step in steps)) > 1:
        return [f"the first record is at step {first:g}: what was learned before is not in it"]
    return []


def _open_ends(name: str, spectra: Sequence[xr.Dataset], failed: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Which members (member,) might have less, and which more, of a statistic with more training; None of most."""
    if name != "lead" or failed:
        return None
    low, high = zip(*(open_ends(one) for one in spectra), strict=True)
    return np.concatenate(low), np.concatenate(high)


def _unfinished(spectra: Sequence[xr.Dataset], values: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """What a lead (member,) might become with more training, and of how many members."""
    if any(one["step"][0] > 1 for one in spectra):  # of which it is told
        return []
    low, high = (side & np.isfinite(values) for side in ends)
    cases = {
        "a lower bound: the run ends before the high half is learned": high & ~low,
        "an upper bound: the run ends before the low half is learned": low & ~high,
        "no bound: the run ends before either half is learned": low & high,
    }
    return [f"{told} ({which.sum()} of {len(which)} members)" for told, which in cases.items() if which.any()]


def _overshoot(spectra: Sequence[xr.Dataset]) -> list[str]:
    """That a lead is made of more than of shares that are learned: of an error that grows, or changes its sign."""
    beyond = np.concatenate([overshoot(one).to_numpy() for one in spectra])
    far = beyond > FAR_BEYOND
    if not far.any():
        return []
    what = f"a half's remaining share leaves [0, 1] by up to {np.nanmax(beyond):.2g}, which counts in the lead"
    return [f"{what} ({far.sum()} of {len(far)} members)"]


def _conjecture(claim: dict, variant: str) -> str:
    """What is conjectured of a variant."""
    return " ".join(told for pattern, told in claim["conjecture"].items() if fnmatchcase(variant, pattern))


def read_claims(path: str | Path, rows: int, **options) -> pd.DataFrame:
    """The table that was written from `rows` rows of `judge`; options are those of `pandas.read_csv`.

    Raises UserError where it is damaged.
    """
    damaged = f" (not the {rows} rows once written); delete it, the next run makes it anew"
    return tables.read(path, lambda table: tuple(table.columns) == COLUMNS and len(table) == rows, damaged, **options)
