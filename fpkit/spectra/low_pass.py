"""The Gaussian low-pass filter, tiled: the n x n kernel is never held. Needs torch alone.

Both errors follow from low-passed columns: with the residual r = h - y, ||y_low - h_low|| = ||K r|| and
||y_high - h_high|| = ||r - K r||, for K the row-normalised kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

TILE_BYTES = 16 * 2**20


def low_high_energy(
    x: Tensor, columns: Tensor, widths: Sequence[float], tile_bytes: int = TILE_BYTES
) -> tuple[Tensor, Tensor]:
    """Energy of each column below and above the filter, for each width.

    (K v)_i = sum_j exp(-|x_i - x_j|^2 / (2 w^2)) v_j / sum_j exp(-|x_i - x_j|^2 / (2 w^2)) (paper, Sec. 4.2).

    Args:
        x: inputs (sample, feature), float32. columns: (sample, column), float32. widths: in units of x.
        tile_bytes: memory for a tile of the kernel; a handful of tiles and columns is all that is held beside the data.

    Returns:
        Two float64 tensors (width, column): ||K v||^2 and ||v - K v||^2.
    """
    samples = len(x)
    # A column of ones, whose smoothing is the norm of each row; made eight, since products like that number.
    count = columns.shape[1]
    with_ones = torch.cat([columns, columns.new_ones(samples, 8 - count % 8)], dim=1)
    squares = x.square().sum(dim=1)
    low = torch.zeros(len(widths), columns.shape[1], dtype=torch.float64, device=x.device)
    high = torch.zeros_like(low)
    rows = max(1, tile_bytes // (4 * samples))
    for start in range(0, samples, rows):
        tile = slice(start, start + rows)
        # Distances once per tile, for all widths; the cross term may round below zero where inputs coincide.
        distance = torch.addmm(squares, x[tile], x.T, alpha=-2).add_(squares[tile, None]).clamp_(min=0)
        kernel = torch.empty_like(distance)
        for index, width in enumerate(widths):
            # exp2 takes half the time of exp.
            torch.mul(distance, -0.5 / math.log(2) / width**2, out=kernel).exp2_()
            smooth = kernel @ with_ones
            smooth = smooth[:, :count].div_(smooth[:, count : count + 1])
            low[index] += smooth.square().sum(dim=0, dtype=torch.float64)
            high[index] += smooth.sub_(columns[tile]).square_().sum(dim=0, dtype=torch.float64)
    return low, high


def median_distance(x: Tensor, pairs: int = 100_000) -> float:
    """Median Euclidean distance between inputs (sample, feature), over random pairs of different samples."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(len(x), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(x), (pairs,), generator=generator)) % len(x)
    blocks = [(x[i] - x[j]).norm(dim=1) for i, j in zip(first.split(4096), second.split(4096), strict=True)]
    return float(torch.cat(blocks).median())
