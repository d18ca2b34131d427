"""A record without predictions: their coefficients along a basis, summed up while the outputs are made."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Spectrum:
    """Coefficients of outputs (member, sample, output), of which a few samples are there at a time.

    Sums are in double precision: of a million samples, too.

    Args:
        basis: (sample, row), float32, on the device where the outputs come from.
    """

    def __init__(self, basis: Tensor):
        self.basis, self.samples = basis, 0
        self.coefficients = self.error = self.squares = 0.0

    def add(self, output: Tensor | np.ndarray, target: Tensor | np.ndarray) -> None:
        """Take in the outputs (member, sample, output) and targets (sample, output) of the next samples."""
        output, target = torch.as_tensor(output), torch.as_tensor(target)
        rows = self.basis[self.samples : self.samples + len(target)].T
        self.samples += len(target)
        self.coefficients += torch.matmul(rows, output).double()
        error = (output - target).double()
        self.error += error.sum(dim=1)
        self.squares += error.square_().sum(dim=1)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (member, row, output), and the norm (member,) of the error less its mean over samples."""
        energy = (self.squares - self.error.square() / self.samples).clamp_(min=0)
        return tuple(numbers.float().cpu().numpy() for numbers in (self.coefficients, energy.sum(dim=1).sqrt()))
