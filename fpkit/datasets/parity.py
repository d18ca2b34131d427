"""Parity: the product of signs, whose spectrum is a single mode of the highest order."""

from __future__ import annotations

import numpy as np
import xarray as xr


def build(
    dimensions: int = 10,
    bits: int | None = None,
    train_fraction: float = 0.5,
    seed: int = 0,
) -> xr.Dataset:
    """y(x) = x_1 x_2 ... x_bits for all x of {-1, 1}^dimensions, parted in two.

    Arguments:
        dimensions: signs of an input.
        bits: how many of them, from the first, the target depends on; None: all.
        train_fraction: of the 2^dimensions inputs; at least one is left on either side.
        seed: draws the training part.

    Returns `x_train (sample_train, feature)`, `y_train (sample_train, output=1)`, the same for test, float32. The
    coordinates `index_train (sample_train)` and `index_test`, int64, increasing, number the inputs: sign j of input i
    is 1 - 2 b with b the bit j of i, the lowest bit first. The attributes `dimensions` and `bits` are integers.
    """
    bits = dimensions if bits is None else bits
    total = 2**dimensions
    size = min(max(round(train_fraction * total), 1), total - 1)
    train = np.zeros(total, dtype=bool)
    train[np.random.default_rng(seed).choice(total, size, replace=False)] = True

    variables, coordinates = {}, {}
    for part, index in (("train", np.flatnonzero(train)), ("test", np.flatnonzero(~train))):
        signs = 1 - 2 * (index[:, np.newaxis] >> np.arange(dimensions) & 1)
        sample = f"sample_{part}"
        variables[f"x_{part}"] = (
            (sample, "feature"),
            signs.astype(np.float32),
            {"units": "1", "long_name": "signs"},
        )
        variables[f"y_{part}"] = (
            (sample, "output"),
            signs[:, :bits].prod(axis=1, keepdims=True).astype(np.float32),
            {"units": "1", "long_name": f"product of the first {bits} signs"},
        )
        coordinates[f"index_{part}"] = (
            sample,
            index.astype(np.int64),
            {"units": "1", "long_name": "number of the input, whose bits are its signs"},
        )
    attrs = {
        "kind": "parity",
        "source": "computed: y = product of signs, the parity function of the papers on the Frequency Principle"
        " (Xu, Zhang, Xiao, arXiv:1807.01251; Xu et al., arXiv:1901.06523)",
        "license": "none needed: computed",
        "dimensions": dimensions,
        "bits": bits,
    }
    return xr.Dataset(variables, coordinates, attrs)
