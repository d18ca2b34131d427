"""Some members in training, stacked: what an update of them is, what is evaluated, what a checkpoint keeps of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fpkit.errors import UserError
from fpkit.training import algorithms, gradients, losses, schedules
from fpkit.training.batches import Batches
from fpkit.training.capture import Repeated
from fpkit.training.ensemble import SAMPLES_TOGETHER
from fpkit.training.layout import joined, put


class Block:
    """Some members of an ensemble, stacked. Blocks know nothing of each other."""

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batches: Batches,
        gradient: gradients.Autograd | gradients.Backpropagation,
        algorithm: algorithms.Fused | algorithms.Torch,
        loss: str,
        schedule: dict | None = None,
        clip_norm: float | None = None,
        captured: bool = False,
        apart: bool = False,
        together: int = SAMPLES_TOGETHER,
    ):
        self.together = together  # samples that are evaluated at a time
        self.x, self.y, self.batches = x, y, batches
        self.schedule, self.clip_norm = schedule, clip_norm
        self.gradient, self.algorithm, self.member_losses = gradient, algorithm, losses.build(loss)
        self.captured, self.apart = captured, apart
        if batches.size is not None:
            members = len(batches.seeds)
            # Of an epoch; and the number of the next update in it, which lies where a captured update finds it.
            self.order = torch.empty(members, len(x) // batches.size, batches.size, dtype=torch.int64, device=x.device)
            self.next = torch.zeros(1, dtype=torch.int64, device=x.device)
            self.drawn = self.order.new_empty(members, 1, batches.size)
            self.chosen = [part.new_empty(members, batches.size, *part.shape[1:]) for part in (x, y)]
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of the updates before."""
        self.epoch = -1
        self.once = Repeated(self._once, self.captured)
        self.evaluations: list[Repeated] = []

    def update(self, start: int, stop: int, then: Sequence[tuple[Tensor, Tensor]]) -> list[tuple]:
        """See `Ensemble.update`. `then` is empty, or the same at each call."""
        for step in range(start, stop):
            if self.batches.size is not None:
                self._draw(step)
            if self.schedule is not None:
                self.algorithm.scale(schedules.factor(self.schedule, step))
            self.once()
        if then and not self.evaluations:
            self.evaluations = [Repeated(partial(self._evaluated, x, y), self.captured) for x, y in then]
        with torch.no_grad():
            evaluated = [evaluation() for evaluation in self.evaluations] if then else []
        if self.apart:
            self.gradient.release()
        return evaluated

    def _once(self) -> None:
        """The update itself: work on the same memory each time, none of it the host's."""
        x, y = self._samples()
        self.algorithm.step(partial(self._gradient, x, y), partial(self._summed_loss, y))

    def _gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill the gradient, each member's no longer than `clip_norm`; the outputs."""
        output = self.gradient.gradient(x, y)
        if self.clip_norm is not None:
            stacks = self.gradient.stacks(self.gradient.flat.grad)
            squares = sum(stack.flatten(1).square().sum(dim=1) for stack in stacks)
            # As torch.nn.utils.clip_grad_norm_ has it.
            factors = (self.clip_norm / (squares.sqrt() + 1e-6)).clamp_(max=1)
            for stack in stacks:
                stack.mul_(factors.view(-1, *[1] * (stack.dim() - 1)))
        return output

    def _draw(self, step: int) -> None:
        """The samples of a new epoch, which the host draws while the GPU is busy with those before."""
        epoch, batch = self.batches.place(step)
        if epoch != self.epoch:
            drawn = torch.from_numpy(self.batches.epoch(epoch)).contiguous()  # or it would wait for a copy that is
            self.order.copy_(drawn.pin_memory() if self.order.is_cuda else drawn, non_blocking=True)
            self.next.fill_(batch)
            self.epoch = epoch

    def _samples(self) -> tuple[Tensor, Tensor]:
        """x (sample, *feature) and y (sample, output), or both with a leading member dimension for mini-batches.

        A mini-batch overwrites the one before.
        """
        if self.batches.size is None:
            return self.x, self.y
        torch.index_select(self.order, 1, self.next, out=self.drawn)
        self.next += 1
        for whole, some in zip((self.x, self.y), self.chosen, strict=True):
            torch.index_select(whole, 0, self.drawn.flatten(), out=some.view(-1, *whole.shape[1:]))
        return tuple(self.chosen)

    def _summed_loss(self, y: Tensor, output: Tensor) -> Tensor:
        return self.member_losses(output, y).sum()

    def try_out(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take the memory of an update and of an evaluation, and change nothing."""
        x, y = (self.x, self.y) if self.batches.size is None else self.chosen
        self._gradient(x, y)
        self.evaluate(pairs)
        if self.apart:
            self.gradient.release()

    @torch.no_grad()
    def evaluate(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """See `Ensemble.evaluate`."""
        return [self._evaluated(x, y) for x, y in pairs]

    def _evaluated(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = [self.gradient.predict(some) for some in x.split(self.together)]
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        correct = output.argmax(dim=-1) == y.argmax(dim=-1)
        return output, self.member_losses(output, y), correct.float().mean(dim=1)

    def state(self) -> list[dict]:
        """See `Ensemble.state`."""
        whole = {"parameters": self.gradient.flat.detach(), "algorithm": self.algorithm.state}
        return [_leaves(partial(self._of_member, member), whole) for member in range(len(self.batches.seeds))]

    def load(self, members: Sequence[dict]) -> None:
        """Bring the block to the states of its members."""
        whole = _leaves(self._of_block, *members)
        with torch.no_grad():
            self.gradient.flat.copy_(whole["parameters"])
        self.algorithm.load(whole["algorithm"])
        self._begin()

    def _of_member(self, member: int, leaf):
        """A member's numbers of a flat tensor; another tensor whole; anything else as it is."""
        if not isinstance(leaf, Tensor):
            return leaf
        try:
            if leaf.shape == self.gradient.flat.shape:
                return joined([stack[member].numpy(force=True) for stack in self.gradient.stacks(leaf)])
            return leaf.numpy(force=True).copy()
        except TypeError as error:
            told = f"the optimizer keeps numbers of {leaf.dtype} in its state, which NumPy does not know; take others"
            raise UserError(told) from error

    def _of_block(self, *leaves):
        """The flat tensor of the members' numbers, another tensor, or anything else as it is."""
        first, like = leaves[0], self.gradient.flat
        if not isinstance(first, np.ndarray):
            return first
        whole = torch.zeros(like.shape, dtype=torch.as_tensor(first).dtype)
        stacks = [stack.numpy() for stack in self.gradient.stacks(whole)]
        if first.size != sum(stack[0].size for stack in stacks):
            return torch.tensor(first, device=like.device)
        for member, numbers in enumerate(leaves):
            put(numbers, [stack[member] for stack in stacks])
        return whole.to(like.device)


def _leaves(function: Callable, *trees):
    """Trees of dictionaries and lists, all of one shape, with function(leaf, ...) in the places of their leaves."""
    first = trees[0]
    if isinstance(first, dict):
        return {key: _leaves(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, list):
        return [_leaves(function, *branches) for branches in zip(*trees, strict=True)]
    return function(*trees)
