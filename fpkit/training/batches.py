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

    def ahead(self, step: int, stop: int) -> tuple[np.ndarray | None, int]:
        """The samples, int64 (member, update, sample), of the updates from `step` on, up to `stop` or the epoch's end,
        and how many updates these are. None for all samples.
        """
        if self.size is None:
            return None, stop - step
        epoch, first = self.place(step)
        order = self.epoch(epoch)[:, first : first + stop - step]
        return order, order.shape[1]

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        # A spawn key, so that no epoch draws the numbers of which the member's parameters were made.
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,))).permutation(self.samples)
