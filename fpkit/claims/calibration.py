"""Calibration: what the judge of the claims says of dynamics whose truth is known (`fpkit.claims.dynamics`).

The same measures, nulls, statistics, intervals and verdicts as of trainings: how often each statement about the order
holds of ensembles in which low is first by a decade, and of those in which it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr

from fpkit.bases import fourier
from fpkit.bases import graph as graph_basis
from fpkit.claims import bounds, dynamics, statistics
from fpkit.claims.calibrated import COLUMNS
from fpkit.claims.dynamics import Bands, Case
from fpkit.claims.halves import open_ends
from fpkit.claims.intervals import Interval, known_interval
from fpkit.claims.verdicts import beyond, on_null
from fpkit.config.measures import MEASURES, OnBasis
from fpkit.config.statistics import STATISTICS
from fpkit.datasets import digits
from fpkit.measures.kinds import fft, filtering, graph
from fpkit.store.schedule import record_steps
from fpkit.xarrays import by_numpy

SEED, MEMBERS, NOISE, BANDS = 20181002, 8, 0.3, 8
STEPS, PER_DECADE = 10_000, 6
# Targets of each case: the draws of the data. An ensemble has one of them; pooled are as many, one of each.
DRAWS = 5
# So many, of one target, are made and measured at once.
ENSEMBLES_TOGETHER = 16
CASES = [Case(*parts) for parts in product(dynamics.LEADS, dynamics.POWERS, (0.0, NOISE))]
DECOMPOSE = {"fft": fft.decompose, "graph": graph.decompose, "filtering": filtering.decompose}
VERDICTS = ("holds", "undecided", "does not hold")


@dataclass(frozen=True)
class Statement:
    """That a statistic, or what is left of it beyond a null, is at least `bound`: the bound that claims set.

    `pooled`: of ensembles on each draw of the data, taken together.
    """

    statistic: str
    bound: float
    control: str | None = None
    pooled: bool = False

    @property
    def name(self) -> str:
        beyond_null = f" beyond {self.control}" if self.control else ""
        return self.statistic + beyond_null + (", five draws pooled" if self.pooled else "")


LEAD, POOLED = Statement("lead", 0.1), Statement("lead", 0.1, pooled=True)
BEYOND = tuple(Statement("lead", 0.05, null) for null in ("paces", "share"))
ORDERS = tuple(Statement(f"{quantity}_order", 0.8) for quantity in ("first", "hold", "area"))
ADVANTAGE = Statement("low_advantage", 0.05)


@dataclass(frozen=True)
class Inputs:
    """Inputs, and the bands of functions on them that made targets and dynamics are in.

    Attributes:
        dataset: of a target (sample, output). measures: of each its options, as in the configuration, and what is
            stated of it.
    """

    name: str
    bands: Bands
    dataset: Callable[[np.ndarray], xr.Dataset]
    measures: dict[str, tuple[dict, tuple[Statement, ...]]]


def line(samples: int = 64) -> Inputs:
    """Sines of eight frequencies on a grid."""
    position = np.arange(samples) / samples

    def dataset(y: np.ndarray) -> xr.Dataset:
        x = (2 * position - 1).astype(np.float32)[:, None]
        return _dataset(x, y).assign_coords(position_train=("sample_train", position))

    basis = fourier.build(dataset(position[:, None]), "train")
    of = basis.bands.of - 1  # the constant is no band
    chosen = (of >= 0) & (of < BANDS)
    bands = Bands(basis.matrix(samples)[:, chosen], of[chosen])
    followed = {"frequencies": list(range(1, BANDS + 1)), "nulls": []}
    return Inputs("line", bands, dataset, {"fft": (followed, (LEAD, POOLED, *ORDERS))})


def images(samples: int = 160) -> Inputs:
    """Modes, in eight bands, of a graph on images of digits; and the Gaussian filter."""
    x = digits.build(limit=samples)["x_train"].to_numpy()
    options = {key: option for key, option in MEASURES["graph"](bands=BANDS).basis.items() if key != "kind"}
    basis = graph_basis.build(_dataset(x, x[:, :1, 0, 0]), "train", **options)
    bands = Bands(basis.matrix(samples), basis.bands.of)
    nulls = [statement.control for statement in BEYOND]
    measures = {
        "graph": ({"bands": BANDS, "nulls": nulls}, (LEAD, *BEYOND, POOLED, *ORDERS)),
        "filtering": ({"widths": [0.32], "nulls": []}, (LEAD, ADVANTAGE)),
    }
    return Inputs("digits", bands, lambda y: _dataset(x, y), measures)


@by_numpy()
def calibrate(ensembles: int) -> pd.DataFrame:
    """How often each statement holds, by case.

    Args:
        ensembles: of eight members each, of each case; a multiple of five.

    Returns:
        A row for each inputs, measure, truth, target, noise and statement, whose name is `statistic`: `lead` in truth
        (decades); `bound` (at least); how many `ensembles`: a fifth where five are pooled, and at most 80 beyond a
        null, whose draws take most of the time; the parts of them that `holds`, `undecided` and `does_not_hold`, and
        the exact 95% binomial interval of the first, `holds_low` to `holds_high`; the median over ensembles of the
        judged `value`.
    """
    judged: dict[tuple, list[tuple[str, float]]] = {}
    for inputs, case, measure, drawn in made_spectra(ensembles):
        stated = [one for one in inputs.measures[measure][1] if not one.control or "null" in drawn[0].coords]
        values = {name: values_of(name, drawn) for name in {one.statistic for one in stated}}
        for statement in stated:
            found = judge(statement, values[statement.statistic], drawn)
            judged.setdefault((inputs.name, measure, case, statement), []).extend(found)
    return pd.DataFrame([_row(*key, found) for key, found in judged.items()], columns=COLUMNS)


def made_spectra(ensembles: int, cases: Sequence[Case] = CASES) -> Iterator[tuple[Inputs, Case, str, list[xr.Dataset]]]:
    """Spectra of each case by each measure, some ensembles on each of five draws of the data at a time.

    One dataset for each draw, or one of all: ensemble by ensemble, those on the first draw before those on the second.
    """
    steps = np.array(record_steps(STEPS, PER_DECADE))
    for place, inputs in enumerate((line(), images())):
        for case in cases:
            rng = np.random.default_rng([SEED, place, CASES.index(case)])
            targets = [inputs.bands.target(case.target, 1, rng) for _ in range(DRAWS)]
            for start in range(0, ensembles // DRAWS, ENSEMBLES_TOGETHER):
                count = min(ENSEMBLES_TOGETHER, ensembles // DRAWS - start)
                made = [dynamics.predictions(case, inputs.bands, y, steps, count, MEMBERS, rng) for y in targets]
                for measure in inputs.measures:
                    yield inputs, case, measure, _measured(inputs, measure, made, targets, steps, nulls=not start)


def _measured(
    inputs: Inputs,
    measure: str,
    made: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    steps: np.ndarray,
    nulls: bool,
) -> list[xr.Dataset]:
    """Spectra of the predictions of each target, (step, member, sample, output) of (sample, output)."""
    options, stated = inputs.measures[measure]
    taken = MEASURES[measure](**options).model_dump() | ({} if nulls else {"nulls": []})

    def spectra(h: np.ndarray, y: np.ndarray) -> xr.Dataset:
        return DECOMPOSE[measure](_recorded(h, y, steps), inputs.dataset(y), split="train", **taken)

    if not issubclass(MEASURES[measure], OnBasis):
        return [spectra(h, y) for h, y in zip(made, targets, strict=True)]
    # In each band all targets of a name have one amplitude: with the same residuals, one is as good as another, and
    # all are measured at once.
    moved = [h + (targets[0] - y) for h, y in zip(made, targets, strict=True)]
    return [_needed(spectra(np.concatenate(moved, axis=1), targets[0]), stated)]


def values_of(statistic: str, drawn: Sequence[xr.Dataset]) -> np.ndarray:
    """A statistic (ensemble, member) of spectra of `made_spectra`."""
    return np.concatenate([_by_ensemble(statistic, one) for one in drawn])


def judge(statement: Statement, values: np.ndarray, drawn: Sequence[xr.Dataset]) -> list[tuple[str, float]]:
    """The verdict on each ensemble, and its value, by the parts of `fpkit.claims.verdicts.judge`.

    A member's number is its own: taken of all ensembles at once it is the same, many times as fast.

    Args:
        values: `values_of` its statistic. drawn: of `made_spectra`.
    """
    ends = zip(*(open_ends(one) for one in drawn), strict=True) if statement.statistic == "lead" else ()
    sides = [np.concatenate([one.to_numpy().reshape(-1, MEMBERS) for one in side]) for side in ends]
    data = None
    if statement.pooled:
        data = np.repeat(range(DRAWS), MEMBERS)
        values, *sides = (
            np.moveaxis(array.reshape(DRAWS, -1, MEMBERS), 0, 1).reshape(-1, DRAWS * MEMBERS)
            for array in (values, *sides)
        )
    which = zip(*sides, strict=True) if sides else [None] * len(values)
    intervals = [known_interval(ensemble, data, ends) for ensemble, ends in zip(values, which, strict=True)]
    if statement.control:
        medians = [np.median(_by_ensemble(statement.statistic, one, statement.control), axis=-1) for one in drawn]
        under = np.concatenate(medians, axis=-1).T  # (ensemble, draw)
        intervals = [beyond(*both)[0] for both in zip(intervals, under, strict=True)]
    return [_verdict(statement, interval) for interval in intervals]


def _by_ensemble(statistic: str, spectra: xr.Dataset, null: str | None = None) -> np.ndarray:
    """A statistic (..., ensemble, member), and of a null (draw, ensemble, member)."""
    if null:
        spectra = on_null(spectra, null, STATISTICS[statistic].needs, slice(None))
    taken = getattr(statistics, statistic)(spectra).transpose(..., "member").to_numpy()
    return taken.reshape(*taken.shape[:-1], -1, MEMBERS)


def _verdict(statement: Statement, interval: Interval) -> tuple[str, float]:
    return bounds.verdict(interval.low, interval.high, {"at_least": statement.bound}), interval.value


def _needed(spectra: xr.Dataset, statements: Sequence[Statement]) -> xr.Dataset:
    """Without the controls that are of no statement: they are large."""
    controlled = {name for one in statements if one.control for name in STATISTICS[one.statistic].controlled}
    kept = {f"control_{name}" for name in controlled}
    return spectra.drop_vars([name for name in spectra if name.startswith("control_") and name not in kept])


def _row(inputs: str, measure: str, case: Case, statement: Statement, judged: list[tuple[str, float]]) -> dict:
    verdicts, values = [verdict for verdict, _ in judged], np.array([value for _, value in judged])
    holds = scipy.stats.binomtest(verdicts.count("holds"), len(verdicts)).proportion_ci(method="exact")
    return {
        "inputs": inputs,
        "measure": measure,
        "truth": case.truth,
        "target": case.target,
        "noise": case.noise,
        "statistic": statement.name,
        "lead": case.lead,
        "bound": statement.bound,
        "ensembles": len(verdicts),
        **{name.replace(" ", "_"): verdicts.count(name) / len(verdicts) for name in VERDICTS},
        "holds_low": holds.low,
        "holds_high": holds.high,
        "value": np.nanmedian(values) if np.isfinite(values).any() else np.nan,
    }


def _dataset(x: np.ndarray, y: np.ndarray) -> xr.Dataset:
    features = [f"feature_{number}" for number in range(x.ndim - 1)]
    return xr.Dataset({"x_train": (("sample_train", *features), x), "y_train": (("sample_train", "output"), y)})


def _recorded(h: np.ndarray, y: np.ndarray, steps: np.ndarray) -> xr.Dataset:
    """As a training leaves its predictions (step, member, sample, output)."""
    loss = ((h - y) ** 2).mean(axis=(2, 3))
    return xr.Dataset(
        {"prediction": (("step", "member", "sample", "output"), h), "loss_train": (("step", "member"), loss)},
        {"step": steps, "member": np.arange(h.shape[1])},
    )
