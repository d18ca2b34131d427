"""Calibration: what the judge of the claims says of dynamics whose truth is known (`fpkit.claims.dynamics`).

The same measures, statistics, intervals and verdicts as of trainings: how often each statement about the order holds
of ensembles in which low is first by a decade, and of those in which it is not.
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
from fpkit.claims.intervals import known_interval
from fpkit.config.measures import MEASURES
from fpkit.datasets import digits
from fpkit.measures import fft, filtering, graph
from fpkit.store.schedule import record_steps

SEED, MEMBERS, NOISE, BANDS = 20181002, 8, 0.3, 8
STEPS, PER_DECADE = 10_000, 6
# So many share a target, and are made and measured at once.
ENSEMBLES_TOGETHER = 50
CASES = [Case(*parts) for parts in product(dynamics.LEADS, dynamics.POWERS, (0.0, NOISE))]
# Of each statistic of order the bound, at least, that claims set.
BOUNDS = {"lead": 0.1, "first_order": 0.8, "hold_order": 0.8, "area_order": 0.8, "low_advantage": 0.05}
ORDERS = ("lead", "first_order", "hold_order", "area_order")
DECOMPOSE = {"fft": fft.decompose, "graph": graph.decompose, "filtering": filtering.decompose}
VERDICTS = ("holds", "undecided", "does not hold")


@dataclass(frozen=True)
class Inputs:
    """Inputs, and the bands of functions on them that made targets and dynamics are in.

    Attributes:
        dataset: of a target (sample, output). measures: of each its options, as in the configuration, and the
            statistics that are judged.
    """

    name: str
    bands: Bands
    dataset: Callable[[np.ndarray], xr.Dataset]
    measures: dict[str, tuple[dict, tuple[str, ...]]]


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
    followed = {"frequencies": list(range(1, BANDS + 1))}
    return Inputs("line", bands, dataset, {"fft": (followed, ORDERS)})


def images(samples: int = 160) -> Inputs:
    """Modes, in eight bands, of a graph on images of digits; and the Gaussian filter."""
    x = digits.build(limit=samples)["x_train"].to_numpy()
    options = {key: option for key, option in MEASURES["graph"](bands=BANDS).basis.items() if key != "kind"}
    basis = graph_basis.build(_dataset(x, x[:, :1, 0, 0]), "train", **options)
    bands = Bands(basis.matrix(samples), basis.bands.of)
    measures = {"graph": ({"bands": BANDS}, ORDERS), "filtering": ({"widths": [0.32]}, ("low_advantage",))}
    return Inputs("digits", bands, lambda y: _dataset(x, y), measures)


def calibrate(ensembles: int) -> pd.DataFrame:
    """How often each statement holds, by case.

    Args:
        ensembles: of eight members each, of each case.

    Returns:
        A row for each inputs, measure, truth, target, noise and statistic: `lead` in truth (decades); `bound` (at
        least); how many `ensembles`; the parts of them that `holds`, `undecided` and `does_not_hold`, and the exact 95%
        binomial interval of the first, `holds_low` to `holds_high`; the median `value` over all members.
    """
    values: dict[tuple, list[np.ndarray]] = {}
    for inputs, case, measure, spectra in made_spectra(ensembles):
        for statistic in inputs.measures[measure][1]:
            # A member's number is its own: taken of all ensembles at once it is the same, many times as fast.
            taken = getattr(statistics, statistic)(spectra).to_numpy()
            values.setdefault((inputs.name, measure, case, statistic), []).append(taken)
    return pd.DataFrame([_row(*key, np.concatenate(found)) for key, found in values.items()], columns=COLUMNS)


def made_spectra(ensembles: int, cases: Sequence[Case] = CASES) -> Iterator[tuple[Inputs, Case, str, xr.Dataset]]:
    """Spectra of each case by each measure, some ensembles at a time, their members one after another.

    How many ensembles or cases there are changes none of them.
    """
    steps = np.array(record_steps(STEPS, PER_DECADE))
    for place, inputs in enumerate((line(), images())):
        for case, start in product(cases, range(0, ensembles, ENSEMBLES_TOGETHER)):
            rng = np.random.default_rng([SEED, place, CASES.index(case), start])
            y = inputs.bands.target(case.target, 1, rng)
            h = dynamics.predictions(case, inputs.bands, y, steps, MEMBERS * ENSEMBLES_TOGETHER, rng)
            kept = MEMBERS * min(ENSEMBLES_TOGETHER, ensembles - start)
            predictions, dataset = _recorded(h[:, :kept], y, steps), inputs.dataset(y)
            for measure, (options, _) in inputs.measures.items():
                taken = MEASURES[measure](**options, nulls=[]).model_dump()
                yield inputs, case, measure, DECOMPOSE[measure](predictions, dataset, split="train", **taken)


def judged(statistic: str, values: np.ndarray) -> str:
    """The verdict on one ensemble's values (member,), by the parts of `fpkit.claims.verdicts.judge`."""
    _, low, high, *_ = known_interval(values)
    return bounds.verdict(low, high, {"at_least": BOUNDS[statistic]})


def _row(inputs: str, measure: str, case: Case, statistic: str, values: np.ndarray) -> dict:
    verdicts = [judged(statistic, ensemble) for ensemble in values.reshape(-1, MEMBERS)]
    holds = scipy.stats.binomtest(verdicts.count("holds"), len(verdicts)).proportion_ci(method="exact")
    return {
        "inputs": inputs,
        "measure": measure,
        "truth": case.truth,
        "target": case.target,
        "noise": case.noise,
        "statistic": statistic,
        "lead": case.lead,
        "bound": BOUNDS[statistic],
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
