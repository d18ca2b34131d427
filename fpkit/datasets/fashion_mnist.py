"""Fashion-MNIST: grey images of clothes (Xiao, Rasul, Vollgraf; arXiv:1708.07747)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from fpkit.datasets import files, idx, images


def build(
    path: str | None = None,
    mirrors: Sequence[str] | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    pool: int = 1,
    validation_limit: int | None = None,
    label_noise: float = 0.0,
    shuffle_labels: bool = False,
    seed: int = 0,
    target: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The data set, from a local folder or a mirror; see `config.FashionMnist` and `images.assemble`.

    Returns `x_train (sample_train, channel=1, row, column)`, `y_train (sample_train, output)`, same for test and, with
    `validation_limit`, for validation, float32.
    Raises UserError when the files are nowhere to be had or broken, or when a parameter does not fit them.
    """
    paths = files.locate("fashion_mnist", path, mirrors)
    train, test = idx.read_parts(paths)
    return images.assemble(
        train,
        test,
        maximum=255,
        limit=limit,
        test_limit=test_limit,
        pool=pool,
        validation_limit=validation_limit,
        label_noise=label_noise,
        shuffle_labels=shuffle_labels,
        seed=seed,
        target=target,
        attrs=files.origin(
            "fashion_mnist",
            paths,
            source="Xiao, Rasul, Vollgraf (2017), arXiv:1708.07747, https://github.com/zalandoresearch/fashion-mnist",
            license="MIT",
        ),
    )
