"""Anyone's training, recorded: what its model predicts at some probe points, at log-spaced steps."""

from __future__ import annotations

import bisect
import math
import operator
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

import fpkit
from fpkit.datasets.points import one_hot
from fpkit.errors import UserError
from fpkit.recording import evaluation, given
from fpkit.recording.writing import Store, recorded_before
from fpkit.store.arrays import DESCRIPTIONS
from fpkit.store.schedule import record_steps

PARTS = ("train", "validation", "test")


class Recorder:
    """Records a training into a store, for `fpkit.open_run`: call it in the loop, with the step and the model.

        recorder = fpkit.Recorder("runs/seed0.zarr", x, y, member=0)
        for step, batch in enumerate(loader):
            recorder(step, model)        # before the update: step 0 is the network as it starts
            ...

    It is a no-op unless the step is due. A training that was killed and starts again, from its own checkpoint or from
    the beginning, goes on with the same store: records at later steps than the first that comes are made again. Of
    several processes of one training (`torch.distributed`) the first one records.

    Args:
        path: of the store, `.zarr`; a training of several members (seeds) has one for each.
        x: probe points (sample, *feature): an array or tensor, what the model is given. Distances and directions are
            those between them.
        y: their targets: values (sample,) or (sample, output), or classes (sample,), whole numbers from 0 on. None
            where there are none; measures then need others.
        member: number of the network in its ensemble, its seed perhaps.
        outputs: of classes, what the model gives: `logits`, of which the softmax is recorded, or `values`, recorded as
            they are, probabilities or scores trained by squared error. Targets are one-hot, then.
        part: what the probe points are part of: `train`, `validation` or `test`.
        when: steps to record, or a function step -> bool; left out, `per_decade` of them in each factor of ten. The
            first call is recorded in any case; of a step that is passed over, the next call.
        batch: so many probe points are evaluated at a time.
        forward: (model, points) -> outputs; `model(points)` where left out.
        coefficients: `{"projection": {"max_frequency": 20}}`: in place of predictions that are too large to keep, their
            coefficients along the basis of this one measure, with its parameters as in `config.yaml`.

    Raises:
        UserError: another process records to this store, or what is given does not fit together.
    """

    def __init__(
        self,
        path: str | Path,
        x: Any,
        y: Any = None,
        *,
        member: int = 0,
        outputs: Literal["values", "logits"] | None = None,
        part: Literal["train", "validation", "test"] = "train",
        when: Sequence[int] | Callable[[int], bool] | None = None,
        per_decade: int = 50,
        batch: int = 1000,
        forward: evaluation.Forward | None = None,
        coefficients: Mapping[str, Mapping] | str | None = None,
    ):
        self.path, self.part = Path(path).resolve(), part  # the loop may go elsewhere
        self.member, self.forward = given.whole(member, "member"), forward
        self.batch, self.per_decade = given.whole(batch, "batch", 1), given.whole(per_decade, "per_decade", 1)
        if part not in PARTS:
            raise UserError(f"part {part!r}: give one of {', '.join(PARTS)}")
        self._points, self._x = x, given.inputs(x)
        self._labels, self._classes = given.labels(y, len(self._x), outputs), False
        self._outputs = outputs
        self._when = when if callable(when) else None
        self._listed = None
        if when is not None and not callable(when):
            if not isinstance(when, Iterable):
                raise UserError(f"when {when!r}: give a list of steps, or a function of the step")
            self._listed = sorted({given.whole(step, "when") for step in when})
        self._along = None
        if coefficients is not None:  # what takes the configuration's schema, and xarray
            from fpkit.recording.coefficients import Coefficients

            asked = {coefficients: {}} if isinstance(coefficients, str) else coefficients
            self._along = Coefficients(asked, self._x)
        self._last: int | None = None  # step that this process was last called with
        self._recorded: int | None = None  # and that it last recorded
        self._due = -math.inf  # from this step on the next record is due
        self._store: Store | None = None
        self._idle: bool | None = None  # whether another process records: known when all of them are there
        self._began, self._ended = time.perf_counter(), math.inf
        self.seconds = 0.0
        """What recording took until now, in seconds."""
        self.records = 0
        """Records made by this process."""

    def __call__(self, step: int, model: Any, *, last: bool = False, **scores: float) -> bool:
        """Record what the model predicts, if the step is due; whether it was.

        Args:
            step: updates made until now. last: the training ends here, which makes the step due unless `when` says
                which are. scores: losses and accuracies of your own to be kept beside it, by names such
                as `loss_test`.

        Raises:
            UserError: steps that go back, or outputs that are no numbers for each probe point.
        """
        ends = last and not self._is_idle() and self._when is None and self._listed is None
        if not self.due(step) and not (ends and step != self._recorded):
            return False
        began = time.perf_counter()
        predictions = evaluation.evaluated(model, self._points, self.batch, self.forward, self._outputs == "logits")
        return self._record(operator.index(step), predictions, scores, began)

    def append(self, step: int, predictions: Any, **scores: float) -> bool:
        """Record predictions (sample, *output) that were made elsewhere, whether the step is due or not.

        Args: see `__call__`.
        """
        if self._is_idle():
            return False
        self.due(step)  # which tells steps that go back
        if step == self._recorded:
            raise UserError(f"{self.path}: step {step} was recorded already; count the updates over all epochs")
        began = time.perf_counter()
        made = evaluation.as_predictions(predictions, len(self._x), self._outputs == "logits")
        return self._record(operator.index(step), made, scores, began)

    def due(self, step: int) -> bool:
        """Whether a call at this step records: worth asking before predictions are made for `append`."""
        if self._is_idle():
            return False
        step = given.whole(step, f"{self.path}: step")
        if self._last is None:
            self._due = self._after(recorded_before(self.path, step))
        elif step < self._last:
            raise UserError(
                f"{self.path}: step {step} comes after step {self._last}; count the updates over all epochs, and give"
                " each training a Recorder of its own"
            )
        self._last = step
        return step >= self._due and (self._when is None or self._due == -math.inf or self._when(step))

    def close(self) -> None:
        """Write what is not written yet, and say in the store that the training has ended, and what recording took."""
        if self._store is not None:
            self._store.end(self._about(ended=True))
            self._store = None
            self._ended = time.perf_counter()

    def __getstate__(self) -> dict[str, Any]:
        if self._store is not None:
            raise UserError(f"{self.path}: a Recorder that is recording cannot be copied; make one in each process")
        return self.__dict__.copy()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        elapsed = self._elapsed()
        part = 100 * self.seconds / max(elapsed, 1e-9)
        return f"Recorder({self.path}: {self.records} records in {self.seconds:.3g} s of {elapsed:.4g} s, {part:.2g}%)"

    def _elapsed(self) -> float:
        """Seconds from the first line to the last record, or until now."""
        return min(self._ended, time.perf_counter()) - self._began

    def _is_idle(self) -> bool:
        if self._idle is None:
            self._idle = not _records()
        return self._idle

    def _after(self, step: int | None) -> float:
        """From which step on the next record is due, after one at a step; now, if there is none."""
        if step is None:
            return -math.inf
        if self._when:
            return step + 1
        if self._listed is not None:
            at = bisect.bisect_right(self._listed, step)
            return self._listed[at] if at < len(self._listed) else math.inf
        grid = record_steps(10 * step + 10, self.per_decade)
        return grid[bisect.bisect_right(grid, step)]

    def _record(self, step: int, predictions: np.ndarray, scores: Mapping[str, float], began: float) -> bool:
        if self._store is None:
            self._open(step, predictions.shape[1], scores)
        if predictions.shape[1] != self._target_shape[1]:
            raise UserError(
                f"{self.path}: {predictions.shape[1]} outputs, {self._target_shape[1]} before; give as many"
            )
        if self._outputs == "logits":
            predictions = _probabilities(predictions)
        if unknown := scores.keys() - self._given:
            raise UserError(f"{self.path}: {min(unknown)} was not given at the first record; give it there, too")
        own = dict.fromkeys(self._names, math.nan) | self._scores(predictions) | dict.fromkeys(self._given, math.nan)
        own |= {name: given.score(name, value) for name, value in scores.items()}
        if self._along is None:
            kept = predictions
        else:
            kept, own["error_norm"], own["error_overlap"] = self._along.of(predictions, self._targets)
        self._store.append(step, kept, own)
        self._due, self._last, self._recorded, self._ended = self._after(step), step, step, math.inf
        self.records += 1
        self.seconds += time.perf_counter() - began
        self._store.about = self._about(ended=True)
        return True

    def _open(self, step: int, outputs: int, scores: Mapping[str, float]) -> None:
        """With the first record: what the store holds is known, and whether it can go on."""
        self._targets = self._as_targets(outputs)
        self._target_shape = (len(self._x), outputs)
        self._names = [] if self._targets is None else [f"loss_{self.part}"]
        self._names += [f"accuracy_{self.part}"] if self._classes else []
        own = [name for name in scores if name not in self._names]
        for name in own:
            if name not in DESCRIPTIONS or not name.startswith(("loss_", "accuracy_")):
                known = [one for one in DESCRIPTIONS if one.startswith(("loss_", "accuracy_"))]
                raise UserError(f"{name}: no score that is kept; give one of {', '.join(known)}")
        self._names += own
        self._given = self._own = set(scores)
        self._store = Store(self.path, self.member)
        about = self._about(ended=False)
        self._own = self._given | self._store.open(
            step, self._x, self._targets, self._names, outputs, self._along, about
        )

    def _as_targets(self, outputs: int) -> np.ndarray | None:
        """(sample, output), float32: of classes, one-hot; of two classes and one logit, the class."""
        labels = self._labels
        if labels is None:
            if self._along is not None:
                raise UserError("coefficients need targets y: beside them the norm of the error is kept")
            return None
        self._classes = given.are_classes(labels) and (outputs > 1 or self._outputs == "logits")
        if self._classes and outputs == 1:  # one logit, or what was made of it
            if not np.isin(labels, (0, 1)).all():
                raise UserError(f"y holds classes from {labels.min()} to {labels.max()}, and the model gives one logit")
            return labels[:, None].astype(np.float32)
        if self._classes:
            if labels.min() < 0 or labels.max() >= outputs:
                raise UserError(
                    f"y holds classes from {labels.min()} to {labels.max()}, and the model has {outputs} outputs;"
                    " number them from 0 on"
                )
            return one_hot(labels, outputs)
        targets = labels.reshape(len(labels), -1).astype(np.float32)
        if targets.shape[1] != outputs:
            raise UserError(f"y has {targets.shape[1]} values a sample, and the model {outputs} outputs; give as many")
        return targets

    def _scores(self, predictions: np.ndarray) -> dict[str, float]:
        """Mean squared error and, of classes, the accuracy at the probe points."""
        if self._targets is None:
            return {}
        found = {f"loss_{self.part}": float(np.mean((predictions - self._targets) ** 2, dtype=np.float64))}
        if self._classes:
            right = [_class_of(values) for values in (predictions, self._targets)]
            right = right[0] == right[1]
            found[f"accuracy_{self.part}"] = float(right.mean())
        return found

    def _about(self, ended: bool) -> dict[str, Any]:
        record = {"split": self.part, "per_decade": self.per_decade, "outputs": self._outputs}
        record |= {} if self._along is None else {"basis": self._along.recipe}
        # Scores of the user's own: whatever they are, they do not tell whether the network diverged.
        record |= {"given": sorted(self._own)} if self._own else {}
        return {
            "recipe": {"model": {"kind": "recorded"}, "training": {}, "record": record},
            "classes": int(self._classes),
            "dataset": self.path.stem,
            "ended": int(ended),
            "recording_seconds": round(self.seconds, 3),
            "wall_seconds": round(self._elapsed(), 2),
            "versions": {"fpkit": fpkit.__version__, "numpy": np.__version__, "python": platform.python_version()},
        }


def _class_of(predictions: np.ndarray) -> np.ndarray:
    """The class (sample,) that probabilities (sample, output) name; of one, whether it is the likelier."""
    return predictions.argmax(axis=1) if predictions.shape[1] > 1 else predictions[:, 0] > 0.5


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits (sample, output); of a single one the logistic function."""
    if logits.shape[1] == 1:
        return (1 + np.tanh(logits / 2)) / 2
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _records() -> bool:
    """Whether this process records: of several that train one network, the first."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return True
    return distributed.get_rank() == 0
