"""Made targets: what may be asked of a sum of components on the inputs of a data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpkit.config.fields import Entry, Integer, PositiveFloat, PositiveInt


class Target(Entry):
    """A sum of components of equal energy on the data set's inputs, in place of its own target or added to it."""

    components: Integer = Field(8, ge=2, le=64)
    """How many there are."""
    strength: PositiveFloat | None = None
    """Add the sum, scaled to this standard deviation, to every output of the data set's own target; left out, the sum
    is the target, one output of standard deviation 1."""


class GraphBands(Target):
    """Random combinations of the eigenvectors of the normalised Gaussian kernel on all inputs, in bands of them.

    Bands are log-spaced by rank, from smooth to rough, the constant one left out; the frequency of a band is the mean
    of 1 - eigenvalue. For up to some thousands of samples."""

    kind: Literal["graph_bands"]
    width: PositiveFloat = 0.25
    """Of the kernel, in units of the median distance between inputs."""


class SinesAlong(Target):
    """sin(2 pi k t + random phase), k = 1, 2, ..., along a principal component of the inputs, whose extent is 1."""

    kind: Literal["sines"]
    direction: PositiveInt = 1
    """Which principal component: 1 is the longest."""


class RadialSines(Target):
    """sin(2 pi k |x| + random phase), k = 1, 2, ..., of the norm of the inputs, whose range is 1 (Rahaman et al. 2019;
    Fridovich-Keil et al. 2022)."""

    kind: Literal["radial_sines"]


MadeTarget = Annotated[GraphBands | SinesAlong | RadialSines, Field(discriminator="kind")]
