"""What is given to a recorder, checked: points, targets, steps, numbers."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from fpkit.datasets.points import too_coarse
from fpkit.errors import UserError
from fpkit.recording import evaluation


def inputs(x: Any) -> np.ndarray:
    """Probe points (sample, feature, ...), float32, as they are kept."""
    values = evaluation.as_array(x, "x")
    if values.ndim == 0 or len(values) == 0:
        raise UserError("x holds no probe point; give an array with a row for each")
    if values.ndim > 9:
        raise UserError(f"x has {values.ndim} dimensions; give at most 9")
    _check_numbers(values, "x")
    values = values.reshape(len(values), -1) if values.ndim == 1 else values
    return np.array(values, dtype=np.float32, order="C")


def values_of(y: Any) -> np.ndarray:
    """Targets (sample, output) as plain values, float32."""
    values = evaluation.as_array(y, "y")
    _check_numbers(values, "y")
    return np.asarray(values.reshape(len(values), math.prod(values.shape[1:])), np.float32)


def labels(y: Any, samples: int, outputs: str | None) -> np.ndarray | None:
    """Targets as they are given; classes, whole numbers, as (sample,)."""
    if y is None:
        return None
    values = np.array(evaluation.as_array(y, "y"))
    if values.ndim == 0 or len(values) != samples:
        raise UserError(f"y of shape {values.shape} has no target for each of {samples} probe points")
    _check_numbers(values, "y")
    if outputs not in (None, "values", "logits"):
        raise UserError(f"outputs {outputs!r}: give 'logits' or 'values', or leave it out")
    values = values.astype(np.int64) if values.dtype.kind == "b" else values
    if are_classes(values):
        if outputs is None:
            raise UserError(
                "y holds whole numbers: if they are classes, say what the model gives, outputs='logits' (its softmax is"
                " recorded) or outputs='values'; if they are values, give them as float"
            )
        return values.reshape(-1)
    if outputs == "logits" and not ((values >= 0) & (values <= 1)).all():
        raise UserError(
            "y holds values beyond 0 and 1, and outputs='logits' records probabilities; give classes, whole numbers, or"
            " leave outputs out"
        )
    return values


def _check_numbers(values: np.ndarray, name: str) -> None:
    """Raises UserError for what is no number, or more than single precision, which is kept, tells apart."""
    if not np.isfinite(values).all():
        raise UserError(f"{name} holds NaN or infinity; mend or drop these points")
    if lost := too_coarse(values):
        raise UserError(f"{name}, {lost}")


def are_classes(values: np.ndarray) -> bool:
    """Whether targets are whole numbers, one for each sample."""
    return values.dtype.kind in "iu" and values.size == len(values)


def whole(number: Any, name: str, least: int = 0) -> int:
    """A whole number, of Python, numpy or a tensor."""
    try:
        found = operator.index(number)
    except TypeError:
        found = None
    if found is None or found < least or isinstance(number, bool):
        raise UserError(f"{name} {number!r}: give a whole number, {least} or more")
    return found


def score(name: str, value: Any) -> float:
    """A loss or an accuracy as a number."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} {value!r}: give a number") from error
