"""Claims: sentences of the paper, made measurable."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from fpkit.config.fields import Entry, Finite
from fpkit.config.measures import ACCURACIES, LOSSES, MEASURES, Null
from fpkit.config.statistics import STATISTICS


class Bound(Entry):
    """Where a statistic must lie: `{at_least: 0.8}` or `{at_most: 0.1}`."""

    at_least: Finite | None = None
    at_most: Finite | None = None

    @model_validator(mode="after")
    def _one(self):
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")
        return self


class Claim(Entry):
    """A sentence of the paper, made measurable. The bound is set before the run."""

    statement: str
    source: str
    """Section or figure of the paper."""
    experiment: str
    variants: list[str] = ["*"]
    """The variants it is about, by shell patterns (`activation~relu*`)."""
    pool: str | None = None
    """An axis of the experiment's sweep, `dataset.seed`: variants that differ along it alone are judged as one, by all
    their members together."""
    measure: Literal[tuple(MEASURES)]
    statistic: Literal[tuple(STATISTICS)]
    bound: Bound
    """On the statistic; with a control, on the statistic less its control."""
    control: Null | None = None
    """The null on which the same statistic is taken."""
    why_not: str | None = None
    """One sentence, where the claim was seen to fail: why. Shown with a verdict of `does not hold`, and only there."""


def measures_of(statistic: str) -> list[str]:
    """The measures that a statistic may be taken of: their spectra hold all that it needs."""
    needs = set(STATISTICS[statistic].needs)
    return [name for name, entry in MEASURES.items() if needs <= {*entry.gives, *LOSSES, *ACCURACIES}]
