"""A sentence of one's own, judged as the paper's are: a statistic of spectra, its interval, a bound, a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr
from pydantic import ValidationError

from fpkit.claims.verdicts import judge as judge_claim
from fpkit.config import problems
from fpkit.config.claims import Bound, Claim, measures_of
from fpkit.config.statistics import STATISTICS
from fpkit.errors import UserError


@dataclass(frozen=True)
class Verdict:
    """What was found of a statistic, as a row of `claims.csv`.

    Attributes:
        verdict: `holds` where all of the interval keeps the bound, `does not hold` where all of it lies beyond, else
            `undecided`. value: median over members. low, high: its exact interval, at `level`. control: the mean over
            the draws of a null, which value and interval are then the difference to; NaN without one. reached: how many
            of the draws reach what was measured. members: how many took part. remark: why there is no number, no
            interval, or a lower bound alone.
    """

    statistic: str
    bound: str
    verdict: Literal["holds", "undecided", "does not hold"]
    value: float
    low: float
    high: float
    level: float
    control: float
    reached: str
    members: str
    remark: str

    def __str__(self) -> str:
        ends = f" [{self.low:.3g}, {self.high:.3g}]" if math.isfinite(self.low) or math.isfinite(self.high) else ""
        told = f"{self.statistic} {self.value:.3g}{ends}, {self.bound}: {self.verdict} ({self.members} members)"
        told += f"; {self.reached} draws reach it" if self.reached else ""
        return f"{told}; {self.remark}" if self.remark else told


def judge(
    spectra: xr.Dataset | Sequence[xr.Dataset],
    statistic: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    between: Sequence[float] | None = None,
    control: str | None = None,
    given: Mapping[str, Mapping[str, Any]] | None = None,
) -> Verdict:
    """Judge a statistic of spectra by a bound, which is set before it is looked at.

    Args:
        spectra: what a measure gives; or several of these, of several draws of the data, whose members are taken
            together.
        statistic: `lead`, `first_order`, ...: see `fpkit.claims.statistics`.
        at_least: the bound, or
        at_most: the other way, or
        between: the lower and the upper end. One of them.
        control: a null that the measure computed; the bound is then on the difference to it.
        given: what is taken for granted, `{"train_accuracy": {"at_least": 0.95}}`.

    Raises:
        UserError: an unknown statistic or null, one that these spectra do not have, or no bound.
    """
    several = [spectra] if isinstance(spectra, xr.Dataset) else spectra
    if not isinstance(several, Sequence) or not several or not all(isinstance(one, xr.Dataset) for one in several):
        raise UserError("judge: give spectra, what a measure makes of a run, or several of them")
    measure = several[0].attrs.get("measure", "")
    claim = {
        "statement": "", "source": "", "experiment": "", "measure": measure, "statistic": statistic,
        "bound": _given(at_least=at_least, at_most=at_most, between=between and list(between)),
        "control": control, "given": dict(given or {}),
    }  # fmt: skip
    try:
        asked = Claim.model_validate(claim)
    except ValidationError as error:
        raise problems.ConfigError([problems.line(one, Claim, "judge: ") for one in error.errors()]) from error
    if measure not in measures_of(statistic):
        raise UserError(
            f"judge: {statistic} is a statistic of {' and '.join(measures_of(statistic))}, not of {measure}"
        )
    if control and (lacking := _uncontrolled(several, statistic, control)):
        raise UserError(f"judge: {lacking}")
    row = judge_claim("judge", asked.model_dump(), "base", several)
    return Verdict(
        statistic=row["statistic"],
        bound=row["bound"],
        verdict=row["verdict"],
        value=row["value"],
        low=row["ci_low"],
        high=row["ci_high"],
        level=row["level"],
        control=row["control"],
        reached=row["reached"],
        members=row["members"],
        remark=row["remark"],
    )


def _given(**bound: Any) -> dict[str, Any]:
    return Bound.model_construct(**{key: value for key, value in bound.items() if value is not None}).model_dump()


def _uncontrolled(spectra: Sequence[xr.Dataset], statistic: str, control: str) -> str | None:
    """Why a null cannot stand beside a statistic of these spectra; None if it can."""
    for one in spectra:
        there = [str(name) for name in one["null"].to_numpy()] if "null" in one.coords else []
        if control not in there:
            return f"{control} was not computed; take the measure with nulls=[{control!r}]"
        if any(f"control_{name}" not in one for name in STATISTICS[statistic].controlled):
            return f"{one.attrs['measure']} computes no {control} of {statistic}"
    return None
