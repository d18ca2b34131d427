"""The Gaussian low-pass filter, tiled: the n x n kernel is never held. Needs torch alone.

Both errors follow from low-passed columns: with the residual r = h - y, ||y_low - h_low|| = ||K r|| and
||y_high - h_high|| = ||r - K r||, for K the row-normalised kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    samples, count = columns.shape
    # A column of ones, whose smoothing is the norm of each row; made eight, since products like that number.
    with_ones = torch.cat([columns, columns.new_ones(samples, 8 - count % 8)], dim=1)
    squares = x.square().sum(dim=1)
    low = torch.zeros(len(widths), count, dtype=torch.float64, device=x.device)
    high = torch.zeros_like(low)

    numbers = (tile_bytes or TILE_BYTES[x.device.type]) // 4
    rows = max(LEAST_ROWS, SMOOTH_BYTES // (4 * len(widths) * with_ones.shape[1]))
    rows = max(1, min(rows, math.isqrt(numbers), samples))
    parts = list(
        zip(x.split(numbers // rows), squares.split(numbers // rows), with_ones.split(numbers // rows), strict=True)
    )
    smooth = x.new_empty(len(widths), rows, with_ones.shape[1])
    for x_rows, squares_rows, values in zip(*(whole.split(rows) for whole in (x, squares, columns)), strict=True):
        smooth = smooth[:, : len(x_rows)]
        for part, (x_part, squares_part, values_part) in enumerate(parts):
            # Distances once per tile, for all widths; the cross term may round below zero where inputs coincide.
            distance = torch.addmm(squares_part, x_rows, x_part.T, alpha=-2).add_(squares_rows[:, None]).clamp_(min=0)
            kernel = torch.empty_like(distance)
            for width, total in zip(widths, smooth, strict=True):
                # exp2 takes half the time of exp.
                torch.mul(distance, -0.5 / math.log(2) / width**2, out=kernel).exp2_()
                torch.addmm(total, kernel, values_part, beta=min(1, part), out=total)
        for index, total in enumerate(smooth):
            smoothed = total[:, :count].div_(total[:, count : count + 1])
            low[index] += smoothed.square().sum(dim=0, dtype=torch.float64)
            high[index] += smoothed.sub_(values).square_().sum(dim=0, dtype=torch.float64)
    return low, high


def median_distance(x: Tensor, pairs: int = 100_000) -> float:
    """Median Euclidean distance between inputs (sample, feature), over random pairs of different samples."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(len(x), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(x), (pairs,), generator=generator)) % len(x)
    blocks = [(x[i] - x[j]).norm(dim=1) for i, j in zip(first.split(4096), second.split(4096), strict=True)]
    return float(torch.cat(blocks).median())
