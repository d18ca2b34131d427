"""What a job computes on, the CPU unless it is said otherwise; what a GPU has a large part in is asked to go there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

# Below so many samples a GPU takes longer to be started than a measure takes without.
WORTH_SAMPLES = 4000

_chosen = "cpu"


@contextmanager
def computing_on(device: str) -> Iterator[None]:
    """Inside, `chosen` is `cpu` or `cuda`."""
    global _chosen
    before, _chosen = _chosen, device
    try:
        yield
    finally:
        _chosen = before


def chosen() -> str:
    """`cpu` or `cuda`."""
    return _chosen


@contextmanager
def threads() -> Iterator[tuple[int, Callable]]:
    """As many as BLAS would take, which takes one in each of them meanwhile, and a `map` by them.

    So not only products are shared. On a GPU it is one.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # it comes with scikit-learn, which a machine that only computes does without
        yield 1, map
        return
    blas = ThreadpoolController().select(user_api="blas")
    count = max((library.num_threads for library in blas.lib_controllers), default=1)
    if count == 1 or _chosen != "cpu":
        yield 1, map
        return
    with blas.limit(limits=1), ThreadPoolExecutor(count) as pool:
        yield count, pool.map


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, on the GPU if that is chosen, where single precision is single precision."""
    if _chosen == "cpu":
        return a @ b
    return as_numpy(as_tensor(a) @ as_tensor(b))


def eigh(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix, which is overwritten."""
    if _chosen == "cpu":
        from scipy.linalg import eigh

        return eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
    import torch

    values, vectors = torch.linalg.eigh(as_tensor(matrix))
    return as_numpy(values), as_numpy(vectors)


def as_tensor(values: np.ndarray) -> Any:
    """A tensor of torch's, on what is chosen."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.from_numpy(np.ascontiguousarray(values)).to(_chosen)


def as_numpy(values: Any) -> np.ndarray:
    """An array of numpy's, from wherever."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()
