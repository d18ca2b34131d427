"""What the trainer asks of an ensemble in training, whether compiled code or torch makes its updates.

Either goes on from the other's checkpoint: of fully connected networks both keep the same parts in the same order
(fpkit.training.layout), and of an algorithm the same buffers (fpkit.training.algorithms).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

PARTS = ("train", "validation", "test")
# Outputs are made of so many samples at a time, where all of them may be too large.
SAMPLES_TOGETHER = 1024


class Ensemble(ABC):
    """All members of a variant in training.

    Args:
        data: arrays of the kind that the ensemble computes with, as of `fpkit.training.trainer.train`.
        loss: a config `training.loss`.
        basis: of the records, a tensor on the ensemble's device: see `record`.
    """

    def __init__(self, data: dict[str, Any], loss: str, basis: Any = None):
        self.logits, self.basis = loss == "cross_entropy", basis
        self.parts = {part: (data[f"x_{part}"], data[f"y_{part}"]) for part in PARTS if len(data.get(f"x_{part}", ()))}
        # What `evaluate` made of all parts with the last updates.
        self.evaluated: list[tuple] | None = None

    def __enter__(self) -> Ensemble:
        return self

    def __exit__(self, *exception) -> None:
        self.evaluated = None

    def advance(self, start: int, stop: int, evaluate: bool = False) -> None:
        """Take the updates from step `start` to step `stop`.

        Args:
            evaluate: on the way to a `record`, which then has little left to do.
        """
        assert start <= stop, f"updates from {start} to {stop}"
        then = list(self.parts.values()) if evaluate and self.basis is None else []
        evaluated = self.update(start, stop, then)
        self.evaluated = evaluated if then else None

    def record(
        self, split: str, start: Ensemble | None = None
    ) -> Callable[[], tuple[np.ndarray, dict[str, np.ndarray]]]:
        """A function that gives the prediction (member, sample, output) on `split` and the scores (member,) of each
        part: as they are now, also if updates go on before it is called.

        With a basis (sample, row), in place of the prediction its coefficients (member, row, output), and two more
        scores, `error_norm` and `error_overlap`: see `fpkit.training.spectrum`. `start` is then the same members as
        they start: their outputs, which may be too large to keep, are made anew.
        """
        chosen = ("train", "test") if split == "all" else (split,)
        spectrum, predictions, scores = None, [], {}
        if self.basis is not None:
            from fpkit.training.spectrum import Spectrum  # with torch, which compiled code does without

            spectrum = Spectrum(self.basis)
        for part, some, target, output, *found in self._evaluations():
            for name, score in zip(("loss", "accuracy")[: target.shape[1]], found, strict=False):
                if spectrum:  # the mean over all samples, from those over some
                    share = len(target) / len(self.parts[part][0])
                    score = scores.get(f"{name}_{part}", 0) + share * score
                scores[f"{name}_{part}"] = score
            if part in chosen:
                output = self.softmax(output) if self.logits else output
                if spectrum:
                    spectrum.add(output, start.outputs(part, some), target)
                else:
                    predictions.append(output)
        there = self.fetch([*scores.values(), *predictions])

        def result() -> tuple[np.ndarray, dict[str, np.ndarray]]:
            arrays = there()
            found, outputs = dict(zip(scores, arrays, strict=False)), arrays[len(scores) :]
            if spectrum:
                coefficients, found["error_norm"], found["error_overlap"] = sums
                return coefficients, found
            return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1), found

        sums = spectrum.result() if spectrum else None
        return result

    def outputs(self, part: str, some: slice):
        """Outputs (member, sample, output) of some samples of a part of the data; class probabilities, not logits."""
        x, y = self.parts[part]
        ((output, *_),) = self.evaluate([(x[some], y[some])])
        return self.softmax(output) if self.logits else output

    def _evaluations(self) -> Iterator[tuple]:
        """Of each part of the data, or of some of its samples after others: the part's name, which samples, the
        targets, and what `evaluate` returns.
        """
        if self.basis is None:
            results = self.evaluated or self.evaluate(list(self.parts.values()))
            for (part, (_, y)), result in zip(self.parts.items(), results, strict=True):
                yield part, slice(None), y, *result
            return
        for part, (x, y) in self.parts.items():
            for begin in range(0, len(x), SAMPLES_TOGETHER):
                some = slice(begin, begin + SAMPLES_TOGETHER)
                (result,) = self.evaluate([(x[some], y[some])])
                yield part, some, y[some], *result

    @abstractmethod
    def update(self, start: int, stop: int, then: Sequence[tuple]) -> list[tuple]:
        """Take the updates from step `start` to step `stop`; then `evaluate`."""

    @abstractmethod
    def evaluate(self, pairs: Sequence[tuple]) -> list[tuple]:
        """Of each pair of x (sample, *feature) and y (sample, output): outputs (member, sample, output), losses and
        accuracies (member,). The accuracy is the share of samples whose largest output is where the largest target is.
        """

    @abstractmethod
    def softmax(self, output):
        """Class probabilities of logits (member, sample, output)."""

    @abstractmethod
    def fetch(self, arrays: Sequence) -> Callable[[], list[np.ndarray]]:
        """Arrays of the kind that the ensemble computes with, on their way to the host: a function that waits for them
        and returns NumPy's. Updates may go on meanwhile.
        """

    @abstractmethod
    def state(self) -> list[dict]:
        """What a checkpoint keeps, of each member alone, whoever trains beside it and on how many threads: arrays, in
        dictionaries and lists.
        """

    @abstractmethod
    def load(self, members: Sequence[dict]) -> None:
        """Bring all members to their states."""
        self.evaluated = None
