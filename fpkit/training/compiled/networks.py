"""Networks in the memory of compiled code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fpkit.training.compiled import library
from fpkit.training.compiled.layers import Chain
from fpkit.training.layout import joined, parted, put

PAD = 16  # numbers; rows of matrices are multiples of it
LINE = 16  # numbers of a cache line
SHARED_NUMBERS = 1 << 19  # products of parameters with samples, from which on threads share the work


class Networks:
    """Networks of one shape, a member after the other in memory, and the updates of them.

    Rows of weights are padded with zeros to whole vectors.

    Args:
        initial: weight (member, *shape) and bias (member, units) of each layer in turn. chain: their layers.
        algorithm: arguments of `fpkit.training.algorithms.build`. threads: how many share the work.

    Attributes:
        flat: all parameters, one number after the other. buffers: what the algorithm keeps, each like `flat`.
        steps: the updates that were taken.
    """

    def __init__(
        self, initial: Sequence[np.ndarray], chain: Chain, activation: str, loss: str, algorithm: dict, threads: int
    ):
        self.members, self.threads, self.steps = len(initial[0]), threads, 0
        self.all_start = True  # the threads that are asked for
        self.chain, self.outputs = chain, chain.layers[-1].units
        layers = [
            library.Layer(
                layer.units, layer.places, layer.runs, layer.length, library.address(layer.table),
                layer.adds, layer.activated,
            )
            for layer in chain.layers
        ]  # fmt: skip
        self.network = library.Network(
            (library.Layer * len(layers))(*layers), len(layers), chain.features, chain.step,
            library.entry("activation", activation), library.entry("loss", loss),
        )  # fmt: skip
        self.how = library.Update.of(algorithm)
        self.library, self.memory = library.loaded(), {}
        numbers = self.members * self.library.parameters(self.network)
        self.flat = _zeros(numbers)
        for part, values in zip(self._natural(self.flat), initial, strict=True):
            part[...] = values.reshape(part.shape)
        kept = self.library.buffers(self.how).decode().split()
        self.buffers = {name: _zeros(numbers) for name in kept}
        # Numbers that a sample's way through a network multiplies.
        self.products = sum(layer.places * layer.inputs * layer.units for layer in chain.layers)

    def parameters(self, flat: np.ndarray) -> list[np.ndarray]:
        """Weight (member, input, unit) and bias (member, unit) of each layer in turn in an array like `flat`: views."""
        members, begin, weights, biases = flat.reshape(self.members, -1), 0, [], []
        for layer in self.chain.layers:
            last = layer is self.chain.layers[-1]
            rows, columns = (layer.units, layer.inputs) if last else (layer.inputs, layer.units)
            row = columns + -columns % PAD
            part = members[:, begin : begin + rows * row].reshape(-1, rows, row)[:, :, :columns]
            weights.append(part.mT if last else part)
            begin += rows * row
        for layer in self.chain.layers:
            biases.append(members[:, begin : begin + layer.units])
            begin += layer.units + -layer.units % PAD
        return [part for parts in zip(weights, biases, strict=True) for part in parts]

    def _natural(self, flat: np.ndarray) -> list[np.ndarray]:
        """The same in the order of `initial`."""
        parts = self.parameters(flat)
        parts[::2] = [layer.natural(weight) for layer, weight in zip(self.chain.layers, parts[::2], strict=True)]
        return parts

    def stacks(self, flat: np.ndarray) -> list[np.ndarray]:
        """The same as torch has it (fpkit.training.gradients), for whose checkpoints: views, without what pads them."""
        natural = self._natural(flat)
        return natural if self.chain.convolutional else [part for some in parted(natural) for part in some]

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
            x, y: (sample, number) as `chain` has them `arranged`, and (sample, output), float32, contiguous.
            order: the samples (member, steps, sample) of each update, int64, or None for all of them.
            then: pairs like x and y, or with None for y, on which the networks are evaluated at last: each member right
                after its updates, with its parameters in the cache.

        Returns:
            Of each pair in `then`, outputs (member, sample, output), losses and accuracies (member,).
        """
        batch, order_row = (0, 0) if order is None else (order.shape[2], order.strides[0] // order.itemsize)
        samples, numbers = batch or len(x), self.members * self.products
        most = max(samples if steps else 0, *(len(x) for x, _ in then), 0)
        teams = min(self.members, self._threads(max(1, steps) * most * numbers))
        # Threads that wait for each other at every update.
        share = self._threads((samples if steps else most) * numbers // self.members) // teams or 1
        results = [self._results(len(x)) for x, _ in then]
        evaluations = [
            library.Evaluation(library.address(x), library.address(y), len(x), *map(library.address, result))
            for (x, y), result in zip(then, results, strict=True)
        ]
        first, second = (*self.buffers.values(), None, None)[:2]
        worked = self.library.advance(
            self.network, self.how, self.members, *map(library.address, (self.flat, first, second, x, y)),
            len(x), library.address(order), order_row, batch, step, steps,
            (library.Evaluation * len(then))(*evaluations), len(then), teams, share,
            most, library.address(self._workspace(most, teams * share)),
        )  # fmt: skip
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
            self.memory[samples, threads] = _zeros(threads * self.library.workspace(self.network, samples))
        return self.memory[samples, threads]


def _zeros(numbers: int) -> np.ndarray:
    """So many zeros, beginning with a cache line, as no vector should lie in two."""
    whole = np.zeros(numbers + LINE, np.float32)
    begin = -whole.ctypes.data % (whole.itemsize * LINE) // whole.itemsize
    return whole[begin : begin + numbers]
