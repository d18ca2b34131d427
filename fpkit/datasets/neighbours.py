"""The nearest neighbours of each input by Euclidean distance: all pairs are compared, by products of matrices.

A product in single precision finds candidates, a few more than are wanted. Among them the nearest are chosen by
differences. Where an input that is no candidate might be nearer, for all that is known of rounding errors, candidates
are found again in double precision; and where even these are in doubt, all differences are taken.
"""

from __future__ import annotations

import numpy as np

from fpkit.jobs import devices

# Candidates beyond those wanted.
SPARE = 6
# Inputs that are compared with all others at a time: a GPU's, the CPU's, and of these so many that distances are fewer.
ROWS_ON_GPU, ROWS, DISTANCES = 4096, 256, 2**25
# The CPU looks for the smallest of a row in those groups of so many numbers that have the smallest least ones.
GROUP = 64
# Differences that are taken at a time.
CACHED = 2**17
# Squares of distances that differ by less, in parts, are taken for equal.
EQUAL = 1e-9


def nearest(x: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the nearest others (sample, count) of inputs x (sample, feature), in no order; count < sample."""
    found, doubtful = np.empty((len(x), count), np.int64), np.arange(len(x))
    for kind in (np.float32, np.float64):
        if len(doubtful):
            doubtful = _by_products(x, kind, doubtful, found)
    for row in doubtful:
        squares = _squares(x, np.array([row]), np.delete(np.arange(len(x)), row)[np.newaxis])
        places = _smallest(squares, count)[0]
        found[row] = places + (places >= row)
    return found


def _by_products(x: np.ndarray, kind: type, some: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Find the nearest others of some inputs x; those of which they are in doubt."""
    compared, count, others = _Compared(x, kind), found.shape[1], len(x) - 1
    # Each of the terms of |y|^2 - 2 x y is rounded, and so is each sum of them.
    roundings = (x.shape[1] + 8) * np.finfo(kind).eps
    squares, largest = compared.squares, compared.squares.max()
    error = roundings * (largest + 2 * np.sqrt(squares * largest))

    def find(rows: np.ndarray) -> np.ndarray:
        candidates, beyond = compared.nearest(rows, min(others, count + SPARE))
        exact = _squares(x, rows, candidates)
        chosen = _smallest(exact, count)
        found[rows] = np.take_along_axis(candidates, chosen, axis=1)
        farthest = np.take_along_axis(exact, chosen, axis=1).max(axis=1)
        unknown = (farthest > beyond + squares[rows] - error[rows]) & (error[rows] > EQUAL * farthest) & (farthest > 0)
        return rows[unknown if candidates.shape[1] < others else []]

    with devices.threads() as (_, each):
        return np.concatenate(list(each(find, _pieces(some, len(x)))))


def _squares(x: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squares of distances (row, other) of some inputs x from others (row, other)."""
    squares = np.empty(others.shape)
    together = max(1, CACHED // (others.shape[1] * x.shape[1]))
    for begin in range(0, len(rows), together):
        some = slice(begin, begin + together)
        differences = x[others[some]].astype(np.float64, copy=False)
        differences -= x[rows[some], np.newaxis]
        np.einsum("rof,rof->ro", differences, differences, out=squares[some])
    return squares


class _Compared:
    """All pairs of some inputs, centred, in one precision, on the device that is chosen.

    Attributes: squares: |x|^2 (sample,).
    """

    def __init__(self, x: np.ndarray, kind: type):
        self.on_gpu = devices.chosen() != "cpu"
        # Behind them so many infinitely far away that groups share all evenly.
        inputs = np.zeros((len(x) + (0 if self.on_gpu else -len(x) % GROUP), x.shape[1] + 1), kind)
        inputs[: len(x), :-1] = x - x.mean(axis=0, dtype=np.float64)
        self.squares = np.einsum("sf,sf->s", inputs[: len(x)], inputs[: len(x)], dtype=np.float64)
        inputs[: len(x), -1], inputs[len(x) :, -1] = self.squares, np.inf
        self.inputs = devices.as_tensor(inputs) if self.on_gpu else inputs

    def nearest(self, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest others (row, count) of some inputs x, and |y|^2 - 2 x y of the farthest of these (row,)."""
        left = -2 * self.inputs[rows]
        left[:, -1] = 1
        distances = left @ self.inputs.T
        distances[np.arange(len(rows)), rows] = np.inf  # no neighbour of its own
        if self.on_gpu:
            values, numbers = distances.topk(count, largest=False)
            return devices.as_numpy(numbers), devices.as_numpy(values[:, -1]).astype(float)
        grouped = distances.reshape(len(rows), GROUP, -1)
        groups = _smallest(grouped.min(axis=1), min(count, grouped.shape[2]))
        numbers = (np.arange(GROUP)[:, np.newaxis] * grouped.shape[2] + groups[:, np.newaxis]).reshape(len(rows), -1)
        values = np.take_along_axis(distances, numbers, axis=1)
        chosen = _smallest(values, count)
        numbers, values = (np.take_along_axis(whole, chosen, axis=1) for whole in (numbers, values))
        return numbers, values.max(axis=1).astype(float)


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the smallest numbers of each row (row, count)."""
    return np.argpartition(values, count - 1, axis=1)[:, :count]


def _pieces(rows: np.ndarray, samples: int) -> list[np.ndarray]:
    """Parts of `rows`, which are compared with so many samples at a time."""
    most = ROWS if devices.chosen() == "cpu" else ROWS_ON_GPU
    return np.array_split(rows, -(-len(rows) // max(1, min(most, DISTANCES // samples))))
