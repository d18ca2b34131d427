"""Which samples an update is made of: all of them, or mini-batches without replacement within an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Numbers that are drawn at once, for as many epochs as they last: to seed a generator takes as long as some hundred.
AT_ONCE = 2_000


class Batches:
    """The samples of each update of each member.

    A member's order in an epoch follows from its seed and the epoch alone, so nothing has to be kept to resume.
    An epoch's last samples that do not fill a batch are left out.

    Args:
        samples: how many there are. size: of a batch, or None for all samples. seeds: one for each member.

    Attributes:
        size: of a batch; None where each update is made of all samples.
    """

    def __init__(self, samples: int, size: int | None, seeds: Sequence[int]):
        self.samples, self.seeds = samples, seeds
        self.size = None if size is None or size >= samples else size
        self.epochs = max(1, AT_ONCE // samples)  # drawn at once
        self.last: tuple[int, np.ndarray] | None = None

    @property
    def per_epoch(self) -> int:
        """Updates of an epoch."""
        return self.samples // self.size

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of the update that follows update `step`, and its number in it."""
        return divmod(step, self.per_epoch)

    def epoch(self, epoch: int) -> np.ndarray:
        """The samples of an epoch's updates, int64 (member, update, sample)."""
        return self.ahead(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)

    def ahead(self, step: int, stop: int) -> np.ndarray | None:
        """The samples, int64 (member, update, sample), of the updates from `step` to `stop`. None for all samples."""
        if self.size is None:
            return None
        parts = []
        while step < stop:
            number, first = divmod(step, self.epochs * self.per_epoch)
            parts.append(self._drawn(number)[:, first : first + stop - step])
            step += parts[-1].shape[1]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _drawn(self, number: int) -> np.ndarray:
        """What is drawn at once, for the number-th time: (member, update, sample)."""
        if self.last is None or self.last[0] != number:
            used = self.per_epoch * self.size
            orders = np.stack([self._orders(seed, number)[:, :used] for seed in self.seeds])
            self.last = number, orders.reshape(len(orders), -1, self.size)
        return self.last[1]

    def _orders(self, seed: int, number: int) -> np.ndarray:
        """All samples, (epoch, sample)."""
        # A spawn key, so that no epoch draws the numbers of which the member's parameters were made.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        return rng.permuted(np.tile(np.arange(self.samples), (self.epochs, 1)), axis=1)
