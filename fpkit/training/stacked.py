"""An ensemble that torch trains: blocks of a few stacked members, side by side on threads, or all at once on a GPU."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpkit import parts
from fpkit.training import algorithms, gradients, networks
from fpkit.training.batches import Batches
from fpkit.training.block import Block
from fpkit.training.ensemble import SAMPLES_TOGETHER, Ensemble
from fpkit.training.work import CONVOLUTIONAL, operations

# Floating-point operations of a block's update, at least: a few milliseconds.
BLOCK_OPERATIONS = 3e8
# Samples that are evaluated at a time on the CPU, at least.
LEAST_TOGETHER = 64
# Members that are convolved together, at most. Large networks are fastest alone.
CONVOLVED_TOGETHER = 4
# Where there are not enough threads, some are left to others: Zarr's.
SPARE_THREADS = 8


class StackedEnsemble(Ensemble):
    """Any network, loss and algorithm, on any device; members in blocks of a few, worked on side by side.

    Args:
        model: a config `model` entry. seeds: one for each member.
        algorithm: arguments of `fpkit.training.algorithms.build`. The others are those of `train`.
    """

    def __init__(
        self,
        model: dict,
        data: dict[str, np.ndarray],
        seeds: Sequence[int],
        algorithm: dict,
        loss: str,
        batch_size: int | None,
        device: str,
        threads: int,
        basis: np.ndarray | None,
    ):
        _make_reproducible()
        data = {
            name: torch.as_tensor(array, dtype=torch.float32).contiguous().to(device) for name, array in data.items()
        }
        super().__init__(data, loss, None if basis is None else torch.as_tensor(basis).to(device))
        x, y = self.parts["train"]
        build = partial(networks.build, features=x.shape[1:], outputs=y.shape[-1], **model)
        initial = [parameter.to(device) for parameter in build().initialize(seeds)]
        own = bool(parts.own_of(model, algorithm["name"], loss))

        inputs = x[: batch_size or len(x)].shape
        of_one = operations(model, [parameter.shape[1:] for parameter in initial], inputs)
        together = SAMPLES_TOGETHER
        if not x.is_cuda:
            # A third of an update's operations, and as many as the cache likes: a transformer's tokens fill it soon.
            fitting = round(3 * BLOCK_OPERATIONS / (of_one / inputs[0]))
            together = min(max(fitting, LEAST_TOGETHER), SAMPLES_TOGETHER)

        def block(part: slice, apart: bool) -> Block:
            # A network of its own: one's own module takes the parameters of whoever calls it.
            gradient = gradients.build(model, x.dim() - 1, build(), [parameter[part] for parameter in initial], loss)
            update = algorithms.build(flat=gradient.flat, **algorithm)
            batches = Batches(len(x), batch_size, seeds[part])
            changing = {name: algorithm.get(name) for name in ("schedule", "clip_norm")}
            # What waits for the GPU cannot be captured: one's own parts may.
            captured = x.is_cuda and update.capturable and not own and not apart
            return Block(
                x, y, batches, gradient, update, loss, captured=captured, apart=apart, together=together, **changing
            )

        count = _blocks(model, loss, algorithm["name"], initial, of_one, threads)
        self.blocks = _fitting(block, len(seeds), count, list(self.parts.values()))
        # Threads that share an operation of torch's would change its last bits. How many do is known to each thread.
        single = partial(torch.set_num_threads, 1)
        single()
        side_by_side = _startable(min(threads, count))
        self.pool = ThreadPoolExecutor(side_by_side, initializer=single) if side_by_side > 1 else None

    def __exit__(self, *exception) -> None:
        super().__exit__(*exception)
        if self.pool:
            self.pool.shutdown()

    def update(self, start: int, stop: int, then: Sequence[tuple[Tensor, Tensor]]) -> list[tuple]:
        """See `Ensemble.update`."""
        return _together(self._map(lambda block: block.update(start, stop, then)))

    def evaluate(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple]:
        """See `Ensemble.evaluate`."""
        return _together(self._map(lambda block: block.evaluate(pairs)))

    def softmax(self, output: Tensor) -> Tensor:
        """See `Ensemble.softmax`."""
        return output.softmax(dim=-1)

    def fetch(self, arrays: Sequence[Tensor]) -> Callable[[], list[np.ndarray]]:
        """See `Ensemble.fetch`."""
        if not arrays[0].is_cuda:
            return lambda: [array.numpy() for array in arrays]
        held = [torch.empty(array.shape, dtype=array.dtype, pin_memory=True) for array in arrays]
        for host, array in zip(held, arrays, strict=True):
            host.copy_(array, non_blocking=True)
        there = torch.cuda.Event()
        there.record()

        def wait() -> list[np.ndarray]:
            there.synchronize()
            return [host.numpy() for host in held]

        return wait

    def state(self) -> list[dict]:
        """See `Ensemble.state`."""
        return [member for block in self.blocks for member in block.state()]

    def load(self, members: Sequence[dict]) -> None:
        """See `Ensemble.load`."""
        super().load(members)
        remaining = iter(members)
        for block in self.blocks:
            block.load([next(remaining) for _ in block.batches.seeds])

    def _map(self, function: Callable[[Block], Any]) -> list:
        """function(block) of each block, in their order."""
        return list(self.pool.map(function, self.blocks) if self.pool else map(function, self.blocks))


def _startable(threads: int) -> int:
    """As many of so many threads as can be started now, with a line where that is fewer."""
    end, started = threading.Event(), []
    try:
        for _ in range(threads if threads > 1 else 0):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError) as error:
        threads = max(1, len(started) - SPARE_THREADS)
        print(f"only {threads} threads can be started ({error}); training goes on with these", flush=True)
    finally:
        end.set()
        for thread in started:
            thread.join()
    return threads


def _make_reproducible() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _together(blocks: list[list[tuple[Tensor, ...]]]) -> list[tuple[Tensor, ...]]:
    """What each block made of each pair, as of all members."""
    if len(blocks) == 1:
        return blocks[0]
    return [tuple(torch.cat(stack) for stack in zip(*results, strict=True)) for results in zip(*blocks, strict=True)]


def _fitting(
    block: Callable[[slice, bool], Block], members: int, count: int, pairs: list[tuple[Tensor, Tensor]]
) -> list[Block]:
    """So many blocks, or more where a GPU's memory is too small for them: then one after the other has what there is.

    Args:
        block: (members, whether it gives back its memory after each call) -> a block. pairs: what is evaluated.
    """
    while True:
        borders = [members * number // count for number in range(count + 1)]
        chosen = [slice(*pair) for pair in pairwise(borders)]
        on_gpu = pairs[0][0].is_cuda
        try:
            blocks = [block(some, on_gpu and count > 1) for some in chosen]
            if on_gpu:
                blocks[0].try_out(pairs)
            return blocks
        except torch.OutOfMemoryError:
            blocks = None
            if count == members:
                raise
        gc.collect()  # what was tried, and all that it held
        torch.cuda.empty_cache()
        count = min(members, 2 * count)
        print(f"the GPU holds {-(-members // count)} of {members} members at a time", flush=True)


def _blocks(model: dict, loss: str, algorithm: str, initial: Sequence[Tensor], of_one: float, threads: int) -> int:
    """How many blocks the members make, of which an update of one is so many operations.

    Blocks are as small as the cache likes them, but not so small that calls cost more than what they do; on a GPU all
    members are together. Where the last bits of a member depend on how many are in its block, their number does not
    depend on the threads.
    """
    members = len(initial[0])
    if algorithms.goes_one_by_one(algorithm):
        return members
    if initial[0].device.type != "cpu":
        return 1
    if model["kind"] in CONVOLUTIONAL:
        # The libraries choose by the number of channels how they convolve.
        return -(-members // min(max(1, round(BLOCK_OPERATIONS / of_one)), CONVOLVED_TOGETHER))
    count = max(1, round(members * of_one / BLOCK_OPERATIONS))
    if gradients.by_hand(model, loss):
        count = -(-max(threads, count) // threads) * threads  # as many for each thread
    return min(members, count)
