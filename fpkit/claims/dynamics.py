"""Made dynamics: residuals h_t - y that shrink at known paces, so that it is known what a judge should say of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# The truth, and by how many decades of training low is ahead of high.
LEADS = {"low first": 1.0, "all alike": 0.0, "high first": -1.0, "memorized": 0.0, "memorized in one order": 0.0}
# Of them those in which each sample has a pace of its own; the one of these that all members of an ensemble share.
MEMORIZED, SHARED = ("memorized", "memorized in one order"), "memorized in one order"
# Amplitudes |F[y]| ~ number^power of the bands 1, 2, ...
POWERS = {"flat": 0, "red": -1, "blue": 1}
# An untrained network's output beside the target, in norm; how members of an ensemble differ, in decades of pace.
INITIAL_OUTPUT, JITTER = 0.1, 0.05
# Decades of steps: in the middle of the paces, and between the first and the last sample memorized.
MIDDLE, MEMORIZING = 2.0, 2.0
# What remains of each residual in the end, as no training with a step size ends at nothing.
FLOOR = 1e-3


@dataclass(frozen=True)
class Case:
    """One kind of made dynamics.

    Attributes:
        truth: of `LEADS`; each band decays as exp(-t / tau), or memorized each sample. Under `low first`, log tau grows
            evenly from band to band. Under `memorized`, the samples' tau are dealt out at random, to each member anew;
            under `memorized in one order`, to each ensemble: some samples are hard for every network.
        target: of `POWERS`. noise: norm of the white noise at each step after 0, in units of |r_0|.
    """

    truth: str
    target: str
    noise: float

    @property
    def lead(self) -> float:
        """By how many decades low is ahead of high in truth."""
        return LEADS[self.truth]


@dataclass(frozen=True)
class Bands:
    """Functions on the samples, in bands from low to high.

    Attributes:
        functions: (sample, function), linearly independent. of: the band of each (function), 0, 1, ...
    """

    functions: np.ndarray
    of: np.ndarray

    @cached_property
    def dual(self) -> np.ndarray:
        """(sample, function): sums of them, by coefficients, have these coefficients along the functions."""
        return np.linalg.pinv(self.functions.astype(np.float64)).T.astype(np.float32)

    @property
    def count(self) -> int:
        return int(self.of.max()) + 1

    def target(self, name: str, outputs: int, rng: np.random.Generator) -> np.ndarray:
        """y (sample, output) with a random part in each band, whose amplitude is as the target's name says."""
        coefficient = rng.standard_normal((len(self.of), outputs))
        energy = np.bincount(self.of, (coefficient**2).sum(axis=1))
        coefficient *= (_amplitudes(name, self.count) / np.sqrt(energy))[self.of, None]
        return self.dual @ coefficient.astype(np.float32)


def predictions(
    case: Case, bands: Bands, y: np.ndarray, steps: np.ndarray, ensembles: int, members: int, rng: np.random.Generator
) -> np.ndarray:
    """h_t (step, member, sample, output), float32, of ensembles of so many members, one ensemble after another.

    Members differ in h_0, in the noise and in their paces; in these as the truth says.

    Args:
        bands: what is in none of them decays at the pace in the middle. y: (sample, output). steps: from 0.
    """
    samples, outputs = y.shape
    each, members = members, ensembles * members
    start = _of_norm(rng, (members, samples, outputs), INITIAL_OUTPUT * np.linalg.norm(y)) - y
    if case.truth in MEMORIZED:
        sharing = each if case.truth == SHARED else 1
        pace = MIDDLE + MEMORIZING * np.linspace(-0.5, 0.5, samples)
        dealt = rng.permuted(np.tile(pace, (members // sharing, 1)), axis=1)
        h = _decay(steps, dealt.repeat(sharing, axis=0))[..., None] * start
    else:
        pace = MIDDLE + case.lead * _evenly(case.target, bands.count)
        decay = _decay(steps, pace + JITTER * rng.standard_normal((members, bands.count)))
        coefficient = bands.functions.T @ start  # (member, function, output)
        h = bands.dual @ (decay[..., bands.of, None] * coefficient)
        h += _decay(steps, np.full(1, MIDDLE))[..., None, None] * (start - bands.dual @ coefficient)
    if case.noise:
        size = case.noise * np.linalg.norm(start, axis=(1, 2), keepdims=True)
        h[1:] += _of_norm(rng, h[1:].shape, size)
    h += y
    return h


def _evenly(name: str, bands: int) -> np.ndarray:
    """log10 tau (band,), evenly spaced around 0, such that low is ahead of high by one decade.

    By the means of both halves, pooled by energy as in `lead`: the integral of exp(-t / tau) over log10 t is log10 tau
    and a constant.
    """
    number, energy, half = np.arange(bands) - (bands - 1) / 2, _amplitudes(name, bands) ** 2, bands // 2
    low, high = (np.average(number[part], weights=energy[part]) for part in (slice(half), slice(-half, None)))
    return number / (high - low)


def _amplitudes(name: str, bands: int) -> np.ndarray:
    return np.arange(1, bands + 1) ** float(POWERS[name])


def _decay(steps: np.ndarray, pace: np.ndarray) -> np.ndarray:
    """exp(-t / 10^pace) (step, *pace), down to the floor."""
    decay = np.exp(-np.multiply.outer(steps, 10.0**-pace))
    return (FLOOR + (1 - FLOOR) * decay).astype(np.float32)


def _of_norm(rng: np.random.Generator, shape: tuple[int, ...], size: np.ndarray | float) -> np.ndarray:
    """White noise (..., sample, output) of this norm."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise *= (size / np.linalg.norm(noise, axis=(-2, -1), keepdims=True)).astype(np.float32)
    return noise
