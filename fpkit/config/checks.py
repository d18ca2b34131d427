"""The configuration, checked before any job starts: what its entries make of each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from fpkit.config import judged, problems
from fpkit.config.datasets import Images, Own
from fpkit.config.grid import DATASET
from fpkit.config.measures import MEASURES
from fpkit.config.overlays import without_null_entries
from fpkit.config.problems import ConfigError, unknown
from fpkit.config.reading import check_extent
from fpkit.config.schema import Config, Derived, Experiment, Recorded, plain
from fpkit.config.training import Cnn, ResidualCnn

# What a file system takes, with the endings that are put behind it.
LONGEST_VARIANT = 200
FILE_NAME = r"[A-Za-z0-9_.+~-]+"
# More variants of an experiment than this are a slip.
MOST_VARIANTS = 10_000


def load(raw: dict) -> Config:
    """Check a parsed configuration as a whole. What is set to null, by an overlay, is left out.

    Raises ConfigError with all problems found, one line each.
    """
    check_extent(raw, "config")
    try:
        # Plain dictionaries, whatever the YAML reader made.
        raw = without_null_entries(json.loads(json.dumps(raw, default=str)))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError([f"config: {str(error).lower()}; write plain mappings, lists and values"]) from error
    found, config = [], None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        found += [problems.line(problem, Config) for problem in error.errors()]
    found += _dangling_names(raw)
    if config is not None and not found:
        for table in ("datasets", "experiments", "figures"):
            found += _case_problems(table, getattr(config, table))
        for name, experiment in config.experiments.items():
            found += _sweep_problems(name, experiment) or _point_problems(config, name)
        found = found or _dataset_problems(config)
        found = found or judged.claim_problems(config) + judged.figure_problems(config)
    if found:
        raise ConfigError(list(dict.fromkeys(found)))
    return config


def _dangling_names(raw: dict) -> list[str]:
    """References to entries that do not exist, also where other entries are broken."""
    tables = {key: raw.get(key) if isinstance(raw.get(key), dict) else {} for key in Config.model_fields}
    found = []
    for table, field, target in (
        ("experiments", "dataset", "datasets"),
        ("claims", "experiment", "experiments"),
        ("claims", "explains", "claims"),
        ("figures", "experiment", "experiments"),
    ):
        for name, entry in tables[table].items():
            value = entry.get(field) if isinstance(entry, dict) else None
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, str) and reference not in tables[target]:
                    found.append(f"{table}.{name}.{field}: {unknown(field, reference, tables[target])}")
    return found


def _case_problems(where: str, names: Iterable[str]) -> list[str]:
    """Names of files that some file systems take for one."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(name.lower(), set()).add(name)
    return [
        f"{where}: {' and '.join(map(repr, sorted(several)))} differ in case alone, which some file systems ignore;"
        " rename one"
        for several in alike.values()
        if len(several) > 1
    ]


# --- experiments ------------------------------------------------------------------------------------------------------


def _sweep_problems(name: str, experiment: Experiment) -> list[str]:
    """What keeps a sweep from being unfolded."""
    where, found = f"experiments.{name}.sweep", []
    for key, values in experiment.sweep.items():
        if key.split(".")[0] == "sweep":
            found.append(f"{where}.{key}: a sweep cannot sweep itself; name the key it is about")
            continue
        found += _axis_problems(f"{where}.{key}", key, values)
    count = math.prod(len(values) for values in experiment.sweep.values())
    if count > MOST_VARIANTS:
        found.append(f"{where}: unfolds to {count:,} variants; {MOST_VARIANTS:,} at most, sweep less")
    return found


def _axis_problems(where: str, key: str, values: list[Any] | dict[str, Any]) -> list[str]:
    found = []
    if isinstance(values, list) and any(isinstance(value, dict) for value in values):
        found.append(f"{where}: give the mappings names: {{first: {{...}}, second: {{...}}}}")
    if not values:
        found.append(f"{where}: names no value; give at least one")
    root = Derived if key.startswith(DATASET) else Experiment
    if problems.node(root, key.split("."))[1] is None:
        allowed = list(Experiment.model_fields)
        parent, _, last = key.rpartition(".")
        schema, node = problems.node(root, parent.split(".")) if parent else (None, None)
        if node is not None:
            allowed = problems.keys(schema, node)
        found.append(f"{where}: {unknown('key', last, allowed)}")
    return found


def _point_problems(config: Config, name: str) -> list[str]:
    """What is wrong with the points of a sweep, with their names, or with what they come to."""
    sweep = f"experiments.{name}.sweep"
    found = _case_problems(sweep, [label for label, _ in config.points(name)])
    labels, contents = set(), {}
    for label, point in config.points(name):
        if label in labels:
            found.append(f"{sweep}: two variants are called {label!r}; give the values names")
        if not re.fullmatch(FILE_NAME, label):
            found.append(f"{sweep}: {label!r} is no file name; give the values names")
        if len(label) > LONGEST_VARIANT:
            found.append(f"{sweep}: {label!r} is longer than {LONGEST_VARIANT} letters; give the values names")
        labels.add(label)
        if isinstance(point, list):
            found += point
            continue
        twin = contents.setdefault(json.dumps(plain(point)), label)
        if twin != label:
            found.append(f"{sweep}: {twin!r} and {label!r} are the same; drop one")
        where = f"experiments.{name}" if label == "base" else f"{sweep} ({label})"
        found += [f"{where}.{key}: {problem}" for key, problem in _suitability_problems(config, point)]
    return found


def _suitability_problems(config: Config, experiment: Experiment | Recorded) -> list[tuple[str, str]]:
    """What the data set, the model and the measures make of each other: keys of the experiment, and what is wrong."""
    if isinstance(experiment, Recorded):
        return _recorded_problems(experiment)
    name, measures = experiment.dataset, experiment.decomposition.measures
    dataset = config.dataset(name)
    if dataset is None:
        return [("dataset", unknown("dataset", name, config.datasets))]
    found = []
    if experiment.record.content == "spectrum":
        found += [
            (f"decomposition.{measure}", "needs predictions; set record.content to predictions, or leave it out")
            for measure, taken in measures.items()
            if taken.basis is None
        ]
        if len(measures) > 1:
            several = " and ".join(measures)
            found.append(
                ("record.content", f"spectrum keeps what one measure needs, not {several}; leave out all but one")
            )
        found += [
            (
                f"decomposition.{measure}.nulls",
                "paces needs predictions; leave it out, or set record.content to predictions",
            )
            for measure, taken in measures.items()
            if taken.basis is not None and "paces" in taken.nulls
        ]
    if isinstance(dataset, Own):
        return found
    if isinstance(experiment.model, Cnn | ResidualCnn) and not isinstance(dataset, Images):
        found.append(("model", f"{experiment.model.kind} needs images, {name!r} has none; use mlp"))
    if experiment.training.loss == "cross_entropy" and not dataset.one_hot:
        found.append(("training.loss", f"cross_entropy needs one-hot classes, {name!r} has none; use mse"))
    suited = [measure for measure, entry in MEASURES.items() if isinstance(dataset, entry.suits)]
    for measure, taken in measures.items():
        if measure not in suited:
            found.append((f"decomposition.{measure}", f"does not suit {name!r}; use {' or '.join(suited)}"))
        elif experiment.record.split not in taken.splits:
            splits = " or ".join(taken.splits)
            found.append(("record.split", f"{measure} needs {splits}, not {experiment.record.split}"))
        else:
            found += taken.problems(dataset, experiment)
    return found


def _recorded_problems(experiment: Recorded) -> list[tuple[str, str]]:
    """Measures that need more than points and predictions."""
    lacking = {"ntk": "networks that are trained here", "components": "a made target"}
    return [
        (f"decomposition.{measure}", f"needs {lacking[measure]}; leave it out")
        for measure in experiment.decomposition.measures
        if measure in lacking
    ]


def _dataset_problems(config: Config) -> list[str]:
    """Names of data sets, derived ones too, that file systems do not take as their own."""
    found = _case_problems("datasets", config.all_datasets)
    for name in config.all_datasets.keys() - config.datasets:
        if len(name) > LONGEST_VARIANT:
            found.append(f"datasets: {name!r} is longer than {LONGEST_VARIANT} letters; give the swept values names")
        elif not re.fullmatch(FILE_NAME, name):
            found.append(f"datasets: {name!r} is no file name; give the swept values names")
    return found
