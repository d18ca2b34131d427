"""The Gaussian low-pass filter, tiled: the n x n kernel is never held. Of NumPy's arrays, or torch's tensors on a GPU.

Both errors follow from low-passed columns: with the residual r = h - y, ||y_low - h_low|| = ||K r|| and
||y_high - h_high|| = ||r - K r||, for K the row-normalised kernel.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from fpkit.jobs import devices

Array = Any
"""An array of numpy's, or a tensor of torch's on any device, float32: results are of the same kind."""

# A tile of the kernel, which threads share: of a CPU it stays in the cache; a GPU wants large products.
TILE_BYTES = {"cpu": 4 * 2**20, "cuda": 64 * 2**20}
# Weights are not less (log2): beside a sample's own, 1, no digit of a sum changes. Smaller numbers soon are denormal,
# and products with those take some processors 20 to 30 times as long.
LEAST_EXPONENT = -100
# The smoothed columns of a tile's rows, for all widths; but products of fewer rows are slow.
SMOOTH_BYTES, LEAST_ROWS = 96 * 2**20, 64


def array_of(values: np.ndarray) -> Array:
    """Numbers as what is computed with on the device that is chosen.

    On the CPU, NumPy: on an AMD EPYC with AVX-512 its products (OpenBLAS) take half as long as torch's (MKL).
    """
    return values if devices.chosen() == "cpu" else devices.as_tensor(values)


def low_high_energy(
    x: Array, columns: Array, widths: Sequence[float], tile_bytes: int | None = None
) -> tuple[Array, Array]:
    """Energy of each column below and above the filter, for each width.

    (K v)_i = sum_j exp(-|x_i - x_j|^2 / (2 w^2)) v_j / sum_j exp(-|x_i - x_j|^2 / (2 w^2)) (paper, Sec. 4.2).

    Args:
        x: inputs (sample, feature), float32. columns: (sample, column), float32. widths: in units of x.
        tile_bytes: memory for a tile of the kernel; a few tiles and columns are all that is held beside the data.

    Returns:
        Two of float64 (width, column): ||K v||^2 and ||v - K v||^2.
    """
    ops = _ops(x)
    low, high = (ops.zeros(x, len(widths), columns.shape[1]) for _ in range(2))
    for rows, smooth, norm in _kernel_products(x, columns[None], widths, tile_bytes):
        for index, total in enumerate(smooth):
            total /= norm[index]
            low[index] += ops.squares(total, 0)
            total -= columns[rows]
            high[index] += ops.squares(total, 0)
    return low, high


def there_and_back(
    x: Array, columns: Array, widths: Sequence[float], tile_bytes: int | None = None
) -> tuple[Array, Array]:
    """K^T K v and (I - K)^T (I - K) v of each column, for each width: <K r, K v> = <r, K^T K v>, of any r.

    Args: see `low_high_energy`.

    Returns:
        Two of float32 (width, sample, column), which with as much again is what is held.
    """
    ops = _ops(x)
    samples, count = columns.shape
    # Both parts of the columns, over the norm of each row: as the kernel G is symmetric, K^T u = G D^-1 u.
    parts = ops.empty(x, len(widths), samples, 2 * count)
    norms = ops.empty(x, len(widths), samples, 1)
    for rows, smooth, norm in _kernel_products(x, columns[None], widths, tile_bytes):
        norms[:, rows] = norm
        parts[:, rows, :count] = smooth / norm
        parts[:, rows, count:] = columns[rows] - parts[:, rows, :count]
    high = ops.empty(x, len(widths), samples, count)
    high[:] = parts[:, :, count:]
    parts /= norms
    low = ops.empty(x, len(widths), samples, count)
    for rows, back, _ in _kernel_products(x, parts, widths, tile_bytes):
        low[:, rows] = back[:, :, :count]
        high[:, rows] -= back[:, :, count:]
    return low, high


def _kernel_products(
    x: Array, columns: Array, widths: Sequence[float], tile_bytes: int | None
) -> Iterator[tuple[slice, Array, Array]]:
    """Products of the kernel, whose rows are not normalised, with columns (width, sample, column), or with the same
    ones (1, sample, column) for all widths; some rows after others.

    Yields:
        Which rows; the products (width, row, column), whose memory is used again; the norms (width, row, 1).
    """
    ops = _ops(x)
    samples, count = columns.shape[1:]
    # A column of ones, whose smoothing is the norm of each row; made eight, since products like that number.
    with_ones = ops.empty(x, len(columns), samples, count + 8 - count % 8)
    with_ones[:, :, :count], with_ones[:, :, count:] = columns, 1
    squares = (x**2).sum(1)
    numbers = (tile_bytes or TILE_BYTES[ops.place(x)]) // 4
    rows = max(LEAST_ROWS, SMOOTH_BYTES // (4 * len(widths) * with_ones.shape[2]))
    rows = max(1, min(rows, math.isqrt(numbers), samples))
    smooth = ops.empty(x, len(widths), rows, with_ones.shape[2])
    with ops.threads() as (threads, each):
        for start in range(0, samples, rows):
            chosen = slice(start, min(start + rows, samples))
            per_thread = max(LEAST_ROWS, math.ceil((chosen.stop - start) / threads))
            begins = range(start, chosen.stop, per_thread)
            parts = [slice(begin, min(begin + per_thread, chosen.stop)) for begin in begins]
            totals = [smooth[:, part.start - start : part.stop - start] for part in parts]
            work = partial(_smooth, x, squares, with_ones, widths, numbers // rows)
            list(each(work, parts, totals))
            whole = smooth[:, : chosen.stop - start]
            yield chosen, whole[:, :, :count], whole[:, :, count : count + 1]


def _smooth(
    x: Array, squares: Array, columns: Array, widths: Sequence[float], together: int, rows: slice, totals: Array
) -> None:
    """Write the products of some rows of the kernel to totals (width, row, column), by tiles of so many samples."""
    ops = _ops(x)
    for start in range(0, len(x), together):
        tile = slice(start, min(start + together, len(x)))
        # Distances once per tile, for all widths.
        distance = ops.distance(x[rows], squares[rows], x[tile], squares[tile])
        first, last = max(rows.start, tile.start), min(rows.stop, tile.stop)
        if first < last:  # of a sample to itself: rounded, it would not be zero
            ops.zero_diagonal(distance[first - rows.start : last - rows.start, first - tile.start : last - tile.start])
        kernel = ops.empty(x, *distance.shape)
        for index, (width, total) in enumerate(zip(widths, totals, strict=True)):
            ops.gaussian(distance, width, kernel)
            ops.add_product(total, kernel, columns[index % len(columns), tile], start == 0)


class _Torch:
    @staticmethod
    @contextmanager
    def threads() -> Iterator[tuple[int, Callable]]:
        """torch has its own."""
        yield 1, map

    @staticmethod
    def place(x: Array) -> str:
        return x.device.type

    @staticmethod
    def zeros(x: Array, *shape: int) -> Array:
        return x.new_zeros(shape, dtype=sys.modules["torch"].float64)

    @staticmethod
    def empty(x: Array, *shape: int) -> Array:
        return x.new_empty(shape)

    @staticmethod
    def squares(values: Array, axis: int) -> Array:
        """Sums in double precision."""
        return values.square().sum(dim=axis, dtype=sys.modules["torch"].float64)

    @staticmethod
    def distance(rows: Array, row_squares: Array, others: Array, other_squares: Array) -> Array:
        """Squared: the cross term may round below zero where inputs coincide."""
        torch = sys.modules["torch"]
        products = torch.addmm(other_squares, rows, others.T, alpha=-2)
        return products.add_(row_squares[:, None]).clamp_(min=0)

    @staticmethod
    def zero_diagonal(values: Array) -> None:
        values.diagonal().zero_()

    @staticmethod
    def gaussian(distance: Array, width: float, out: Array) -> None:
        # exp2 takes half the time of exp.
        exponent = sys.modules["torch"].mul(distance, -0.5 / math.log(2) / width**2, out=out)
        exponent.clamp_(min=LEAST_EXPONENT).exp2_()

    @staticmethod
    def add_product(total: Array, kernel: Array, values: Array, begins: bool) -> None:
        sys.modules["torch"].addmm(total, kernel, values, beta=0 if begins else 1, out=total)


class _Numpy:
    threads = staticmethod(devices.threads)

    @staticmethod
    def place(x: Array) -> str:
        return "cpu"

    @staticmethod
    def zeros(x: Array, *shape: int) -> Array:
        return np.zeros(shape)

    @staticmethod
    def empty(x: Array, *shape: int) -> Array:
        return np.empty(shape, np.float32)

    @staticmethod
    def squares(values: Array, axis: int) -> Array:
        return (values**2).sum(axis=axis, dtype=np.float64)

    @staticmethod
    def distance(rows: Array, row_squares: Array, others: Array, other_squares: Array) -> Array:
        products = rows @ others.T
        products *= -2
        products += other_squares
        products += row_squares[:, None]
        return np.maximum(products, 0, out=products)

    @staticmethod
    def zero_diagonal(values: Array) -> None:
        np.fill_diagonal(values, 0)

    @staticmethod
    def gaussian(distance: Array, width: float, out: Array) -> None:
        np.multiply(distance, np.float32(-0.5 / width**2), out=out)
        np.maximum(out, np.float32(LEAST_EXPONENT * math.log(2)), out=out)
        np.exp(out, out=out)

    @staticmethod
    def add_product(total: Array, kernel: Array, values: Array, begins: bool) -> None:
        if begins:
            np.matmul(kernel, values, out=total)
        else:
            total += kernel @ values


def _ops(x: Array) -> type[_Torch] | type[_Numpy]:
    return _Numpy if isinstance(x, np.ndarray) else _Torch


def median_distance(x: np.ndarray, pairs: int = 100_000) -> float:
    """Median Euclidean distance between inputs (sample, feature), over random pairs of different samples."""
    rng = np.random.RandomState(0)
    drawn = [rng.randint(0, 2**32, pairs, dtype=np.uint32) for _ in range(2)]
    first = drawn[0] % len(x)
    second = (first + 1 + drawn[1] % (len(x) - 1)) % len(x)
    blocks = (slice(start, start + 4096) for start in range(0, pairs, 4096))
    distances = [np.linalg.norm(x[first[block]] - x[second[block]], axis=1) for block in blocks]
    # The lower of the two in the middle, which torch takes.
    return float(np.partition(np.concatenate(distances), (pairs - 1) // 2)[(pairs - 1) // 2])
