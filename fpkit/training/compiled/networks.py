"""Networks in the memory of compiled code."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np

from fpkit.training import schedules
from fpkit.training.compiled import library
from fpkit.training.compiled.encoder import Encoder
from fpkit.training.compiled.layers import Chain
from fpkit.training.layout import joined, put

LINE = 16  # numbers of a cache line
SHARED_NUMBERS = 1 << 19  # products of parameters with samples, from which on threads share the work


class Networks:
    """Networks of one shape, a member after the other in memory, and the updates of them.

    Rows of weights are padded with zeros to whole vectors.

    Args:
        initial: parameters (member, *shape), as `shape.natural` has them. shape: of each of them.
        algorithm: arguments of `fpkit.training.algorithms.build`. threads: how many share the work.

    Attributes:
        flat: all parameters, one number after the other. buffers: what the algorithm keeps, each like `flat`.
        steps: the updates that were taken.
    """

    def __init__(
        self,
        initial: Sequence[np.ndarray],
        shape: Chain | Encoder,
        activation: str,
        loss: str,
        algorithm: dict,
        threads: int,
    ):
        self.members, self.threads, self.steps = len(initial[0]), threads, 0
        self.all_start = True  # the threads that are asked for
        self.shape, self.outputs = shape, shape.outputs
        self.network = shape.structure(activation, loss)
        self.how, self.rate = library.Update.of(algorithm), algorithm["learning_rate"]
        self.schedule = algorithm.get("schedule")
        self.library, self.memory = library.loaded(), {}
        numbers = self.members * self._function("parameters")(self.network)
        self.flat = _zeros(numbers)
        for part, values in zip(shape.natural(self.rows(self.flat)), initial, strict=True):
            part[...] = values.reshape(part.shape)
        kept = self.library.buffers(self.how).decode().split()
        self.buffers = {name: _zeros(numbers) for name in kept}

    def _function(self, name: str) -> Callable:
        """Of compiled code, for this kind of network."""
        return getattr(self.library, f"{self.shape.kind}_{name}")

    def rows(self, flat: np.ndarray) -> np.ndarray:
        """An array like `flat` as (member, number): a view."""
        return flat.reshape(self.members, -1)

    def stacks(self, flat: np.ndarray) -> list[np.ndarray]:
        """Its parameters as torch has them (fpkit.training.gradients), for whose checkpoints: views, without what pads
        them.
        """
        return self.shape.stacks(self.rows(flat))

    def members_apart(self, flat: np.ndarray) -> list[np.ndarray]:
        """The numbers of each member in an array like `flat`: a copy, without what pads them."""
        stacks = self.stacks(flat)
        return [joined([stack[member] for stack in stacks]) for member in range(self.members)]

    def fill(self, flat: np.ndarray, members: Sequence[np.ndarray]) -> None:
        """Put the numbers of each member, as of `members_apart`, into an array like `flat`."""
        stacks = self.stacks(flat)
        for member, numbers in enumerate(members):
            put(numbers, [stack[member] for stack in stacks])

    def update(
        self,
        x: np.ndarray,
        y: np.ndarray,
        order: np.ndarray | None,
        step: int,
        steps: int,
        then: Sequence[tuple[np.ndarray, np.ndarray | None]] = (),
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Take `steps` updates, of which the first follows update `step`.

        Args:
            x, y: (sample, number) as `shape` has them `arranged`, and (sample, output), float32, contiguous.
            order: the samples (member, steps, sample) of each update, int64, or None for all of them.
            then: pairs like x and y, or with None for y, on which the networks are evaluated at last: each member right
                after its updates, with its parameters in the cache.

        Returns:
            Of each pair in `then`, outputs (member, sample, output), losses and accuracies (member,).
        """
        batch, order_row = (0, 0) if order is None else (order.shape[2], order.strides[0] // order.itemsize)
        samples, numbers = batch or len(x), self.members * self.shape.products
        most = max(samples if steps else 0, *(len(x) for x, _ in then), 0)
        teams = min(self.members, self._threads(max(1, steps) * most * numbers))
        # Threads that wait for each other at every update.
        share = self._threads((samples if steps else most) * numbers // self.members) // teams or 1
        share = share if self.shape.shares else 1
        results = [self._results(len(x)) for x, _ in then]
        evaluations = [
            library.Evaluation(library.address(x), library.address(y), len(x), *map(library.address, result))
            for (x, y), result in zip(then, results, strict=True)
        ]
        first, second = (*self.buffers.values(), None, None)[:2]
        rates = np.full(steps, self.rate, float)
        if self.schedule is not None:
            rates *= [schedules.factor(self.schedule, step + more) for more in range(steps)]
        work = library.Work(
            ctypes.pointer(self.how), self.members, *map(library.address, (self.flat, first, second, x, y)),
            len(x), library.address(order), order_row, batch, step, steps, library.address(rates),
            (library.Evaluation * len(then))(*evaluations), len(then), teams, share,
            most, library.address(self._workspace(most, teams * share)),
        )  # fmt: skip
        worked = self._function("advance")(self.network, work)
        if worked == 0:
            raise MemoryError(f"for {self.members} networks on {most} samples")
        if worked < teams * min(share, samples) and self.all_start:
            self.all_start = False
            print(f"the system starts {worked} threads only, of {self.threads}: slower, the same results", flush=True)
        self.steps += steps
        return results

    def evaluate(
        self, pairs: Sequence[tuple[np.ndarray, np.ndarray | None]]
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What `update` returns of each pair, without an update."""
        x, y = pairs[0]
        return self.update(x, y, None, 0, 0, pairs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (member, sample, output) for such x."""
        return self.evaluate([(x, None)])[0][0]

    def _results(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(np.empty((self.members, *shape), np.float32) for shape in ((samples, self.outputs), (), ()))

    def _threads(self, numbers: int) -> int:
        """As many as pay for so many products: to begin one costs some microseconds, as does waiting for it."""
        return self.threads if numbers > SHARED_NUMBERS else 1

    def _workspace(self, samples: int, threads: int) -> np.ndarray:
        """Memory for steps on so many samples."""
        if (samples, threads) not in self.memory:
            self.memory[samples, threads] = _zeros(threads * self._function("workspace")(self.network, samples))
        return self.memory[samples, threads]


def _zeros(numbers: int) -> np.ndarray:
    """So many zeros, beginning with a cache line, as no vector should lie in two."""
    whole = np.zeros(numbers + LINE, np.float32)
    begin = -whole.ctypes.data % (whole.itemsize * LINE) // whole.itemsize
    return whole[begin : begin + numbers]
