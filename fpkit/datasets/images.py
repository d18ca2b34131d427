"""From images and labels to a data set: stratified subset, pooling, centring and scaling, one-hot targets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from fpkit.errors import UserError

CLASSES = 10
"""Of every image data set here."""


def assemble(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    maximum: int,
    limit: int | None,
    test_limit: int | None,
    pool: int,
    shuffle_labels: bool,
    seed: int,
    attrs: Mapping[str, str],
) -> xr.Dataset:
    """The data set made of a training part and a test part.

    Arguments:
        train, test: images (sample, channel, row, column), from 0 to `maximum`, and labels (sample), from 0 to 9.
        maximum: the largest value a pixel can take.
        limit, test_limit: size of the stratified subset; None takes all, in their own order.
        pool: average over pool x pool pixels.
        shuffle_labels: deal the labels out at random, within each part.
        seed: draws subsets and shuffles, each from a stream of its own: none of them changes another.
        attrs: of the data set: kind, source, license.

    Returns `x_train (sample_train, channel, row, column)`, `y_train (sample_train, output)`, same for test, float32.
    The inputs are centred by the mean of each pixel over the training part and divided by the standard deviation of the
    whole centred training part; the targets are one-hot, `output` is the class.

    Raises UserError when a limit or `pool` does not fit the images, or when all training images are the same.
    """
    subset_train, subset_test, shuffle_train, shuffle_test = np.random.default_rng(seed).spawn(4)
    train = _subset(*train, limit, "limit", "training", subset_train)
    test = _subset(*test, test_limit, "test_limit", "test", subset_test)
    x_train, x_test = (_pooled(images, maximum, pool) for images, _ in (train, test))
    x_train, x_test = centre_and_scale(x_train, x_test)
    y_train, y_test = train[1], test[1]
    if shuffle_labels:
        y_train, y_test = shuffle_train.permutation(y_train), shuffle_test.permutation(y_test)
    dealt = ", dealt out at random" if shuffle_labels else ""
    variables = {}
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        sample = f"sample_{part}"
        variables[f"x_{part}"] = x.rename(sample=sample).assign_attrs(
            units="1", long_name="pixel value, centred and scaled by the training part"
        )
        variables[f"y_{part}"] = xr.DataArray(
            one_hot(y), dims=(sample, "output"), attrs={"units": "1", "long_name": f"one-hot class{dealt}"}
        )
    output = xr.DataArray(np.arange(CLASSES), dims="output", attrs={"units": "1", "long_name": "class"})
    return xr.Dataset(variables, coords={"output": output}, attrs=dict(attrs))


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


def centre_and_scale(train: xr.DataArray, test: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Both parts, less the training part's mean of each pixel, divided by the training part's one standard deviation.

    One number scales all pixels: dividing each by its own would blow up the noise of the ones that hardly ever vary.

    Arguments:
        train, test: (sample, ...), float32; returned in the same shape and type.

    Raises UserError when all training images are the same.
    """
    # In float32 with sums in float64, and without xarray's search for NaN: CIFAR-10 fills 600 MB with each copy.
    mean = train.mean("sample", skipna=False, dtype=np.float64).astype(np.float32)
    train = train - mean
    scale = np.sqrt(np.square(train).mean(skipna=False, dtype=np.float64)).astype(np.float32)
    if scale == 0:
        raise UserError("all training images are the same, nothing to learn; check the files, or raise limit")
    train /= scale
    return train, (test - mean) / scale


def one_hot(labels: np.ndarray) -> np.ndarray:
    """(sample) labels as (sample, output), float32: 1 at the class, 0 elsewhere."""
    return np.eye(CLASSES, dtype=np.float32)[labels]


def _subset(images, labels, limit, key, part, rng) -> tuple[np.ndarray, np.ndarray]:
    if limit is None:
        return images, labels
    if not CLASSES <= limit <= len(labels):
        raise UserError(
            f"{key}: {limit} is not between the {CLASSES} classes and the {len(labels)} {part} images"
            " available; change it, or leave it out to take all"
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
