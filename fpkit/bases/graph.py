"""Modes of a graph on the inputs (`fpkit.datasets.kernel`): all of them, or of many samples the smoothest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from fpkit.bases.basis import Bands, Basis, over
from fpkit.datasets import kernel
from fpkit.datasets.neighbours import nearest as compared
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError
from fpkit.jobs import devices

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FREQUENCY = {"long_name": "graph frequency 1 - mu (mean over the band)", "units": "1"}
# Of a graph of more samples than a kernel is made of, where none is asked for.
NEIGHBOURS = 10
# Eigenvalues nearer to each other are taken for equal: which eigenvectors span their space is chance.
EQUAL = 1e-10
# What varies by less than this share of its size is constant, but for rounding errors in single precision.
CONSTANT = 1e-6
# Of values that are taken together in double precision.
BLOCK_BYTES = 16 * 2**20
SEED = 20180706
# Neighbours of so many samples are found by a tree, if they have few features: beyond, a tree compares all of them too.
MANY_SAMPLES, FEW_FEATURES = 50_000, 15


def build(
    dataset: xr.Dataset,
    split: str,
    *,
    width: float,
    neighbours: int | None,
    modes: int,
    bands: int,
    dense_limit: int,
) -> Graph:
    """On the inputs of a split.

    K is Gaussian, exp(-|x_i - x_j|^2 / (2 w^2)), w in units of the median distance of all pairs; or, with `neighbours`
    and where there are more than `dense_limit` samples, (C + C^T) / 2 with C_ij = 1 where j is one of the nearest
    neighbours of i. Of up to `dense_limit` samples all modes are computed, of more the first ones, by the Lanczos
    method; those beyond are in no band.

    Raises UserError: too few samples, inputs too many of which are alike, or more neighbours than there are.
    """
    x = samples_of(dataset, split)[0].to_numpy()
    x = x.reshape(len(x), -1)
    if len(x) < 3:
        raise UserError("graph needs at least three samples; raise datasets.*.limit")
    options = {"width": width, "neighbours": neighbours, "modes": modes, "bands": bands, "dense_limit": dense_limit}
    recipe = {"kind": "graph", **options}
    dense = len(x) <= dense_limit
    if neighbours is None and dense:
        similarity, root = kernel.normalised(kernel.gaussian(x, width))
    else:
        similarity, root = kernel.normalised(nearest(x, neighbours or NEIGHBOURS))
    if dense:
        frequencies, vectors = kernel.modes(similarity if neighbours is None else similarity.toarray(), root)
        return Graph(frequencies, vectors, bands, recipe)
    frequencies, vectors = leading(similarity, root, min(modes, len(x) - 2))
    return Graph(frequencies, vectors, bands, recipe, similarity, root)


def nearest(x: np.ndarray, neighbours: int) -> csr_array:
    """Affinities (sample, sample): 1 of samples that are neighbours of each other, 1/2 where only one is the other's.

    All pairs are compared; of many samples with few features, a tree of scikit-learn's spares most of them.
    """
    from scipy.sparse import csr_array

    if neighbours >= len(x):
        raise UserError(
            f"decomposition.graph.neighbours: {len(x)} samples have {len(x) - 1} neighbours at most, not {neighbours};"
            " lower it"
        )
    if np.ptp(x, axis=0).max() == 0:
        raise UserError("graph needs inputs that differ; all of them are alike")
    if devices.chosen() == "cpu" and len(x) > MANY_SAMPLES and x.shape[1] <= FEW_FEATURES:
        from sklearn.neighbors import NearestNeighbors

        tree = NearestNeighbors(n_neighbors=neighbours, algorithm="kd_tree").fit(x)
        near = tree.kneighbors(return_distance=False)
    else:
        near = compared(x, neighbours)
    linked = csr_array((np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, neighbours)), (len(x),) * 2)
    return csr_array((linked + linked.T) / 2)


def leading(similarity: csr_array, root: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of them: those of frequency 0, constant on each part of the graph, as they are known; the next by the
    Lanczos method, which finds one of several that are equal and not reliably the others.

    Returns:
        Frequencies (mode,), ascending, and orthonormal vectors (sample, mode).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import LinearOperator, eigsh

    parts, of = connected_components(similarity, directed=False)
    norms = np.sqrt(np.bincount(of, root**2))
    constant = csr_array((root / norms[of], (np.arange(len(root)), of)))  # on each part, of norm 1
    # All that is orthogonal to the constant mode, whose coordinates are the norms: a reflection takes it to the first.
    mirror = norms / np.linalg.norm(norms)
    mirror[0] += 1
    known = min(parts - 1, modes)
    others = np.eye(parts, known, -1) - np.outer(mirror, mirror[1 : known + 1]) / mirror[0]
    still = constant @ others
    if known == modes:
        return np.zeros(modes), still

    def product(v: np.ndarray) -> np.ndarray:
        return similarity @ v - kernel.BELOW * (constant @ (constant.T @ v))

    operator = LinearOperator(similarity.shape, matvec=product, dtype=np.float64)
    start = np.random.default_rng(SEED).standard_normal(len(root))
    values, vectors = eigsh(operator, modes - known, which="LA", v0=start)
    return np.concatenate([np.zeros(known), 1 - values[::-1]]), np.hstack([still, vectors[:, ::-1]])


class Graph(Basis):
    """F(i) = <v_i, v> of centred values v with the orthonormal modes v_i, from low frequency to high.

    The constant mode, the roots of the degrees, is left out. Bands are spaced evenly in the logarithm of the rank, and
    never part modes of equal frequency, whose choice is chance. Of a graph in several parts the first modes, of
    frequency 0, are constant on each, and a sample far from all others is such a part.

    Args:
        frequencies: 1 - mu (function), ascending. vectors: (sample, function). bands: how many, at most.
        recipe: see `Basis`. similarity: S, of modes that are not all; root: its constant mode, of norm 1.
    """

    def __init__(
        self,
        frequencies: np.ndarray,
        vectors: np.ndarray,
        bands: int,
        recipe: dict,
        similarity: csr_array | None = None,
        root: np.ndarray | None = None,
    ):
        self.frequencies, self.recipe = frequencies, recipe
        # Centred, which centres all values at no cost.
        self.vectors = (vectors - vectors.mean(axis=0)).astype(np.float32)
        self.similarity, self.root = similarity, root
        starts = band_starts(frequencies, bands)
        of = np.searchsorted(starts, np.arange(len(frequencies)), side="right") - 1
        count = np.bincount(of)
        self.bands = Bands.along(np.bincount(of, frequencies) / count, FREQUENCY, of)
        self.first_rank = xr.DataArray(starts + 1, dims="frequency")
        self.last_rank = self.first_rank + count - 1

    def coefficients(self, values: xr.DataArray) -> xr.DataArray:
        """See `Basis`."""

        def product(block: np.ndarray) -> np.ndarray:
            # One product of two matrices.
            flat = devices.matmul(block.reshape(-1, block.shape[-1]), self.vectors.astype(block.dtype, copy=False))
            return flat.reshape(*block.shape[:-1], -1)

        return over(product, values, dim="sample", result="function", size=len(self.bands.of))

    def matrix(self, samples: int) -> np.ndarray:
        """See `Basis`."""
        return self.vectors

    def mean_frequency(self, coefficients: xr.DataArray, values: xr.DataArray | None = None) -> xr.DataArray | None:
        """Rayleigh quotient v^T (I - S) v / v^T v (...) of values, over outputs, less mean and constant mode.

        Args:
            coefficients: (..., function, output). values: (..., sample, output), needed unless the modes are all.

        Returns:
            None without values that are needed; NaN of values that are constant.
        """
        if self.similarity is None:
            energy = coefficients**2
            rates = xr.DataArray(self.frequencies.astype(coefficients.dtype), dims="function")
            over_all = {"dim": ["function", "output"], "skipna": False}
            mean = (energy * rates).sum(**over_all) / energy.sum(**over_all)
            return mean if values is None else mean.where(_varies(values))
        return None if values is None else rayleigh(values, self.similarity, self.root)


def _varies(values: xr.DataArray) -> xr.DataArray:
    """Whether values (..., sample, output) are more than a constant, and its rounding errors in single precision."""
    size = abs(values).max(["sample", "output"])
    return (values.max("sample") - values.min("sample")).max("output") > CONSTANT * size


def rayleigh(values: xr.DataArray, similarity: csr_array, root: np.ndarray) -> xr.DataArray:
    """v^T (I - S) v / v^T v (...) of values (..., sample, output), over outputs, less mean and constant mode.

    Of each record it takes one sparse product, in double precision: of a smooth function, little is left of the
    difference. NaN of what is constant. `similarity`, `root`: S and its constant mode, of norm 1.
    """

    def energies(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = block.reshape(-1, block.shape[-1])
        rough, whole = (np.empty(len(rows)) for _ in range(2))
        together = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
        for begin in range(0, len(rows), together):
            some = slice(begin, begin + together)
            flat = rows[some].astype(float)
            flat -= flat.mean(axis=1, keepdims=True)
            flat -= (flat @ root)[:, None] * root
            whole[some] = np.einsum("rs,rs->r", flat, flat)
            rough[some] = whole[some] - np.einsum("rs,sr->r", flat, similarity @ flat.T)
        return rough.reshape(block.shape[:-1]), whole.reshape(block.shape[:-1])

    rough, whole = xr.apply_ufunc(
        energies,
        values,
        input_core_dims=[["sample"]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[float] * 2,
    )
    return (rough.sum("output", skipna=False) / whole.sum("output", skipna=False)).where(_varies(values))


def band_starts(frequencies: np.ndarray, bands: int) -> np.ndarray:
    """Numbers of the first modes (band) of at most so many bands of frequencies (function), ascending."""
    starts = kernel.log_spaced(len(frequencies), bands)
    parted = np.flatnonzero(np.diff(frequencies, prepend=-1, append=np.inf) > EQUAL)
    return np.setdiff1d(parted[np.searchsorted(parted, starts)], [len(frequencies)])
