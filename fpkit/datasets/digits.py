"""scikit-learn's handwritten digits: 1,797 grey images, 8 x 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fpkit.datasets import images


def build(
    limit: int | None = None,
    test_limit: int | None = None,
    pool: int = 1,
    validation_limit: int | None = None,
    label_noise: float = 0.0,
    shuffle_labels: bool = False,
    seed: int = 0,
    target: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The data set; a stratified fifth, drawn with `seed`, is the test part. See `config.Digits` and `images.assemble`.

    Returns `x_train (sample_train, channel=1, row, column)`, `y_train (sample_train, output)`, same for test and, with
    `validation_limit`, for validation, float32.
    Raises UserError when a parameter does not fit.
    """
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images[:, np.newaxis], digits.target, test_size=0.2, stratify=digits.target, random_state=seed
    )
    return images.assemble(
        (x_train, y_train),
        (x_test, y_test),
        maximum=16,
        limit=limit,
        test_limit=test_limit,
        pool=pool,
        validation_limit=validation_limit,
        label_noise=label_noise,
        shuffle_labels=shuffle_labels,
        seed=seed,
        target=target,
        attrs={
            "kind": "digits",
            "source": "Alpaydin, Kaynak (1998): Optical Recognition of Handwritten Digits, UCI Machine Learning"
            " Repository, https://doi.org/10.24432/C50P49; the test set of it, as in sklearn.datasets.load_digits",
            "license": "CC BY 4.0",
        },
    )
