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
        self.coefficients = self.error = self.first = self.squares = self.products = 0.0

    def add(self, output: Tensor | np.ndarray, start: Tensor | np.ndarray, target: Tensor | np.ndarray) -> None:
        """Take in the outputs (member, sample, output), now and at the start, and targets (sample, output) of the next
        samples.
        """
        output, start, target = (torch.as_tensor(values) for values in (output, start, target))
        rows = self.basis[self.samples : self.samples + len(target)].T
        self.samples += len(target)
        self.coefficients += torch.matmul(rows, output).double()
        error, first = (output - target).double(), (start - target).double()
        self.error += error.sum(dim=1)
        self.first += first.sum(dim=1)
        self.products += (error * first).sum(dim=1)
        self.squares += error.square_().sum(dim=1)

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients (member, row, output); of the errors less their mean over samples the norm (member,), and the
        product (member,) with those at the start.
        """
        energy = (self.squares - self.error.square() / self.samples).clamp_(min=0)
        overlap = self.products - self.error * self.first / self.samples
        results = self.coefficients, energy.sum(dim=1).sqrt(), overlap.sum(dim=1)
        return tuple(numbers.float().cpu().numpy() for numbers in results)
