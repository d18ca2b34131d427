"""The configuration as a whole: what `config.yaml` may say, and its JSON schema for editors."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from fpkit.config import grid
from fpkit.config.claims import Claim
from fpkit.config.datasets import Dataset
from fpkit.config.fields import Entry, Name
from fpkit.config.figures import Figure
from fpkit.config.measures import Decomposition
from fpkit.config.training import Model, Record, Training


class Experiment(Entry):
    """A data set, a model and a recipe; with `sweep`, one variant for each point of the grid."""

    dataset: str
    model: Model
    training: Training = Training()
    record: Record = Record()
    decomposition: Decomposition
    sweep: dict[str, list[Any] | dict[Name, Any]] = {}
    """Dotted keys of this experiment to the values they take: a list, or named values (`{small: ..., large: ...}`).
    A mapping is laid over the experiment's own; one of another `kind` takes its place."""

    @cached_property
    def points(self) -> list[tuple[str, Experiment | ValidationError]]:
        """Of each point of the sweep (`base` without one) its name, and the experiment there or what is wrong there."""
        below = plain(self) | {"sweep": {}}
        return [(name, _validated(grid.lay_over(below, point))) for name, point in grid.points(self.sweep)]


def _validated(raw: dict) -> Experiment | ValidationError:
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        return error


class Dask(Entry):
    """Where predictions larger than memory are decomposed. Changes no result, so that nothing is made again for it."""

    address: Annotated[str, Field(pattern=r"^(tcp|tls)://[^/\s]+:\d+$")]
    """Of a running dask.distributed scheduler, `tcp://host:port`, whose workers see the same files."""


class Config(Entry):
    """fpkit: data sets, experiments on them, the claims judged by them and the figures drawn from them."""

    datasets: dict[Name, Dataset] = Field(min_length=1)
    experiments: dict[Name, Experiment] = Field(min_length=1)
    claims: dict[Name, Claim] = {}
    figures: dict[Name, Figure] = {}
    dask: Dask | None = None
    """Left out, every decomposition computes in its own process."""


def json_schema() -> str:
    """The JSON schema of `config.yaml`, for editors."""
    return json.dumps(Config.model_json_schema(), indent=1) + "\n"


def plain(entry: BaseModel | Any) -> Any:
    """Builtin types with sorted keys, for anything in the configuration."""
    if isinstance(entry, BaseModel):
        entry = entry.model_dump(mode="json")
    if isinstance(entry, dict):
        return {key: plain(entry[key]) for key in sorted(entry)}
    return [plain(item) for item in entry] if isinstance(entry, list) else entry
