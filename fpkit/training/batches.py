"""Which samples an update is made of: all of them, or mini-batches without replacement within an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
        self.last: tuple[int, np.ndarray] | None = None

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of the update that follows update `step`, and its number in it."""
        return divmod(step, self.samples // self.size)

    def epoch(self, epoch: int) -> np.ndarray:
        """The samples of an epoch's updates, int64 (member, update, sample): the same array as long as it is asked for
        the same epoch.
        """
        if self.last is None or self.last[0] != epoch:
            whole = self.samples // self.size * self.size
            orders = [self._order(seed, epoch)[:whole] for seed in self.seeds]
            self.last = epoch, np.stack(orders).reshape(len(orders), -1, self.size)
        return self.last[1]

    def ahead(self, step: int, stop: int) -> np.ndarray | None:
        """The samples, int64 (member, update, sample), of the updates from `step` to `stop`. None for all samples."""
        if self.size is None:
            return None
        parts = []
        while step < stop:
            epoch, first = self.place(step)
            parts.append(self.epoch(epoch)[:, first : first + stop - step])
            step += parts[-1].shape[1]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        # A spawn key, so that no epoch draws the numbers of which the member's parameters were made. What `default_rng`
        # makes of it, without its questions: of small batches, drawing is a good part of the time.
        bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(epoch,)))
        return np.random.Generator(bits).permutation(self.samples)
