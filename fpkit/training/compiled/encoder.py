"""A transformer encoder in compiled code: its shape, and where its parameters lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fpkit.training import work
from fpkit.training.compiled import library


@dataclass(frozen=True)
class Encoder:
    """As `fpkit.training.transformer` has it: of `tokens` of so many `numbers`."""

    features: tuple[int, ...]
    outputs: int
    patch: int
    width: int
    heads: int
    layers: int

    kind = "encoder"
    shares = False  # an update among threads

    @property
    def tokens(self) -> int:
        return work.tokens(self.features, self.patch)

    @property
    def numbers(self) -> int:
        return math.prod(self.features) // self.tokens

    @property
    def products(self) -> int:
        """Numbers that a sample's way through it multiplies."""
        of_layer = 12 * self.width + 2 * self.tokens
        return self.tokens * self.width * (self.numbers + self.layers * of_layer) + self.width * self.outputs

    def structure(self, activation: str, loss: str) -> library.Encoder:
        """As compiled code has it."""
        return library.Encoder(
            self.tokens, math.prod(self.features), self.width, self.heads, self.layers, self.outputs,
            library.entry("activation", activation), library.entry("loss", loss),
        )  # fmt: skip

    def arranged(self, x: np.ndarray) -> np.ndarray:
        """Inputs (sample, *feature) as (sample, token * number), float32, contiguous."""
        if len(self.features) == 3:
            channels, rows, columns = self.features
            patches = x.reshape(-1, channels, rows // self.patch, self.patch, columns // self.patch, self.patch)
            x = patches.transpose(0, 2, 4, 1, 3, 5)
        return np.ascontiguousarray(x.reshape(len(x), -1), np.float32)

    def natural(self, members: np.ndarray) -> list[np.ndarray]:
        """The parameters of torch's module (member, *shape) in its order, in rows (member, number): views."""
        begin = 0

        def rows(count: int, units: int) -> np.ndarray:
            nonlocal begin
            row = library.padded(units)
            begin += count * row
            return members[:, begin - count * row : begin].reshape(-1, count, row)[:, :, :units]

        def vector(units: int) -> np.ndarray:
            return rows(1, units)[:, 0]

        def linear(inputs: int, units: int) -> list[np.ndarray]:
            return [rows(inputs, units).mT, vector(units)]

        width = self.width
        found = [rows(self.tokens, width), *linear(self.numbers, width)]
        for _ in range(self.layers):
            found += [vector(width) for _ in range(4)]  # two norms
            found += [*linear(width, 3 * width), *linear(width, width)]
            found += [*linear(width, 4 * width), *linear(4 * width, width)]
        return [*found, vector(width), vector(width), rows(self.outputs, width), vector(self.outputs)]

    def stacks(self, members: np.ndarray) -> list[np.ndarray]:
        """The same, for checkpoints."""
        return self.natural(members)
