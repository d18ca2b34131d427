"""The configuration as a whole: what `config.yaml` may say, and its JSON schema for editors."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError

from fpkit.config import grid, problems
from fpkit.config.claims import Claim
from fpkit.config.datasets import Dataset
from fpkit.config.fields import SEEDS, Entry, FilePath, Name, NonNegativeInt
from fpkit.config.figures import Figure
from fpkit.config.measures import Decomposition
from fpkit.config.training import Model, Record, Training


class Recorded(Entry):
    """Trainings that were recorded elsewhere, by `fpkit.Recorder`: the members of one ensemble."""

    recorded: FilePath | Annotated[list[FilePath], Field(min_length=1)]
    """Paths or patterns (`runs/seed*.zarr`) of their stores, from the working directory."""
    decomposition: Decomposition

    # What is asked of every experiment; of these trainings little is known.
    dataset: ClassVar[None] = None
    sweep: ClassVar[dict] = {}
    record: ClassVar[Record] = Record()

    @property
    def stores(self) -> list[str]:
        """As a list."""
        return [self.recorded] if isinstance(self.recorded, str) else self.recorded


class Experiment(Entry):
    """A data set, a model and a recipe; with `sweep`, one variant for each point of the grid."""

    dataset: str
    model: Model
    training: Training = Training()
    record: Record = Record()
    decomposition: Decomposition
    sweep: dict[str, list[Any] | dict[Name, Any]] = {}
    """Dotted keys of this experiment to the values they take: a list, or named values (`{small: ..., large: ...}`).
    A mapping is laid over the experiment's own; one of another `kind` takes its place. `dataset.seed` and its like are
    keys of the data set: each point that changes one has a data set of its own, `waves+seed~3`."""


def _tag(raw: Any) -> str:
    known = raw if isinstance(raw, dict) else vars(raw) if isinstance(raw, BaseModel) else {}
    return "Recorded" if "recorded" in known else "Experiment"


AnyExperiment = Annotated[
    Annotated[Experiment, Tag("Experiment")] | Annotated[Recorded, Tag("Recorded")], Discriminator(_tag)
]


def _validated(raw: dict) -> Experiment | ValidationError:
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        return error


class Derived(Entry):
    """A data set with keys laid over it that a sweep names by their path in an experiment: `dataset.seed`."""

    dataset: Dataset


class Dask(Entry):
    """Where predictions larger than memory are decomposed. Changes no result, so that nothing is made again for it."""

    address: Annotated[str, Field(pattern=r"^(tcp|tls)://[^/\s]+:\d+$")]
    """Of a running dask.distributed scheduler, `tcp://host:port`, whose workers see the same files."""


class Config(Entry):
    """fpkit: data sets, experiments on them, the claims judged by them and the figures drawn from them."""

    datasets: dict[Name, Dataset] = Field(min_length=1)
    experiments: dict[Name, AnyExperiment] = Field(min_length=1)
    claims: dict[Name, Claim] = {}
    figures: dict[Name, Figure] = {}
    dask: Dask | None = None
    """Left out, every decomposition computes in its own process."""
    seed_shift: NonNegativeInt = 0
    """Added to the seeds of all members and of all data sets (of one's own, to `options.seed`): the whole again with
    fresh seeds. Nothing is ever chosen by it."""

    def points(self, name: str) -> list[tuple[str, Experiment | Recorded | list[str]]]:
        """Of each point of an experiment's sweep (`base` without one) its name, and the experiment there, whose data
        set is one of `all_datasets`, or what is wrong there, a line for each problem.
        """
        return self._unfolding.points(name)

    @property
    def all_datasets(self) -> dict[str, Dataset]:
        """Those that the configuration names and those that sweeps derive of them, by name."""
        return self._unfolding.datasets

    def dataset(self, name: str) -> Dataset | None:
        """One of them, with its seeds as they are written, if sweeps whose points were asked for derive it."""
        return self.datasets.get(name) or self._unfolding.derived.get(name)

    @cached_property
    def _unfolding(self) -> Unfolding:
        return Unfolding(self)


class Unfolding:
    """What the sweeps of a configuration come to: points, and the data sets that they are made on."""

    def __init__(self, config: Config):
        self.config = config
        self.known: dict[str, list[tuple[str, Experiment | Recorded | list[str]]]] = {}
        self.derived: dict[str, Dataset] = {}
        self.names: dict[str, str] = {}  # of what was derived, by what it is

    def points(self, name: str) -> list[tuple[str, Experiment | Recorded | list[str]]]:
        """See `Config.points`."""
        if name not in self.known:
            experiment = self.config.experiments[name]
            if isinstance(experiment, Recorded):
                settled = experiment.decomposition.settled("predictions")
                return self.known.setdefault(name, [("base", experiment.model_copy(update={"decomposition": settled}))])
            self.known[name] = [
                (label, self._point(experiment, f"experiments.{name}.sweep.", labels, values))
                for label, labels, values in grid.points(experiment.sweep)
            ]
        return self.known[name]

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """See `Config.all_datasets`."""
        for name in self.config.experiments:
            self.points(name)
        return {name: self._fresh(entry) for name, entry in (self.config.datasets | self.derived).items()}

    def _point(
        self, experiment: Experiment, where: str, labels: dict[str, str], values: dict
    ) -> Experiment | list[str]:
        laid = {key: value for key, value in values.items() if key.startswith(grid.DATASET)}
        others = {key: value for key, value in values.items() if key not in laid}
        point = _validated(grid.lay_over(plain(experiment) | {"sweep": {}}, others))
        if isinstance(point, ValidationError):
            return [problems.line(problem, Experiment, where) for problem in point.errors()]
        if laid and point.dataset in self.config.datasets:
            name = self._derived(point.dataset, where, labels, laid)
            if isinstance(name, list):
                return name
            point = point.model_copy(update={"dataset": name})
        offset = self._shifted(point.training.seed_offset)
        training = point.training.model_copy(update={"seed_offset": offset})
        settled = point.decomposition.settled(point.record.content)
        return point.model_copy(update={"training": training, "decomposition": settled})

    def _derived(self, base: str, where: str, labels: dict[str, str], laid: dict) -> str | list[str]:
        """The name of a data set with keys laid over it: its own name where they change nothing."""
        entry = self.config.datasets[base]
        below = {"dataset": plain(entry)}
        whole = grid.lay_over(below, laid)
        try:
            found = Derived.model_validate(whole).dataset
        except ValidationError as error:
            return [problems.line(problem, Derived, where) for problem in error.errors()]
        if found == entry:
            return base
        changing = [k for k in laid if grid.lay_over(below, {key: laid[key] for key in laid if key != k}) != whole]
        name = grid.derived_name(base, {key.removeprefix(grid.DATASET): labels[key] for key in changing})
        name = self.names.setdefault(json.dumps([base, plain(found)]), name)
        if self.derived.setdefault(name, found) != found:
            return [f"{where}{changing[0]}: two data sets are called {name!r}; give the values other names"]
        return name

    def _shifted(self, seed: int) -> int:
        """Raises ConfigError beyond what a seed may be."""
        shifted = seed + self.config.seed_shift
        if shifted >= SEEDS:
            raise problems.ConfigError(
                [f"seed_shift: takes the seed {seed} to {shifted}, beyond {SEEDS - 1}; lower it"]
            )
        return shifted

    def _fresh(self, entry: Dataset) -> Dataset:
        """A data set with the shift added to every seed in it."""

        def fresh(node: Any, key: str = "") -> Any:
            if isinstance(node, dict):
                return {name: fresh(value, name) for name, value in node.items()}
            return self._shifted(node) if key == "seed" and type(node) is int else node

        if not self.config.seed_shift:
            return entry
        return Derived.model_validate({"dataset": fresh(plain(entry))}).dataset


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
