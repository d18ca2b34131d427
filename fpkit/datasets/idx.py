"""Reader of IDX files, the format of MNIST and Fashion-MNIST.

A file is: two zero bytes, the type of the values (8: unsigned byte), the number of dimensions, the size of each
dimension (big-endian, four bytes), then the values in row-major order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fpkit.datasets import files

UNSIGNED_BYTE = 8


def read_parts(paths: Mapping[str, Path]) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The training part and the test part of a data set in four IDX files.

    Arguments:
        paths: {original file name: where the file is}, gzipped or not.

    Returns (images, labels) of each part: images (sample, channel=1, row, column) and labels (sample), unsigned bytes.
    Raises UserError naming the file that is truncated, corrupt or another than expected.
    """
    train, test = (
        _read_part(paths[f"{part}-images-idx3-ubyte.gz"], paths[f"{part}-labels-idx1-ubyte.gz"])
        for part in ("train", "t10k")
    )
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = " and ".join(f"{images.shape[2]} x {images.shape[3]}" for images, _ in (test, train))
        path = paths["t10k-images-idx3-ubyte.gz"]
        raise files.broken(path, f"test and training images differ in size ({sizes})")
    return train, test


def read(path: Path, dimensions: int) -> np.ndarray:
    """The values of one IDX file of unsigned bytes, gzipped or not, with the given number of dimensions.

    Raises UserError naming the file when it is no such file, or holds more or fewer bytes than it announces.
    """
    content = files.read(path)
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        if content[:3] == bytes([0, 0, UNSIGNED_BYTE]) and len(content) > 3:
            raise files.broken(
                path, f"holds {content[3]}-dimensional values where {dimensions}-dimensional ones belong"
            )
        raise files.broken(path, "is no IDX file of unsigned bytes")
    if len(content) < header:
        raise files.broken(path, "ends within its header")
    shape = [int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4)]
    announced = 1
    for size in shape:
        announced *= size
    if len(content) - header != announced:
        raise files.broken(path, f"holds {len(content) - header} values, its header announces {announced}")
    if announced == 0:
        raise files.broken(path, "holds no values")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read_part(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read(images_path, dimensions=3), read(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise files.broken(labels_path, f"holds {len(labels)} labels for {len(images)} images in {images_path.name}")
    if labels.max() > 9:
        raise files.broken(labels_path, f"holds the label {labels.max()}, which is not within 0..9")
    return images[:, np.newaxis], labels
