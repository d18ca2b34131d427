"""Nulls: errors r~_t that start where the network starts, and prefer no frequency on their way.

With r_t = h_t - y, less its mean over samples:

`share`: r~_t = a_t r_0 + b_t xi, where a_t = <r_t, r_0> / |r_0|^2 and xi is white noise, centred and orthogonal to r_0;
b_t gives r~_t the norm of r_t. Every frequency loses the same share, and what is new is spread evenly.

`paces`: r~_i(t) = r_i(0) |r_p(i)(t)| / |r_p(i)(0)|, norms over outputs: each sample i shrinks at the pace of a sample
p(i), dealt out at random.

A draw has one xi, or one deal p, for all members and steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

SEED = 20180704
DRAWS = 20
# A sample that starts with less than this share of the root mean square has no pace of its own: all samples' is taken.
LEAST_START = 0.1
NOISE_BYTES = 64 * 2**20
# Errors of some steps that stay in the cache while all is taken of them.
CACHED_BYTES = 2**18


def noise(samples: int, outputs: int, draws: int) -> Iterator[tuple[slice, np.ndarray]]:
    """White noise (draw, sample, output), centred, float32: some outputs after others, and which they are."""
    rng = np.random.default_rng([SEED, 0])
    together = max(1, NOISE_BYTES // (4 * draws * samples))
    for start in range(0, outputs, together):
        drawn = rng.standard_normal((draws, samples, min(together, outputs - start)), dtype=np.float32)
        drawn -= drawn.mean(axis=1, keepdims=True)
        yield slice(start, start + together), drawn


def deals(samples: int, draws: int) -> np.ndarray:
    """Inverses (draw, sample) of random deals p: sample j is dealt to sample deals[draw, j]."""
    rng = np.random.default_rng([SEED, 1])
    return np.array([rng.permutation(samples) for _ in range(draws)], int).reshape(draws, samples)


def centred(errors: np.ndarray) -> np.ndarray:
    """Errors (..., sample, output) less their mean over samples, in place."""
    # As a product: five times as fast as a mean over few outputs.
    errors -= np.full((1, errors.shape[-2]), 1 / errors.shape[-2], errors.dtype) @ errors
    return errors


def traced(
    outputs: np.ndarray, start: np.ndarray, weights: np.ndarray, target: np.ndarray, dealt: np.ndarray
) -> np.ndarray:
    """What both nulls take of each record's error r_t, in one pass over the outputs.

    Args:
        outputs: (step, member, sample, output). start: r_0 (member, sample, output), centred.
        weights: (member, sample, weight), to sum paces with. target: (sample, output). dealt: (draw, sample), `deals`.

    Returns:
        (step, member, 2 + draw * weight), float64: |r_t - a_t r_0|^2, <r_t, r_0>, and for each draw the sums over
        samples of |r_p(i)(t)| / |r_p(i)(0)| times the weights of i.
    """
    steps, members, samples, _ = outputs.shape
    together = max(1, CACHED_BYTES // target.nbytes)
    result = np.empty((steps, members, 2 + len(dealt) * weights.shape[-1]))
    paces = np.empty((steps, samples), outputs.dtype)
    for member in range(members):
        first = start[member]
        before = np.einsum("io,io->i", first, first)
        whole, along = before.sum(dtype=np.float64), first.ravel()
        still = before < LEAST_START**2 * before.mean()
        for step in range(0, steps, together):
            some = slice(step, step + together)
            error = centred(outputs[some, member] - target)
            now = np.einsum("tio,tio->ti", error, error)
            energy = now.sum(axis=1, dtype=np.float64)
            overlap = error.reshape(len(error), -1) @ along
            with np.errstate(divide="ignore", invalid="ignore"):  # of the still ones; of a member that diverged
                # Taken away before it is squared: of the difference of two squares the root would be rounding errors.
                rest = error.reshape(len(error), -1) - (overlap / whole).astype(along.dtype)[:, None] * along
                result[some, member, 0] = np.einsum("ti,ti->t", rest, rest)
                result[some, member, 1] = overlap
                pace = now / before
                pace[:, still] = (energy / whole)[:, None]
                np.sqrt(pace, out=paces[some])
        for draw, places in enumerate(dealt):
            sums = slice(2 + draw * weights.shape[-1], 2 + (draw + 1) * weights.shape[-1])
            result[:, member, sums] = paces @ weights[member][places]
    return result


def shares(
    left: xr.DataArray,
    overlap: xr.DataArray,
    first: xr.DataArray,
    noise_energy: xr.DataArray,
    noise_overlap: xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Factors (step, member, draw) of r_0 and of white noise in r~_t under `share`.

    Args:
        left, overlap: |r_t - a_t r_0|^2 and <r_t, r_0> (step, member). first: |r_0|^2 (member).
        noise_energy: |xi|^2 (draw). noise_overlap: <xi, r_0> (member, draw), of noise that is not yet orthogonal to
            r_0.
    """
    kept = overlap / first
    tilt = noise_overlap / first
    across = np.sqrt(left / (noise_energy - tilt**2 * first))
    return kept - across * tilt, across


def shared(
    factors: tuple[xr.DataArray, xr.DataArray],
    initial: xr.DataArray,
    mixed: xr.DataArray,
    noise_energy: xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Remaining share, and energy, of r~_t under `share`, of any part of it (a band, what a filter passes).

    Args:
        factors: of `shares`. initial: energy of r_0's part. mixed: the product of those of r_0 and of the noise.
        noise_energy: of the noise's part.
    """
    along, across = factors
    energy = along**2 * initial + 2 * along * across * mixed + across**2 * noise_energy
    return along + across * (mixed / initial), energy.clip(min=0)


def by_null(arrays: Mapping[str, xr.DataArray], under: Sequence[str]) -> xr.DataArray:
    """Arrays by the name of their null as one (null, draw, step, ...); NaN where a null of `under` has none."""
    values = xr.concat(list(arrays.values()), xr.Variable("null", list(arrays))).reindex(null=list(under))
    draws = np.arange(values.sizes["draw"])
    values = values.assign_coords(draw=("draw", draws, {"long_name": "draw of the null", "units": "1"}))
    return values.transpose("null", "draw", "step", "member", ...).astype(np.float32)
