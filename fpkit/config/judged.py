"""What claims and figures need of their experiments, and what these are known not to have."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from fpkit.config.claims import Claim, measures_of
from fpkit.config.datasets import Own, Photograph
from fpkit.config.figures import FIGURES
from fpkit.config.grid import named_one
from fpkit.config.measures import MEASURES
from fpkit.config.names import ACCURACIES
from fpkit.config.problems import unknown
from fpkit.config.schema import Config, Experiment
from fpkit.config.statistics import STATISTICS

# Not one of `figures:`, but drawn among them.
TAKEN = "replication"


def claim_problems(config: Config) -> list[str]:
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


def figure_problems(config: Config) -> list[str]:
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
            models = [getattr(point, "model", None) for point in points]
            if lacking := [key for key in kind.of_model if not all(hasattr(model, key) for model in models)]:
                told = f"needs networks with model.{lacking[0]}, and experiments.{experiment} has others; take order"
                found.append(f"figures.{name}.kind: {figure.kind} {told}")
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
        if point.dataset is None:  # recorded elsewhere: nothing is known
            continue
        dataset = config.all_datasets[point.dataset]
        for part in dataset.lacks:
            if f"loss_{part}" in arrays:
                found.add(f"{told} needs {part} samples; give datasets.{named_one(point.dataset)[0]} some")
        if isinstance(dataset, Own):
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
    datasets = {point.dataset: config.all_datasets[point.dataset] for point in points if point.dataset is not None}
    return [
        f"{told} needs classes, {name!r} has none"
        for name, dataset in datasets.items()
        if not dataset.classes and not isinstance(dataset, Own)
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
