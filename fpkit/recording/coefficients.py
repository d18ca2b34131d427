"""Coefficients of predictions along a measure's basis, in place of predictions that are too large to keep."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from fpkit.config.parameters import parameters
from fpkit.datasets.points import as_dataset
from fpkit.errors import UserError
from fpkit.store.predictions import Writer


class Coefficients:
    """What is kept of predictions (sample, output): coefficients (function, output), and of the error r_t, less its
    mean over samples, the norm |r_t| and the product <r_t, r_0> with that of the first record.

    Args:
        asked: the one measure, with its parameters. x: probe points (sample, *feature), float32.

    Attributes:
        rows: (sample, function), float32, what predictions are multiplied with. recipe: of the basis.

    Raises:
        UserError: not one measure, one without a basis, or one that does not suit the points.
    """

    def __init__(self, asked: Mapping[str, Mapping], x: np.ndarray):
        if len(asked) != 1:
            raise UserError(f"coefficients: {len(asked)} measures; name the one that is to be taken of them")
        ((name, given),) = asked.items()
        taken = parameters(name, given)
        if taken.basis is None:
            raise UserError(f"coefficients: {name} has no basis that points alone tell; record predictions")
        self.recipe: dict[str, Any] = taken.basis
        points = as_dataset({"train": (x, np.zeros((len(x), 1), np.float32))}, {"train": x}, "points")
        options = {key: value for key, value in self.recipe.items() if key != "kind"}
        basis = import_module(f"fpkit.bases.{self.recipe['kind']}").build(points, "train", **options)
        self.rows = basis.matrix(len(x))
        self.first: np.ndarray | None = None

    def start(self, writer: Writer) -> None:
        """Take up the first predictions of a store that is gone on with."""
        self.writer = writer
        self.first = writer.kept("first_prediction")

    def of(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Coefficients (function, output), |r_t| and <r_t, r_0>; the first predictions are kept."""
        if self.first is None:
            self.first = predictions
            self.writer.keep("first_prediction", predictions, ["sample", "output"])
        error, start = (_centred(values - targets) for values in (predictions, self.first))
        return self.rows.T @ predictions, float(np.sqrt((error**2).sum())), float((error * start).sum())


def _centred(error: np.ndarray) -> np.ndarray:
    error = error.astype(np.float64)
    return error - error.mean(axis=0)
