"""The normalised Gaussian kernel on inputs, and the functions on them from smooth to rough: its eigenvectors."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.spatial.distance import pdist, squareform

from fpkit.errors import UserError

# The kernel and its eigenvectors are held whole, in double precision; time grows with the third power.
MOST_SAMPLES = 4096


def modes(x: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of S = D^-1/2 K D^-1/2, K_ij = exp(-|x_i - x_j|^2 / (2 w^2)), D its row sums.

    These are the modes of the graph Fourier transform (Shuman et al. 2013): 1 - mu is the eigenvalue of the normalised
    Laplacian, the frequency of a mode; that of mu = 1 is the constant one, but for the weights D.

    Args:
        x: inputs (sample, *feature). width: w, in units of the median distance between different samples.

    Returns:
        mu (mode,), descending from 1, and V (sample, mode), orthonormal columns; the largest entry of each is positive.

    Raises:
        UserError: fewer than two samples or more than 4,096, or a median distance of 0.
    """
    flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    if not 2 <= len(flat) <= MOST_SAMPLES:
        raise UserError(
            f"the modes of {len(flat):,} samples are not computed, but of 2 to {MOST_SAMPLES:,}; set limit: and"
            " test_limit: (of a photograph, size:)"
        )
    distances = pdist(flat, "sqeuclidean")
    scale = np.median(distances)  # the square is monotone: of the squares it is the median's square
    if scale == 0:
        raise UserError("most inputs are alike: their distances have no median to measure a kernel by")
    kernel = squareform(np.exp(distances / (-2 * width**2 * scale)))
    kernel[np.diag_indices_from(kernel)] = 1
    root = 1 / np.sqrt(kernel.sum(axis=1))
    kernel *= root
    kernel *= root[:, None]
    mu, vectors = scipy.linalg.eigh(kernel, overwrite_a=True, check_finite=False, driver="evd")
    mu, vectors = mu[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    return mu, vectors * np.sign(vectors[largest, np.arange(len(mu))])
