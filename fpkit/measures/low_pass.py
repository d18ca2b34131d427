"""The Gaussian low-pass filter, tiled: the n x n kernel is never held. Needs torch alone.

Both errors follow from low-passed columns: with the residual r = h - y, ||y_low - h_low|| = ||K r|| and
||y_high - h_high|| = ||r - K r||, for K the row-normalised kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# A tile of the kernel: of a CPU it stays in the cache; a GPU wants large products.
TILE_BYTES = {"cpu": 4 * 2**20, "cuda": 64 * 2**20}
# The smoothed columns of a tile's rows, for all widths; but products of fewer rows are slow.
SMOOTH_BYTES, LEAST_ROWS = 96 * 2**20, 64


def low_high_energy(
    x: Tensor, columns: Tensor, widths: Sequence[float], tile_bytes: int | None = None
) -> tuple[Tensor, Tensor]:
    """Energy of each column below and above the filter, for each width.

    (K v)_i = sum_j exp(-|x_i - x_j|^2 / (2 w^2)) v_j / sum_j exp(-|x_i - x_j|^2 / (2 w^2)) (paper, Sec. 4.2).

    Args:
        x: inputs (sample, feature), float32. columns: (sample, column), float32. widths: in units of x.
        tile_bytes: memory for a tile of the kernel; a few tiles and columns are all that is held beside the data.

    Returns:
        Two float64 tensors (width, column): ||K v||^2 and ||v - K v||^2.
    """
    low = torch.zeros(len(widths), columns.shape[1], dtype=torch.float64, device=x.device)
    high = torch.zeros_like(low)
    for rows, smooth, norm in _kernel_products(x, columns[None], widths, tile_bytes):
        for index, total in enumerate(smooth):
            smoothed = total.div_(norm[index])
            low[index] += smoothed.square().sum(dim=0, dtype=torch.float64)
            high[index] += smoothed.sub_(columns[rows]).square_().sum(dim=0, dtype=torch.float64)
    return low, high


def there_and_back(
    x: Tensor, columns: Tensor, widths: Sequence[float], tile_bytes: int | None = None
) -> tuple[Tensor, Tensor]:
    """K^T K v and (I - K)^T (I - K) v of each column, for each width: <K r, K v> = <r, K^T K v>, of any r.

    Args: see `low_high_energy`.

    Returns:
        Two float32 tensors (width, sample, column), which with as much again is what is held.
    """
    samples, count = columns.shape
    # Both parts of the columns, over the norm of each row: as the kernel G is symmetric, K^T u = G D^-1 u.
    parts = x.new_empty(len(widths), samples, 2 * count)
    norms = x.new_empty(len(widths), samples, 1)
    for rows, smooth, norm in _kernel_products(x, columns[None], widths, tile_bytes):
        norms[:, rows] = norm
        parts[:, rows, :count] = smooth / norm
        parts[:, rows, count:] = columns[rows] - parts[:, rows, :count]
    high = parts[:, :, count:].clone()
    parts /= norms
    low = torch.empty_like(high)
    for rows, back, _ in _kernel_products(x, parts, widths, tile_bytes):
        low[:, rows] = back[:, :, :count]
        high[:, rows] -= back[:, :, count:]
    return low, high


def _kernel_products(
    x: Tensor, columns: Tensor, widths: Sequence[float], tile_bytes: int | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Products of the kernel, whose rows are not normalised, with columns (width, sample, column), or with the same
    ones (1, sample, column) for all widths; some rows after others.

    Yields:
        Which rows; the products (width, row, column), whose memory is used again; the norms (width, row, 1).
    """
    samples, count = columns.shape[1:]
    # A column of ones, whose smoothing is the norm of each row; made eight, since products like that number.
    ones = columns.new_ones(len(columns), samples, 8 - count % 8)
    with_ones = torch.cat([columns, ones], dim=2)
    squares = x.square().sum(dim=1)
    numbers = (tile_bytes or TILE_BYTES[x.device.type]) // 4
    rows = max(LEAST_ROWS, SMOOTH_BYTES // (4 * len(widths) * with_ones.shape[2]))
    rows = max(1, min(rows, math.isqrt(numbers), samples))
    together = numbers // rows
    parts = list(zip(x.split(together), squares.split(together), with_ones.split(together, dim=1), strict=True))
    smooth = x.new_empty(len(widths), rows, with_ones.shape[2])
    for start, x_rows, squares_rows in zip(range(0, samples, rows), x.split(rows), squares.split(rows), strict=True):
        smooth = smooth[:, : len(x_rows)]
        for part, (x_part, squares_part, values_part) in enumerate(parts):
            # Distances once per tile, for all widths; the cross term may round below zero where inputs coincide.
            distance = torch.addmm(squares_part, x_rows, x_part.T, alpha=-2).add_(squares_rows[:, None]).clamp_(min=0)
            kernel = torch.empty_like(distance)
            for index, (width, total) in enumerate(zip(widths, smooth, strict=True)):
                # exp2 takes half the time of exp.
                torch.mul(distance, -0.5 / math.log(2) / width**2, out=kernel).exp2_()
                torch.addmm(total, kernel, values_part[index % len(values_part)], beta=min(1, part), out=total)
        yield slice(start, start + len(x_rows)), smooth[:, :, :count], smooth[:, :, count : count + 1]


def median_distance(x: Tensor, pairs: int = 100_000) -> float:
    """Median Euclidean distance between inputs (sample, feature), over random pairs of different samples."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(len(x), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(x), (pairs,), generator=generator)) % len(x)
    blocks = [(x[i] - x[j]).norm(dim=1) for i, j in zip(first.split(4096), second.split(4096), strict=True)]
    return float(torch.cat(blocks).median())
