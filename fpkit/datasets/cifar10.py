"""CIFAR-10, binary version: colour images of ten classes (Krizhevsky, 2009)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fpkit.datasets import files, images

SHAPE = (3, 32, 32)
"""Channel (red, green, blue), row, column."""
RECORD = 1 + 3 * 32 * 32
"""Bytes of a record: the label, then the pixels."""


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
    """The data set, from a local folder or a mirror; see `config.Cifar10` and `images.assemble`.

    Returns `x_train (sample_train, channel=3, row, column)`, `y_train (sample_train, output)`, same for test and, with
    `validation_limit`, for validation, float32.
    Raises UserError when the files are nowhere to be had or broken, or when a parameter does not fit them.
    """
    paths = files.locate("cifar10", path, mirrors)
    train, test = read_parts(paths)
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
            "cifar10",
            paths,
            source="Krizhevsky (2009): Learning multiple layers of features from tiny images,"
            " https://www.cs.toronto.edu/~kriz/cifar.html",
            license="none stated; the authors ask to cite the report",
        ),
    )


def read_parts(paths: Mapping[str, Path]) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The training part (data_batch_1 to 5) and the test part (test_batch).

    Arguments:
        paths: {original file name: where the file is}, either the archive or the six .bin files.

    Returns (images, labels) of each part: images (sample, channel, row, column) and labels (sample), unsigned bytes.
    Raises UserError naming the file that is truncated, corrupt or another than expected.
    """
    if files.CIFAR10_ARCHIVE in paths:
        archive = paths[files.CIFAR10_ARCHIVE]
        contents = [(archive, f"{name} in it", content) for name, content in _members(archive).items()]
    else:
        contents = [(paths[name], "it", files.read(paths[name])) for name in files.CIFAR10_BATCHES]
    *train, test = (_read_batch(*content) for content in contents)
    return tuple(np.concatenate(parts) for parts in zip(*train, strict=True)), test


def _members(path: Path) -> dict[str, bytes]:
    """The six batches in the archive, read in memory: nothing is written to disk."""
    content = files.read(path)  # unpacked here rather than by tarfile, which may stop before gzip's check sum
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
            batches = {}
            for name in files.CIFAR10_BATCHES:
                member = members.get(f"{files.CIFAR10_FOLDER}/{name}")
                if member is None:
                    raise files.broken(path, f"holds no {files.CIFAR10_FOLDER}/{name}")
                batches[name] = archive.extractfile(member).read()
            return batches
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise files.broken(path, "is no tar archive, or a truncated one") from error


def _read_batch(path: Path, where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if not content or len(content) % RECORD:
        raise files.broken(path, f"{where} has {len(content)} bytes, which is not a multiple of {RECORD}")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        raise files.broken(path, f"{where} has the label {labels.max()}, which is not within 0..9")
    return records[:, 1:].reshape(-1, *SHAPE), labels
