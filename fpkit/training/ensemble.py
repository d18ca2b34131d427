"""An ensemble in training: blocks of a few stacked members, which threads work on side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpkit import models
from fpkit.training import algorithms, compiled, gradients, losses
from fpkit.training.spectrum import Spectrum

# Floating-point operations of a block's update, at least: a few milliseconds.
BLOCK_OPERATIONS = 3e8
# Outputs are made of so many samples at a time.
SAMPLES_TOGETHER = 1024
PARTS = ("train", "validation", "test")


class Ensemble:
    """All members of a variant, in blocks of a few stacked members; threads work on the blocks side by side.

    Args:
        model: a config `model` entry. data: tensors on the device, as of `train`. seeds: one for each member.
        algorithm: arguments of `fpkit.training.algorithms.build`. The others are those of `train`.
    """

    def __init__(
        self,
        model: dict,
        data: dict[str, Tensor],
        seeds: Sequence[int],
        algorithm: dict,
        loss: str = "mse",
        batch_size: int | None = None,
        threads: int = 1,
    ):
        self.data, self.logits = data, loss == "cross_entropy"
        x = data["x_train"]
        network = models.build(features=x.shape[1:], outputs=data["y_train"].shape[-1], **model)
        initial = [parameter.to(x.device) for parameter in network.initialize(seeds)]
        self.compiled = compiled.can(model, algorithm["name"], loss, x.device)
        samples = min(len(x), batch_size or len(x))
        # Compiled code shares out members by itself.
        parts = [slice(None)] if self.compiled else _partition(initial, samples, algorithm["name"], threads)
        side_by_side = min(threads, len(parts))
        self.blocks = []
        for part in parts:
            stack = [parameter[part] for parameter in initial]
            if self.compiled:
                kind, gradient = CompiledBlock, compiled.Compiled(stack, model["activation"], loss, algorithm, threads)
            else:
                kind, gradient = Block, gradients.build(model, x.dim() - 1, network, stack, loss)
            update = algorithms.build(flat=gradient.flat, **algorithm)
            self.blocks.append(kind(data, seeds[part], gradient, update, loss, batch_size))
        # Of one block alone, all threads share every operation.
        torch.set_num_threads(threads if side_by_side == 1 else 1)
        self.pool = ThreadPoolExecutor(side_by_side) if side_by_side > 1 else None
        self.parts = {
            part: (data[f"x_{part}"].contiguous(), data[f"y_{part}"].contiguous())
            for part in PARTS
            if len(data.get(f"x_{part}", ()))
        }
        # By each block on each part, made with the last updates.
        self.evaluated: list | None = None

    def __enter__(self) -> Ensemble:
        return self

    def __exit__(self, *exception) -> None:
        if self.pool:
            self.pool.shutdown()

    def advance(self, start: int, stop: int, evaluate: bool = False) -> None:
        """Take the updates from step `start` to step `stop`.

        Args:
            evaluate: on the way to a `record` without a basis, which then has little left to do.
        """
        then = list(self.parts.values()) if evaluate else []
        evaluated = self._map(lambda block: block.advance(start, stop, then))
        self.evaluated = evaluated if evaluate else None

    @torch.no_grad()
    def record(self, split: str, basis: Tensor | None = None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Prediction (member, sample, output) on `split`, and the scores (member,) of each part of the data.

        Given a basis (sample, row), in place of the prediction its coefficients (member, row, output), and one more
        score, `error_norm`: see `fpkit.training.spectrum`.
        """
        chosen = ("train", "test") if split == "all" else (split,)
        spectrum, predictions, scores = None if basis is None else Spectrum(basis), [], {}
        # Predictions are whole; what may be too large is some samples at a time.
        for part, target, output, *found in self._evaluations(SAMPLES_TOGETHER if spectrum else None):
            for name, score in zip(("loss", "accuracy")[: target.shape[1]], found, strict=False):
                if spectrum:  # the mean over all samples, from those over some
                    share = len(target) / len(self.data[f"y_{part}"])
                    score = scores.get(f"{name}_{part}", 0) + share * score
                scores[f"{name}_{part}"] = score
            if part in chosen:
                output = output.softmax(dim=-1) if self.logits else output
                spectrum.add(output, target) if spectrum else predictions.append(output)
        if spectrum:
            recorded, scores["error_norm"] = spectrum.result()
        else:
            recorded = predictions[0] if len(predictions) == 1 else torch.cat(predictions, dim=1)
        return recorded.cpu().numpy(), {name: score.cpu().numpy() for name, score in scores.items()}

    def _evaluations(self, at_once: int | None) -> Iterator[tuple]:
        """Of each part of the data, or of some of its samples after others: the part's name, targets, and what
        `Block.evaluate` returns, of all members.
        """
        pieces = [self.parts.items()]
        if at_once:
            pieces = [
                [(name, pair)]
                for name, (x, y) in self.parts.items()
                for pair in zip(x.split(at_once), y.split(at_once), strict=True)
            ]
        for together in pieces:
            pairs = [pair for _, pair in together]
            blocks = None if at_once else self.evaluated
            blocks = blocks or self._map(lambda block, pairs=pairs: block.evaluate(pairs))
            for (name, (_, target)), results in zip(together, zip(*blocks, strict=True), strict=True):
                stacks = zip(*results, strict=True)
                yield name, target, *(stack[0] if len(stack) == 1 else torch.cat(stack) for stack in stacks)

    def state(self) -> list[dict]:
        """What a checkpoint keeps, of each member alone: it fits whatever blocks there are next time."""
        return [member for block in self.blocks for member in block.state()]

    def load(self, members: Sequence[dict]) -> None:
        """Bring all members to their states."""
        self.evaluated = None
        remaining = iter(members)
        for block in self.blocks:
            block.load([next(remaining) for _ in block.seeds])

    def _map(self, function: Callable[[Block], Any]) -> list:
        """function(block) of each block, in their order."""
        return list(self.pool.map(function, self.blocks) if self.pool else map(function, self.blocks))


def _partition(initial: Sequence[Tensor], samples: int, algorithm: str, threads: int) -> list[slice]:
    """Members that make a block each.

    As many blocks as threads or more, if there are enough members; each as small as the cache likes it, but not so
    small that calls cost more than what they do. On a GPU all are together.
    """
    members = len(initial[0])
    if algorithm in algorithms.ONE_BY_ONE:
        count = members
    elif initial[0].device.type != "cpu":
        count = 1
    else:
        operations = 6 * samples * sum(parameter.numel() for parameter in initial)
        count = max(threads, round(operations / BLOCK_OPERATIONS))
        count = min(members, -(-count // threads) * threads)  # as many for each thread
    borders = [members * block // count for block in range(count + 1)]
    return [slice(*pair) for pair in pairwise(borders)]


class Block:
    """Some members of an ensemble, stacked. Blocks know nothing of each other."""

    def __init__(
        self,
        data: dict[str, Tensor],
        seeds: Sequence[int],
        gradient: gradients.Autograd | gradients.Backpropagation,
        algorithm: algorithms.Fused | algorithms.Torch,
        loss: str,
        batch_size: int | None,
    ):
        self.seeds, self.gradient, self.algorithm = seeds, gradient, algorithm
        self.member_losses = losses.build(loss)
        self.batches = Batches(data["x_train"], data["y_train"], batch_size, seeds)

    def advance(self, start: int, stop: int, then: Sequence[tuple[Tensor, Tensor]] = ()) -> list[tuple]:
        """Take the updates from step `start` to step `stop`; then `evaluate`."""
        for step in range(start, stop):
            x, y = self.batches.at(step)
            self.algorithm.step(lambda x=x, y=y: self.gradient.gradient(x, y), partial(self._summed_loss, y))
        return self.evaluate(then)

    def _summed_loss(self, y: Tensor, output: Tensor) -> Tensor:
        return self.member_losses(output, y).sum()

    @torch.no_grad()
    def evaluate(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each pair of x (sample, *feature) and y (sample, output): outputs (member, sample, output), losses and
        accuracies (member,). The accuracy is the share of samples whose largest output is where the largest target is.
        """
        return [self._evaluated(x, y) for x, y in pairs]

    def _evaluated(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = [self.gradient.predict(some) for some in x.split(SAMPLES_TOGETHER)]
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        correct = output.argmax(dim=-1) == y.argmax(dim=-1)
        return output, self.member_losses(output, y), correct.float().mean(dim=1)

    def state(self) -> list[dict]:
        """See `Ensemble.state`."""
        whole = {"parameters": self.gradient.flat.detach(), "algorithm": self.algorithm.state}
        return [_leaves(partial(self._of_member, member), whole) for member in range(len(self.seeds))]

    def load(self, members: Sequence[dict]) -> None:
        """Bring the block to the states of its members."""
        whole = _leaves(self._of_block, *members)
        with torch.no_grad():
            self.gradient.flat.copy_(whole["parameters"])
        self.algorithm.load(whole["algorithm"])

    def _of_member(self, member: int, leaf):
        """A member's numbers of a flat tensor; anything else as it is."""
        if not (isinstance(leaf, Tensor) and leaf.shape == self.gradient.flat.shape):
            return leaf.clone() if isinstance(leaf, Tensor) else leaf
        return torch.cat([stack[member].flatten() for stack in self.gradient.stacks(leaf)])

    def _of_block(self, *leaves):
        """The flat tensor of the members' numbers; anything else as it is."""
        first = leaves[0]
        stacks = self.gradient.stacks(torch.zeros_like(self.gradient.flat, requires_grad=False))
        sizes = [stack[0].numel() for stack in stacks]
        if not (isinstance(first, Tensor) and first.numel() == sum(sizes)):
            return first.to(self.gradient.flat.device) if isinstance(first, Tensor) else first
        whole = torch.zeros_like(self.gradient.flat, requires_grad=False)
        for member, leaf in enumerate(leaves):
            for stack, numbers in zip(self.gradient.stacks(whole), leaf.split(sizes), strict=True):
                stack[member] = numbers.view(stack[member].shape)
        return whole


class CompiledBlock(Block):
    """All members, whose updates are made by compiled code, many in a call."""

    def advance(self, start: int, stop: int, then: Sequence[tuple[Tensor, Tensor]] = ()) -> list[tuple]:
        """Take the updates from step `start` to step `stop`; then `evaluate`."""
        while True:
            order, steps = self.batches.ahead(start, stop)
            last = start + steps == stop
            evaluated = self.gradient.advance(
                self.algorithm.state, self.batches.x, self.batches.y, order, start, steps, then if last else ()
            )
            if last:
                return evaluated
            start += steps

    def evaluate(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """See `Block.evaluate`."""
        return self.gradient.evaluate(pairs)


def _leaves(function: Callable, *trees):
    """Trees of dictionaries and lists, all of one shape, with function(leaf, ...) in the places of their leaves."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: _leaves(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, list):
        return [_leaves(function, *branches) for branches in zip(*trees, strict=True)]
    return function(*trees)


class Batches:
    """The samples of each update: all of them, or mini-batches without replacement within an epoch.

    A member's order in an epoch follows from its seed and the epoch alone, so nothing has to be kept to resume.
    An epoch's last samples that do not fill a batch are left out.
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int | None, seeds: Sequence[int]):
        self.x, self.y, self.seeds = x.contiguous(), y.contiguous(), seeds
        self.size = None if batch_size is None or batch_size >= len(x) else batch_size
        self.epoch, self.order, self.chosen = -1, None, None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """x (sample, *feature) and y (sample, output), or both with a leading member dimension for mini-batches.

        A mini-batch overwrites the one before.
        """
        order, _ = self.ahead(step, step + 1)
        if order is None:
            return self.x, self.y
        if self.chosen is None:
            self.chosen = [part.new_empty(*order[:, 0].shape, *part.shape[1:]) for part in (self.x, self.y)]
        for whole, batch in zip((self.x, self.y), self.chosen, strict=True):
            torch.index_select(whole, 0, order.flatten(), out=batch.view(-1, *whole.shape[1:]))
        return tuple(self.chosen)

    def ahead(self, step: int, stop: int) -> tuple[Tensor | None, int]:
        """The samples (member, step, sample) of updates from `step` on, up to `stop` or the epoch's end; how many.

        None for all samples.
        """
        if self.size is None:
            return None, stop - step
        epoch, batch = divmod(step, len(self.x) // self.size)
        if epoch != self.epoch:
            orders = [self._order(seed, epoch) for seed in self.seeds]
            batches = torch.stack(orders)[:, : len(self.x) // self.size * self.size]
            self.epoch = epoch
            self.order = batches.unflatten(1, (-1, self.size)).to(self.x.device)
        order = self.order[:, batch : batch + stop - step]
        return order, order.shape[1]

    def _order(self, seed: int, epoch: int) -> Tensor:
        # Seeded by both, spread over 64 bits, so that neighbouring seeds and epochs share nothing.
        mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return torch.randperm(len(self.x), generator=torch.Generator().manual_seed(mixed))
