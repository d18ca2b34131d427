"""How long the trainings of a configuration take, and how much they leave on the disk, before any of it is made."""

from __future__ import annotations

from dataclasses import dataclass

from fpkit.config import plain
from fpkit.config.datasets import Extent, Samples
from fpkit.config.schema import Config, Experiment
from fpkit.store.schedule import record_steps
from fpkit.training import initialization, work
from fpkit.training.compiled.ensemble import can


@dataclass(frozen=True)
class Estimate:
    """Of all trainings of a configuration.

    Attributes:
        core_seconds: on the CPU, at the rates of `fpkit.training.work`. prediction_bytes: recorded, not compressed.
        unknown: variants with data or models of one's own, of which nothing is known before: they are not counted.
    """

    core_seconds: float
    prediction_bytes: float
    unknown: int

    def __str__(self) -> str:
        hours, minutes = self.core_seconds / 3600, max(1, round(self.core_seconds / 60))
        took = f"{hours:,.0f} core hours" if hours >= 2 else f"{minutes} core minute{'s' * (minutes > 1)}"
        size = self.prediction_bytes / 2**30
        left = f"{size:,.0f} GB" if size >= 2 else f"{max(1, round(1024 * size))} MB"
        told = f"trainings: about {took} on the CPU, {left} of predictions"
        return told + f"; {self.unknown} variants with data or models of one's own are not counted" * bool(self.unknown)


def estimate(config: Config) -> Estimate:
    """Of a configuration that was checked; measures, figures and claims come on top."""
    seconds = left = unknown = 0
    for name, experiment in config.experiments.items():
        if not isinstance(experiment, Experiment):
            continue
        for _, point in config.points(name):
            extent = config.dataset(point.dataset).extent
            training = plain(point.training)
            took = _seconds(extent, plain(point.model), training, threads=1)
            if took is None:
                unknown += 1
                continue
            seconds += took[0]
            train, test, _, outputs = extent
            if point.record.content == "predictions":
                samples = {"train": train, "test": test, "all": train + test}[point.record.split]
                records = len(record_steps(training["steps"], point.record.per_decade))
                left += 4 * records * training["members"] * samples * outputs
    return Estimate(seconds, left, unknown)


def pays(dataset: Samples, model: dict, training: dict) -> bool:
    """Whether a training would be sooner done on a GPU, or may be, as nothing is known of its data or its model.

    Args:
        dataset: its entry. model, training: config entries as plain dictionaries.
    """
    took = _seconds(dataset.extent, model, training, training["threads"])
    return took is None or took[1] < took[0]


def _seconds(extent: Extent | None, model: dict, training: dict, threads: int) -> tuple[float, float] | None:
    """Of a training on the CPU and on a GPU; None where that cannot be known."""
    weights = extent and initialization.weights(model, *extent[2:])
    if not weights:
        return None
    train, _, features, _ = extent
    updated = min(training["batch_size"] or train, train), *features
    compiled = can(model, {"name": training["optimizer"], **training}, training["loss"], "cpu")
    per_update = training["members"] * work.operations(model, weights, updated)
    return work.seconds(per_update, training["steps"], threads, compiled)
