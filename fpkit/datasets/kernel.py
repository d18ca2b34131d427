"""Graphs on inputs, and the functions on them from smooth to rough: the graph Fourier transform.

With affinities K of the samples and their degrees d = K 1, S = D^-1/2 K D^-1/2 has eigenvalues mu <= 1. An eigenvector,
a mode, with mu near 1 hardly changes between samples that are close to each other; its frequency is 1 - mu, the
eigenvalue of the normalised Laplacian I - S (Shuman et al., arXiv:1211.0053).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import pdist, squareform

from fpkit.errors import UserError
from fpkit.jobs import devices

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# The constant mode is known, and moved below all others: where the graph has several parts, each with a mode of
# eigenvalue 1, no solver would tell it from the differences between the parts.
BELOW = 4


def gaussian(x: np.ndarray, width: float) -> np.ndarray:
    """Affinities K_ij = exp(-|x_i - x_j|^2 / (2 w^2)), (sample, sample), in double precision.

    Args:
        x: inputs (sample, *feature), at least two. width: w, in units of the median distance of different samples.

    Raises UserError: most pairs of inputs are alike.
    """
    distances = pdist(np.asarray(x, dtype=np.float64).reshape(len(x), -1), "sqeuclidean")
    unit = np.median(distances)  # the square is monotone: of the squares it is the median's square
    if unit == 0:
        raise UserError("most pairs of inputs are alike: their distances have no median to measure a graph by")
    kernel = squareform(np.exp(distances / (-2 * width**2 * unit)))
    np.fill_diagonal(kernel, 1)
    return kernel


def normalised(affinity: np.ndarray | csr_array) -> tuple[np.ndarray | csr_array, np.ndarray]:
    """S = D^-1/2 K D^-1/2, in place of K, and its eigenvector of eigenvalue 1, the roots of the degrees, of norm 1."""
    degree = np.asarray(affinity.sum(axis=1)).ravel()
    scale = 1 / np.sqrt(degree)
    if isinstance(affinity, np.ndarray):
        affinity *= scale[:, None]
        affinity *= scale
    else:
        rows = np.repeat(np.arange(len(scale)), np.diff(affinity.indptr))
        affinity.data *= scale[rows] * scale[affinity.indices]
    return affinity, np.sqrt(degree / degree.sum())


def modes(similarity: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All modes of a graph but the constant one, from what `normalised` gives, which is overwritten.

    Returns:
        Frequencies 1 - mu (mode,), ascending, and V (sample, mode), orthonormal columns; the largest entry of each is
        positive.
    """
    similarity -= BELOW * np.outer(root, root)
    values, vectors = devices.eigh(similarity)
    values, vectors = values[:0:-1], vectors[:, :0:-1]
    largest = np.abs(vectors).argmax(axis=0)
    return 1 - values, vectors * np.sign(vectors[largest, np.arange(len(values))])


def log_spaced(modes: int, bands: int) -> np.ndarray:
    """Numbers of the first modes (band,) of so many bands, evenly spaced in the logarithm of the rank.

    Where there are few modes for a band, each takes one. There are no more bands than modes.
    """
    bands = min(bands, modes)
    starts = np.geomspace(1, modes + 1, bands + 1).round().astype(int)[:-1] - 1
    for band in range(1, bands):
        starts[band] = max(starts[band], starts[band - 1] + 1)
    return starts
