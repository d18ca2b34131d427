"""The configuration, checked before any job starts: what its entries make of each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from fpkit.config import problems
from fpkit.config.claims import Claim, measures_of
from fpkit.config.datasets import Images, OwnDataset, Photograph
from fpkit.config.figures import FIGURES
from fpkit.config.grid import DATASET, named_one
from fpkit.config.measures import ACCURACIES, MEASURES
from fpkit.config.overlays import without_null_entries
from fpkit.config.problems import ConfigError, unknown
from fpkit.config.reading import check_extent
from fpkit.config.schema import Config, Derived, Experiment, plain
from fpkit.config.statistics import STATISTICS
from fpkit.config.training import Cnn, ResidualCnn

# What a file system takes, with the endings that are put behind it.
LONGEST_VARIANT = 200
FILE_NAME = r"[A-Za-z0-9_.+~-]+"
# Not one of `figures:`, but drawn among them.
TAKEN = "replication"
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


def _suitability_problems(config: Config, experiment: Experiment) -> list[tuple[str, str]]:
    """What the data set, the model and the measures make of each other: keys of the experiment, and what is wrong."""
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
    if isinstance(dataset, OwnDataset):
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


def _dataset_problems(config: Config) -> list[str]:
    """Names of data sets, derived ones too, that file systems do not take as their own."""
    found = _case_problems("datasets", config.all_datasets)
    for name in config.all_datasets.keys() - config.datasets:
        if len(name) > LONGEST_VARIANT:
            found.append(f"datasets: {name!r} is longer than {LONGEST_VARIANT} letters; give the swept values names")
        elif not re.fullmatch(FILE_NAME, name):
            found.append(f"datasets: {name!r} is no file name; give the swept values names")
    return found


# --- claims and figures -----------------------------------------------------------------------------------------------


def _claim_problems(config: Config) -> list[str]:
    """Claims about nothing, and claims that need what their experiment does not have."""
    found = []
    for name, claim in config.claims.items():
        where = f"claims.{name}"
        points = dict(config.points(claim.experiment))
        chosen = {label: p for label, p in points.items() if any(fnmatchcase(label, one) for one in claim.variants)}
        for key, patterns, labels in (("variants", claim.variants, points), ("conjecture", claim.conjecture, chosen)):
            for pattern in patterns:
                if not any(fnmatchcase(label, pattern) for label in labels):
                    found.append(f"{where}.{key}: {unknown('variant', pattern, labels)}")
        sweep = config.experiments[claim.experiment].sweep
        if claim.pool is not None and claim.pool not in sweep:
            found.append(f"{where}.pool: {unknown('axis', claim.pool, sweep)}")
        if claim.explains == name:
            found.append(f"{where}.explains: a claim does not explain itself; name another")
        if claim.statistic in claim.given:
            found.append(f"{where}.given: {claim.statistic} is what the claim is about; leave it out, or change bound")
        lacking = _statistic_problems(config, claim, chosen.values(), claim.statistic, f"{where}.statistic")
        for statistic in claim.given:
            lacking += _statistic_problems(config, claim, chosen.values(), statistic, f"{where}.given")
        found += lacking
        if claim.measure not in measures_of(claim.statistic):
            continue
        found += _untaken(config, where, claim.experiment, (claim.measure,))
        if claim.control:
            found += _uncontrolled(claim, chosen.values(), f"{where}.control")
    return found


def _statistic_problems(
    config: Config, claim: Claim, points: Collection[Experiment], statistic: str, where: str
) -> list[str]:
    """What a statistic needs, the claim's own or one that it is given, and these points do not have."""
    needs, having = STATISTICS[statistic].needs, measures_of(statistic)
    told = f"{where}: {statistic}"
    if claim.measure not in having:
        if statistic == claim.statistic:
            return [f"{where.rpartition('.')[0]}.measure: {statistic} is a statistic of {' and '.join(having)}"]
        return [f"{told} is no statistic of {claim.measure}, but of {' and '.join(having)}; leave it out"]
    found = _lacking(config, claim.experiment, points, needs, told)
    if set(needs) & set(ACCURACIES) - set(MEASURES[claim.measure].gives):
        found += _classless(config, points, told)
    return found + _unrecorded(claim, points, statistic, told) + _without_parameters(claim, points, statistic, told)


def _figure_problems(config: Config) -> list[str]:
    """Figures that need what their experiments do not have."""
    found = []
    if TAKEN in config.figures:
        found.append(f"figures.{TAKEN}: is what `make replicate` draws; give it another name")
    for name, figure in config.figures.items():
        kind = FIGURES[figure.kind]
        axes = list(dict.fromkeys(axis for shown in figure.experiments for axis in config.experiments[shown].sweep))
        if figure.pool is not None and figure.pool not in axes:
            found.append(f"figures.{name}.pool: {unknown('axis', figure.pool, axes)}")
        for experiment in figure.experiments:
            points = [point for _, point in config.points(experiment)]
            found += _lacking(config, experiment, points, kind.needs, f"figures.{name}.kind: {figure.kind}")
            found += _untaken(config, f"figures.{name}", experiment, kind.measures)
            if kind.of_predictions and any(point.record.content == "spectrum" for point in points):
                key = f"experiments.{experiment}.record.content"
                found.append(f"figures.{name}.kind: {figure.kind} shows predictions; set {key} to predictions")
    return found


def _untaken(config: Config, where: str, experiment: str, measures: tuple[str, ...]) -> list[str]:
    """That none of the measures is taken of some variant of an experiment."""
    points = [point for _, point in config.points(experiment)]
    if not measures or all(set(measures) & set(point.decomposition.measures) for point in points):
        return []
    needed = f"experiments.{experiment}.decomposition.{' or .'.join(measures)}"
    return [f"{where}: needs {needed}, which is not there; add it"]


def _lacking(config: Config, name: str, points: Iterable[Experiment], arrays: Iterable[str], told: str) -> list[str]:
    """What the data sets of these points are known to lack for these arrays; of one's own nothing is known."""
    found = set()
    for point in points:
        dataset = config.all_datasets[point.dataset]
        for part in dataset.lacks:
            if f"loss_{part}" in arrays:
                found.add(f"{told} needs {part} samples; give datasets.{named_one(point.dataset)[0]} some")
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


def _classless(config: Config, points: Iterable[Experiment], told: str) -> list[str]:
    """That data sets of these points are known to have no classes."""
    datasets = {point.dataset: config.all_datasets[point.dataset] for point in points}
    return [
        f"{told} needs classes, {name!r} has none"
        for name, dataset in datasets.items()
        if not dataset.classes and not isinstance(dataset, OwnDataset)
    ]


def _unrecorded(claim: Claim, points: Iterable[Experiment], statistic: str, told: str) -> list[str]:
    """That what is recorded in place of predictions does not tell what a statistic needs."""
    lost = set(STATISTICS[statistic].needs) & set(MEASURES[claim.measure].of_predictions)
    if not lost or all(point.record.content == "predictions" for point in points):
        return []
    return [f"{told} needs predictions; set experiments.{claim.experiment}.record.content to predictions"]


def _without_parameters(claim: Claim, points: Iterable[Experiment], statistic: str, told: str) -> list[str]:
    """That a statistic needs what only the parameters at the end tell, which are not kept."""
    needed = set(STATISTICS[statistic].needs) & set(MEASURES[claim.measure].of_parameters)
    if not needed or all(point.record.parameters for point in points):
        return []
    return [f"{told} needs the networks at the end; set experiments.{claim.experiment}.record.parameters to true"]


def _uncontrolled(claim: Claim, points: Iterable[Experiment], where: str) -> list[str]:
    """That a claim's control is not computed: of its statistic by no measure, or of these points by theirs."""
    needs, control = set(STATISTICS[claim.statistic].needs), claim.control
    if not needs <= set(MEASURES[claim.measure].controlled.get(control, ())):
        able = [
            name for name in measures_of(claim.statistic) if needs <= set(MEASURES[name].controlled.get(control, ()))
        ]
        others = [null for null, arrays in MEASURES[claim.measure].controlled.items() if needs <= set(arrays)]
        remedies = ["leave it out"]
        remedies += [f"take {' or '.join(others)}"] if others else []
        remedies += [f"take the statistic of {' or '.join(able)}"] if able else []
        return [f"{where}: {claim.measure} computes no {control} of {claim.statistic}; {', or '.join(remedies)}"]
    taken = [point.decomposition.measures.get(claim.measure) for point in points]
    if all(measure is None or control in measure.nulls for measure in taken):
        return []
    key = f"experiments.{claim.experiment}.decomposition.{claim.measure}.nulls"
    return [f"{where}: {control} is not computed; add it to {key}"]
