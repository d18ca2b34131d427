"""Variants that differ along one axis of a sweep, draws of the data above all, as one with all their members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from fpkit.config.grid import named_one
from fpkit.errors import UserError

# Outputs at steps that each draw has of its own: they are shown of the first alone.
OF_THE_FIRST = "snapshot"


def pooled(variant: str, spectra: Sequence[xr.Dataset]) -> xr.Dataset:
    """The spectra of several variants as those of one, for figures.

    Members follow one another, numbered from 0 on: their seeds may repeat from one draw to the next. A frequency is
    followed where all follow it. What has no members, and so is the target's, is that of the first.

    Args:
        variant: what the group is called, `seed~*`.
        spectra: of one measure, one for each variant.

    Returns:
        A single one as it is; else a dataset in memory, whose attribute `draws` says how many they were, and its
        coordinate `data_draw` (member) which of them each member is of.

    Raises:
        UserError: they were recorded at other steps, or hold other numbers of frequencies.
    """
    first = spectra[0]
    if len(spectra) == 1:
        return first
    by_member = [name for name in first if "member" in first[name].dims]
    shown = [name for name in by_member if OF_THE_FIRST in first[name].dims]
    together = [name for name in by_member if name not in shown]
    try:
        whole = xr.concat(
            [_alike(one, first)[together] for one in spectra],
            "member",
            data_vars="all",
            coords="minimal",
            compat="override",
            join="exact",
        )
    except (ValueError, KeyError) as error:
        what = " ".join(str(error).split())
        raise UserError(f"{first.attrs['experiment']}/{variant}: cannot be pooled ({what}); leave out pool") from error
    whole = whole.assign_coords(member=np.arange(whole.sizes["member"]))
    of_first = first[shown].assign_coords(member=np.arange(first.sizes["member"])).reindex(member=whole["member"])
    whole = first.drop_vars([*by_member, "member"]).assign(dict(whole.items()) | dict(of_first.items()))
    if "followed" in first:
        whole["followed"] = first["followed"].copy(data=np.all([one["followed"] for one in spectra], axis=0))
    whole = whole.assign_coords(
        data_draw=("member", np.repeat(range(len(spectra)), [one.sizes["member"] for one in spectra]))
    )
    return whole.assign_attrs(variant=variant, dataset=_dataset(spectra), draws=len(spectra)).load()


def _alike(spectra: xr.Dataset, first: xr.Dataset) -> xr.Dataset:
    """On the frequencies of the first, where there are as many: eigenvalues, say, are never quite the same."""
    same = spectra.sizes.get("frequency") == first.sizes.get("frequency")
    return spectra.assign_coords(frequency=first["frequency"]) if same and "frequency" in first.coords else spectra


def _dataset(spectra: Sequence[xr.Dataset]) -> str:
    """What the names of their data sets have in common."""
    names = [named_one(one.attrs["dataset"]) for one in spectra]
    common = [label for label in names[0][1] if all(label in labels for _, labels in names)]
    return "+".join([*dict.fromkeys(name for name, _ in names), *common])
