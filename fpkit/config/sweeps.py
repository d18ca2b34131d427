"""What the sweeps unfold to: variants, one training job each, as plain dictionaries ready to be handed to jobs.

Snakemake compares parameters by their `repr`, so nothing but builtin types in a fixed order may leave this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from fpkit.config.schema import Config, Experiment, plain


@dataclass(frozen=True)
class Variant:
    """One point of an experiment's sweep, resolved: one training job.

    `name` says the point (`activation~relu+learning_rate~0.1`), or is `base` without a sweep. It has no comma, since
    Snakemake cannot send a job to a cluster with one in a wildcard. The rest are plain dictionaries with sorted keys.
    """

    experiment: str
    name: str
    dataset: str
    model: dict
    training: dict
    record: dict
    decomposition: dict


def variants(config: Config) -> list[Variant]:
    """All variants of all experiments, in the order of the configuration."""
    return [variant for name in config.experiments for variant in variants_of(config, name)]


def variants_of(config: Config, name: str) -> list[Variant]:
    """Those of one experiment."""
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
        for label, point in config.experiments[name].points
    ]


def _resolved_record(experiment: Experiment) -> dict:
    """`record`, with the `basis` along which to record in place of its content, if that is a spectrum.

    `parameters` stands in it where they are kept: others are recorded as they were before there was such a key.
    """
    record = {key: value for key, value in plain(experiment.record).items() if key != "parameters" or value}
    if record.pop("content") == "spectrum":
        (taken,) = experiment.decomposition.measures.values()
        record = {"basis": plain(taken.basis)} | record
    return record
