"""From images and labels to a data set: stratified parts, pooling, centring and scaling, noise, one-hot targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fpkit.datasets.points import one_hot
from fpkit.datasets.targets import with_target
from fpkit.errors import UserError

CLASSES = 10
"""Of every image data set here."""
STREAMS = (
    "subset_train",
    "subset_test",
    "shuffle_train",
    "shuffle_test",
    "subset_validation",
    "shuffle_validation",
    "noise_train",
    "noise_validation",
    "target",
)
"""Of random numbers, in the order in which they are spawned: a new one goes last, or every data set changes."""


def assemble(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    maximum: int,
    limit: int | None,
    test_limit: int | None,
    pool: int,
    validation_limit: int | None,
    label_noise: float,
    shuffle_labels: bool,
    seed: int,
    attrs: Mapping[str, str],
    target: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The data set made of a training part and a test part.

    Arguments:
        train, test: images (sample, channel, row, column), from 0 to `maximum`, and labels (sample), from 0 to 9.
        maximum: the largest value a pixel can take.
        limit, test_limit: size of the stratified subset; None takes all, in their own order.
        pool: average over pool x pool pixels.
        validation_limit: size of the stratified part of the training images that is set aside, before `limit` takes
            its subset of the rest; None sets none aside.
        label_noise: this fraction of the training and validation labels, chosen at random, is replaced by labels drawn
            from all classes, the right one among them. A higher fraction keeps what a lower one replaced.
        shuffle_labels: deal the labels out at random, within each part, before the noise.
        seed: draws subsets, shuffles and noise, each from a stream of its own: none of them changes another.
        attrs: of the data set: kind, source, license.
        target: a made one in place of the classes, or added to them: see `targets.with_target`, which says what is
            returned then.

    Returns `x_train (sample_train, channel, row, column)`, `y_train (sample_train, output)`, same for test and, with
    `validation_limit`, for validation, float32. The inputs are centred by the mean of each pixel over the training part
    and divided by the standard deviation of the whole centred training part; the targets are one-hot, `output` is the
    class. Label noise, if any, is written down as the attribute `label_noise`.

    Raises UserError when a limit or `pool` does not fit the images, or when all training images are the same.
    """
    streams = dict(zip(STREAMS, np.random.default_rng(seed).spawn(len(STREAMS)), strict=True))
    available, validation = "training images available", {}
    if validation_limit is not None:
        available = "training images that validation_limit leaves"
        train, validation["validation"] = _set_aside(*train, validation_limit, streams["subset_validation"])
    train = _subset(*train, limit, "limit", available, streams["subset_train"])
    test = _subset(*test, test_limit, "test_limit", "test images available", streams["subset_test"])
    parts = {"train": train, "test": test, **validation}
    inputs = centre_and_scale(*(_pooled(images, maximum, pool) for images, _ in parts.values()))
    variables = {}
    for (part, (_, y)), x in zip(parts.items(), inputs, strict=True):
        sample, history = f"sample_{part}", ""
        if shuffle_labels:
            y, history = streams[f"shuffle_{part}"].permutation(y), ", dealt out at random"
        if label_noise and part != "test":
            y = _noisy(y, label_noise, streams[f"noise_{part}"])
            history += f", a fraction of {label_noise:g} replaced at random"
        variables[f"x_{part}"] = x.rename(sample=sample).assign_attrs(
            units="1", long_name="pixel value, centred and scaled by the training part"
        )
        variables[f"y_{part}"] = xr.DataArray(
            one_hot(y, CLASSES), dims=(sample, "output"), attrs={"units": "1", "long_name": f"one-hot class{history}"}
        )
    output = xr.DataArray(np.arange(CLASSES), dims="output", attrs={"units": "1", "long_name": "class"})
    noise = {"label_noise": label_noise} if label_noise else {}
    dataset = xr.Dataset(variables, attrs={**attrs, **noise})
    if target is not None:
        dataset = with_target(dataset, streams["target"], **target)
    return dataset if dataset.sizes["output"] == 1 else dataset.assign_coords(output=output)


def stratified_subset(labels: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of a random subset with the class proportions of the whole, in random order.

    Each class gets its share, rounded down; the places left over go to the classes that lost most by the rounding.

    Arguments:
        labels: (sample). limit: size of the subset, at most that of `labels`.

    Returns (limit), indices into `labels`. scikit-learn's splitters refuse to leave fewer samples than
    classes.
    """
    counts = np.bincount(labels)
    share = counts * limit / len(labels)
    taken = np.floor(share).astype(int)
    left_over = limit - taken.sum()
    taken[np.argsort(taken - share, kind="stable")[:left_over]] += 1
    chosen = [rng.choice(np.flatnonzero(labels == label), taken[label], replace=False) for label in range(len(counts))]
    return rng.permutation(np.concatenate(chosen))


def centre_and_scale(train: xr.DataArray, *others: xr.DataArray) -> tuple[xr.DataArray, ...]:
    """All parts, less the training part's mean of each pixel, divided by the training part's one standard deviation.

    One number scales all pixels: dividing each by its own would blow up the noise of the ones that hardly ever vary.

    Arguments:
        train, others: (sample, ...), float32; returned in the same shape and type.

    Raises UserError when all training images are the same.
    """
    # In float32 with sums in float64, and without xarray's search for NaN: CIFAR-10 fills 600 MB with each copy.
    mean = train.mean("sample", skipna=False, dtype=np.float64).astype(np.float32)
    train = train - mean
    scale = np.sqrt(np.square(train).mean(skipna=False, dtype=np.float64)).astype(np.float32)
    if scale == 0:
        raise UserError("all training images are the same, nothing to learn; check the files, or raise limit")
    train /= scale
    return train, *((other - mean) / scale for other in others)


def _set_aside(images, labels, limit, rng) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """What is left of a part, in its own order, and the stratified part of it that is set aside."""
    most = len(labels) - CLASSES
    if not CLASSES <= limit <= most:
        raise UserError(
            f"validation_limit: {limit} is not between the {CLASSES} classes and {most}, which leaves {CLASSES} of the"
            f" {len(labels)} training images; change it, or leave it out to set none aside"
        )
    chosen = stratified_subset(labels, limit, rng)
    left = np.ones(len(labels), dtype=bool)
    left[chosen] = False
    return (images[left], labels[left]), (images[chosen], labels[chosen])


def _noisy(labels: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    replaced = rng.permutation(len(labels))[: round(fraction * len(labels))]
    noisy = labels.copy()
    noisy[replaced] = rng.integers(CLASSES, size=len(labels))[: len(replaced)]
    return noisy


def _subset(images, labels, limit, key, available, rng) -> tuple[np.ndarray, np.ndarray]:
    if limit is None:
        return images, labels
    if not CLASSES <= limit <= len(labels):
        raise UserError(
            f"{key}: {limit} is not between the {CLASSES} classes and the {len(labels)} {available};"
            " change it, or leave it out to take all"
        )
    chosen = stratified_subset(labels, limit, rng)
    return images[chosen], labels[chosen]


def _pooled(images: np.ndarray, maximum: int, pool: int) -> xr.DataArray:
    """Images (sample, channel, row, column) from 0 to 1, averaged over pool x pool pixels, float32."""
    rows, columns = images.shape[2:]
    if rows % pool or columns % pool:
        fitting = [str(size) for size in range(1, min(rows, columns) + 1) if rows % size == columns % size == 0]
        raise UserError(
            f"pool: {pool} does not divide images of {rows} x {columns} pixels; use one of {', '.join(fitting)}"
        )
    pixels = xr.DataArray(images.astype(np.float32), dims=("sample", "channel", "row", "column"))
    pixels /= maximum
    return pixels if pool == 1 else pixels.coarsen(row=pool, column=pool).reduce(np.mean)
