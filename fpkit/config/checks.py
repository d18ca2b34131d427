"""The configuration, checked before any job starts: what its entries make of each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from fpkit.config import problems
from fpkit.config.claims import Claim, measures_of
from fpkit.config.datasets import Images, OwnDataset, Photograph
from fpkit.config.figures import FIGURES
from fpkit.config.measures import ACCURACIES, MEASURES
from fpkit.config.overlays import without_null_entries
from fpkit.config.problems import ConfigError, unknown
from fpkit.config.reading import check_extent
from fpkit.config.schema import Config, Experiment, plain
from fpkit.config.statistics import STATISTICS
from fpkit.config.training import Cnn, ResidualCnn

# What a file system takes, with the endings that are put behind it.
LONGEST_VARIANT = 200
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
            found += _sweep_problems(name, experiment) or _point_problems(config, name, experiment)
        found = found or _claim_problems(config) + _figure_problems(config)
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
    if problems.node(Experiment, key.split("."))[1] is None:
        allowed = list(Experiment.model_fields)
        parent, _, last = key.rpartition(".")
        schema, node = problems.node(Experiment, parent.split(".")) if parent else (None, None)
        if node is not None:
            allowed = problems.keys(schema, node)
        found.append(f"{where}: {unknown('key', last, allowed)}")
    return found


def _point_problems(config: Config, name: str, experiment: Experiment) -> list[str]:
    """What is wrong with the points of a sweep, with their names, or with what they come to."""
    sweep = f"experiments.{name}.sweep"
    found = _case_problems(sweep, [label for label, _ in experiment.points])
    labels, contents = set(), {}
    for label, point in experiment.points:
        if label in labels:
            found.append(f"{sweep}: two variants are called {label!r}; give the values names")
        if not re.fullmatch(r"[A-Za-z0-9_.+~-]+", label):
            found.append(f"{sweep}: {label!r} is no file name; give the values names")
        if len(label) > LONGEST_VARIANT:
            found.append(f"{sweep}: {label!r} is longer than {LONGEST_VARIANT} letters; give the values names")
        labels.add(label)
        if isinstance(point, ValidationError):
            found += [problems.line(problem, Experiment, f"{sweep}.") for problem in point.errors()]
            continue
        twin = contents.setdefault(json.dumps(plain(point)), label)
        if twin != label:
            found.append(f"{sweep}: {twin!r} and {label!r} are the same; drop one")
        where = f"experiments.{name}" if label == "base" else f"{sweep} ({label})"
        found += [f"{where}.{key}: {problem}" for key, problem in _suitability_problems(config, point)]
    return found


def _suitability_problems(config: Config, experiment: Experiment) -> list[tuple[str, str]]:
    """What the data set, the model and the measures make of each other: keys of the experiment, and what is wrong."""
    name, measures = experiment.dataset, experiment.decomposition.measures
    if name not in config.datasets:
        return [("dataset", unknown("dataset", name, config.datasets))]
    dataset = config.datasets[name]
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
    if isinstance(dataset, OwnDataset):
        return found
    if isinstance(experiment.model, Cnn | ResidualCnn) and not isinstance(dataset, Images):
        found.append(("model", f"{experiment.model.kind} needs images, {name!r} has none; use mlp"))
    if experiment.training.loss == "cross_entropy" and not dataset.classes:
        found.append(("training.loss", f"cross_entropy needs classes, {name!r} has none; use mse"))
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


# --- claims and figures -----------------------------------------------------------------------------------------------


def _claim_problems(config: Config) -> list[str]:
    """Claims about nothing, and claims that need what their experiment does not have."""
    found = []
    for name, claim in config.claims.items():
        points = dict(config.experiments[claim.experiment].points)
        for pattern in claim.variants:
            if not any(fnmatchcase(label, pattern) for label in points):
                found.append(f"claims.{name}.variants: {unknown('variant', pattern, points)}")
        chosen = [p for label, p in points.items() if any(fnmatchcase(label, pattern) for pattern in claim.variants)]
        needs, having = STATISTICS[claim.statistic].needs, measures_of(claim.statistic)
        if claim.measure not in having:
            found.append(f"claims.{name}.measure: {claim.statistic} is a statistic of {' and '.join(having)}")
            continue
        told = f"claims.{name}.statistic: {claim.statistic}"
        found += _lacking(config, claim.experiment, chosen, needs, told)
        if set(needs) & set(ACCURACIES) - set(MEASURES[claim.measure].gives):
            found += _classless(config, chosen, told)
        found += _unrecorded(claim, chosen, told)
        found += _untaken(config, f"claims.{name}", claim.experiment, (claim.measure,))
        if claim.control:
            found += _uncontrolled(claim, chosen, f"claims.{name}.control")
    return found


def _figure_problems(config: Config) -> list[str]:
    """Figures that need what their experiments do not have."""
    found = []
    for name, figure in config.figures.items():
        kind = FIGURES[figure.kind]
        for experiment in figure.experiments:
            points = [point for _, point in config.experiments[experiment].points]
            found += _lacking(config, experiment, points, kind.needs, f"figures.{name}.kind: {figure.kind}")
            found += _untaken(config, f"figures.{name}", experiment, kind.measures)
            if kind.of_predictions and any(point.record.content == "spectrum" for point in points):
                key = f"experiments.{experiment}.record.content"
                found.append(f"figures.{name}.kind: {figure.kind} shows predictions; set {key} to predictions")
    return found


def _untaken(config: Config, where: str, experiment: str, measures: tuple[str, ...]) -> list[str]:
    """That none of the measures is taken of some variant of an experiment."""
    points = [point for _, point in config.experiments[experiment].points]
    if not measures or all(set(measures) & set(point.decomposition.measures) for point in points):
        return []
    needed = f"experiments.{experiment}.decomposition.{' or .'.join(measures)}"
    return [f"{where}: needs {needed}, which is not there; add it"]


def _lacking(config: Config, name: str, points: list[Experiment], arrays: Iterable[str], told: str) -> list[str]:
    """What the data sets of these points are known to lack for these arrays; of one's own nothing is known."""
    found = set()
    for point in points:
        dataset = config.datasets[point.dataset]
        for part in dataset.lacks:
            if f"loss_{part}" in arrays:
                found.add(f"{told} needs {part} samples; give datasets.{point.dataset} some")
        if isinstance(dataset, OwnDataset):
            continue
        if "position" in arrays and isinstance(dataset, Photograph):
            found.add(f"{told} needs inputs on a line, {point.dataset!r} has pixels; take natural_image, of radial")
        if "clean_amplitude" in arrays and point.record.split != "train":
            found.add(
                f"{told} needs the target without its noise, known on the train samples alone; set"
                f" experiments.{name}.record.split to train"
            )
    return sorted(found)


def _classless(config: Config, points: list[Experiment], told: str) -> list[str]:
    """That data sets of these points are known to have no classes."""
    datasets = {point.dataset: config.datasets[point.dataset] for point in points}
    return [
        f"{told} needs classes, {name!r} has none"
        for name, dataset in datasets.items()
        if not dataset.classes and not isinstance(dataset, OwnDataset)
    ]


def _unrecorded(claim: Claim, points: list[Experiment], told: str) -> list[str]:
    """That what is recorded in place of predictions does not tell what a claim's statistic needs."""
    lost = set(STATISTICS[claim.statistic].needs) & set(MEASURES[claim.measure].of_predictions)
    if not lost or all(point.record.content == "predictions" for point in points):
        return []
    return [f"{told} needs predictions; set experiments.{claim.experiment}.record.content to predictions"]


def _uncontrolled(claim: Claim, points: list[Experiment], where: str) -> list[str]:
    """That a claim's control is not computed: of its statistic by no measure, or of these points by theirs."""
    needs = set(STATISTICS[claim.statistic].needs)
    if not needs <= set(MEASURES[claim.measure].controlled):
        able = [measure for measure in measures_of(claim.statistic) if needs <= set(MEASURES[measure].controlled)]
        remedy = f"leave it out, or take the statistic of {' or '.join(able)}" if able else "leave it out"
        return [f"{where}: {claim.measure} computes no control of {claim.statistic}; {remedy}"]
    taken = [point.decomposition.measures.get(claim.measure) for point in points]
    if all(measure is None or claim.control in measure.nulls for measure in taken):
        return []
    key = f"experiments.{claim.experiment}.decomposition.{claim.measure}.nulls"
    return [f"{where}: {claim.control} is not computed; add it to {key}"]
