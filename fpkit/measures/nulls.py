"""Nulls: errors without any preference for a frequency, in place of the error h - y of each record.

`white_noise` is Gaussian noise of equal norm; under `shuffled_labels` the pairs (y_i, h_i) are dealt out anew over the
inputs: the same coefficients, along functions whose samples are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from fpkit.bases.basis import Basis

NULLS = ("white_noise", "shuffled_labels")
SEED = 20180704
OUTPUTS_TOGETHER = 64


def white_noise(
    basis: Basis, sizes: Mapping[str, int], error_norm: xr.DataArray, rng: np.random.Generator
) -> xr.DataArray:
    """|F| (step, member, frequency) of white noise with the norm of each record's error; one draw per member.

    Args:
        sizes: how many `sample` and `output`. error_norm: (step, member).
    """
    drawn = []
    for _ in range(error_norm.sizes["member"]):
        energy, parts = 0.0, []
        for start in range(0, sizes["output"], OUTPUTS_TOGETHER):  # all would be as large as the target
            noise = rng.standard_normal((sizes["sample"], min(OUTPUTS_TOGETHER, sizes["output"] - start)))
            noise -= noise.mean(axis=0)
            energy += np.vdot(noise, noise)
            parts.append(basis.coefficients(xr.DataArray(noise, dims=("sample", "output"))))
        drawn.append(basis.bands.norm(xr.concat(parts, "output")) / np.sqrt(energy))
    return error_norm * xr.concat(drawn, error_norm["member"])
