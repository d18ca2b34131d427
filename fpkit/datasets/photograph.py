"""A photograph as a regression: from the place of a pixel to its grey value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from sklearn.datasets import load_sample_image

from fpkit.datasets.targets import with_target

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in Rec. 601."""
ORIGINS = {
    "china": "danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/",
    "flower": "vultilion, https://www.flickr.com/photos/vultilion/6056698931/",
}
"""Where scikit-learn found the photographs. Its README names danielbuechele for the flower too, but links vultilion."""


def build(
    image: str = "china",
    size: int = 48,
    fourier_scale: float | None = None,
    fourier_features: int = 64,
    seed: int = 0,
    target: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The grey values of one of scikit-learn's sample images, cut to a square in its middle.

    Arguments:
        image: "china" or "flower".
        size: pixels per side. Each is the average over a square of the photograph's own pixels; what this leaves over
            at the edges is cut off.
        fourier_scale: standard deviation of the random frequencies (cycles per image) whose cos and sin the network
            sees (Tancik et al., arXiv:2006.10739); None: it sees the coordinates themselves.
        fourier_features: how many frequencies are drawn.
        seed: draws the frequencies, of which another scale stretches the same ones, and what is random about a target.
        target: a made one on (row, column) / size, in place of the grey values or added to them: see
            `targets.with_target`. It is the same whatever the network sees of the coordinates.

    Returns `x_train (sample_train, feature)`, `y_train (sample_train, output=1)`, float32, row by row, and the same for
    test without any sample. The features are row and column, -1 + 2 i / size, or [cos(2 pi B u), sin(2 pi B u)] with
    u = (row, column) / size and B (fourier_features, 2) from N(0, fourier_scale^2). The grey values reach from -1 to 1.
    The coordinates `row_train (sample_train)` and `column_train`, int64, count the pixels; the attribute `size` is an
    integer.
    """
    grey = _averaged(load_sample_image(f"{image}.jpg") @ np.array(GREY), size)
    low, high = grey.min(), grey.max()
    values = (grey - (high + low) / 2) / ((high - low) / 2)
    row, column = (index.ravel() for index in np.indices((size, size)))
    place = np.stack([row, column], axis=1) / size
    if fourier_scale is None:
        x, meaning = 2 * place - 1, "row and column, mapped to [-1, 1)"
    else:
        frequencies = fourier_scale * np.random.default_rng(seed).standard_normal((fourier_features, 2))
        angles = 2 * np.pi * place @ frequencies.T
        x = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        meaning = f"cos, then sin of {fourier_features} random frequencies of {fourier_scale:g} cycles per image"

    variables = {}
    for part, chosen in (("train", slice(None)), ("test", slice(0))):
        sample = f"sample_{part}"
        variables[f"x_{part}"] = (
            (sample, "feature"),
            x[chosen].astype(np.float32),
            {"units": "1", "long_name": meaning},
        )
        variables[f"y_{part}"] = (
            (sample, "output"),
            values.reshape(-1, 1)[chosen].astype(np.float32),
            {"units": "1", "long_name": "grey value, scaled to [-1, 1]"},
        )
    coordinates = {
        f"{name}_train": ("sample_train", index.astype(np.int64), {"units": "1", "long_name": f"{name} of the pixel"})
        for name, index in (("row", row), ("column", column))
    }
    attrs = {
        "kind": "photograph",
        "source": f"photograph by {ORIGINS[image]}, as in sklearn.datasets.load_sample_image",
        "license": "CC BY 2.0",
        "image": image,
        "size": size,
    }
    dataset = xr.Dataset(variables, coordinates, attrs)
    if target is None:
        return dataset
    (rng,) = np.random.default_rng(seed).spawn(1)
    return with_target(dataset, rng, places={"train": place, "test": place[:0]}, **target)


def _averaged(pixels: np.ndarray, size: int) -> np.ndarray:
    """The middle of `pixels` (row, column), averaged down to (size, size)."""
    factor = min(pixels.shape) // size
    side = factor * size
    top, left = ((extent - side) // 2 for extent in pixels.shape)
    return pixels[top : top + side, left : left + side].reshape(size, factor, size, factor).mean(axis=(1, 3))
