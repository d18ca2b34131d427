"""What the sweeps unfold to: variants, one training job each, as plain dictionaries ready to be handed to jobs.

Snakemake compares parameters by their `repr`, so nothing but builtin types in a fixed order may leave this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fpkit.config import grid
from fpkit.config.schema import Config, Experiment, Recorded, plain


@dataclass(frozen=True)
class Variant:
    """One point of an experiment's sweep, resolved: one training job.

    `name` says the point (`activation~relu+learning_rate~0.1`), or is `base` without a sweep. It has no comma, since
    Snakemake cannot send a job to a cluster with one in a wildcard. `dataset` is one of `Config.all_datasets`. The rest
    are plain dictionaries with sorted keys. Of trainings that were recorded elsewhere there are the paths of their
    stores in place of a data set, a model and a recipe, which are empty.
    """

    experiment: str
    name: str
    dataset: str
    model: dict
    training: dict
    record: dict
    decomposition: dict
    recorded: list[str] = field(default_factory=list)


def variants(config: Config) -> list[Variant]:
    """All variants of all experiments, in the order of the configuration."""
    return [variant for name in config.experiments for variant in variants_of(config, name)]


def variants_of(config: Config, name: str) -> list[Variant]:
    """Those of one experiment."""
    experiment = config.experiments[name]
    if isinstance(experiment, Recorded):
        return [
            Variant(name, label, "", {}, {}, {}, plain(point.decomposition.measures), recorded=experiment.stores)
            for label, point in config.points(name)
        ]
    return [
        Variant(
            name,
            label,
            point.dataset,
            model=plain(point.model),
            training=plain(point.training),
            record=_resolved_record(point),
            decomposition=plain(point.decomposition.measures),
        )
        for label, point in config.points(name)
    ]


def pooled(config: Config, experiment: str, axis: str | None) -> dict[str, str]:
    """Of each variant of an experiment the name of the group that is pooled with it along an axis of its sweep:
    `noise~0.1+seed~*`. Where it has no such axis, or there is none, each is its own.
    """
    return grid.pooled(config.experiments[experiment].sweep, axis)


def _resolved_record(experiment: Experiment) -> dict:
    """`record`, with the `basis` along which to record in place of its content, if that is a spectrum.

    `parameters` stands in it where they are kept: others are recorded as they were before there was such a key.
    """
    record = {key: value for key, value in plain(experiment.record).items() if key != "parameters" or value}
    if record.pop("content") == "spectrum":
        (taken,) = experiment.decomposition.measures.values()
        record = {"basis": plain(taken.basis)} | record
    return record
