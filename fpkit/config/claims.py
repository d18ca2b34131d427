"""Claims: sentences of the paper, made measurable."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fpkit.config.fields import Entry, Finite
from fpkit.config.measures import MEASURES, Null
from fpkit.config.names import ACCURACIES, LOSSES
from fpkit.config.statistics import STATISTICS

StatisticName = Literal[tuple(STATISTICS)]


class Bound(Entry):
    """Where a statistic must lie: `{at_least: 0.8}`, `{at_most: 0.1}` or `{between: [1.7, 2.3]}`."""

    at_least: Finite | None = None
    at_most: Finite | None = None
    between: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None
    """The lower and the upper end."""

    @model_validator(mode="after")
    def _one(self):
        if sum(kind is not None for kind in (self.at_least, self.at_most, self.between)) != 1:
            raise ValueError("give one of at_least, at_most and between")
        if self.between and self.between[0] >= self.between[1]:
            raise ValueError("between: give the lower end, then the upper one")
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
    statistic: StatisticName
    bound: Bound
    """On the statistic; with a control, on the statistic less its control."""
    control: Null | None = None
    """The null on which the same statistic is taken, in each of its draws."""
    given: dict[StatisticName, Bound] = {}
    """What the sentence takes for granted (`train_accuracy: {at_least: 0.95}`): other statistics of the same measure,
    and their bounds. Where one is not met, nothing is concluded."""
    explains: str | None = None
    """Another claim, of which this one says why it does not hold."""
    conjecture: dict[str, str] = {}
    """By shell patterns of variants: a sentence, which nothing here tests, on why the claim does not hold for them.
    Shown as a conjecture with a verdict of `does not hold`, and only there."""


def measures_of(statistic: str) -> list[str]:
    """The measures that a statistic may be taken of: their spectra hold all that it needs."""
    needs = set(STATISTICS[statistic].needs)
    return [name for name, entry in MEASURES.items() if needs <= {*entry.gives, *LOSSES, *ACCURACIES}]
