"""How much of each component of a made target is learned: least squares over the components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.bases import components as components_basis
from fpkit.bases.basis import dot
from fpkit.errors import UserError
from fpkit.measures.decomposition import Decomposition
from fpkit.measures.nulls import DRAWS
from fpkit.measures.spectra import described, finish, target_of

# A component of which the target holds less than this share of the largest is not followed: its error has no scale.
NEGLIGIBLE = 1e-6


def decompose(
    predictions: xr.Dataset,
    dataset: xr.Dataset,
    *,
    split: str,
    threshold: float,
    hold: float,
    nulls: Sequence[str] = (),
    null_draws: int = DRAWS,
) -> xr.Dataset:
    """Coefficients of the outputs over the components of the target, relative to the target's own.

    Inputs are what `fpkit.datasets.targets` makes, or a data set of one's own with the same variables: `component_train
    (sample_train, component)`, same for test, and `component_frequency (component)`.

    Args:
        predictions: see `fpkit.measures.decomposition.Decomposition`.
        split, threshold, hold, nulls: see `Components` in `fpkit.config.measures`.

    Returns:
        learned (step, member, frequency): the fraction sum c[h] c[y] / sum c[y]^2, over outputs and the components that
        share a frequency, c by least squares; 1 is learned, and it may be below 0 or above 1. target_amplitude
        (frequency), |c[y]|, and what `Decomposition.spectra` gives.

    Raises:
        UserError: a data set without components, components that depend on each other, or a constant target.
    """
    basis = components_basis.build(dataset, split)
    _, target = target_of(dataset, split)
    along = Decomposition(predictions, basis, target, "components")
    amplitude = along.target_amplitude
    followed = amplitude > NEGLIGIBLE * amplitude.max()
    if not bool(followed.any()):
        raise UserError("components: the target holds none of its components; add them to it")
    spectra = along.spectra(followed, threshold, hold, nulls, null_draws)
    spectra["learned"] = described(_learned(along, followed).astype(np.float32), "learned fraction of the component")
    spectra["target_amplitude"] = described(amplitude, "|c[y]|, weight of the component in the target")
    return finish(spectra, predictions, measure="components", threshold=threshold, hold=hold)


def _learned(along: Decomposition, followed: xr.DataArray) -> xr.DataArray:
    """sum c[h] c[y] / sum c[y]^2 (step, member, frequency), NaN where it is not followed."""
    made, given, frequency = along.coefficient, along.target_coefficient, along.bands.frequency
    member_of = np.equal.outer(along.bands.of, np.arange(frequency.size)).astype(float)
    grouped = xr.DataArray(member_of, {"frequency": frequency["frequency"]}, ("function", "frequency"))
    product, size = (
        dot(values.sum("output", skipna=False), grouped, ["function"]) for values in (made * given, given**2)
    )
    return product / size.where(followed)
