"""How long trainings and decompositions take, and what memory and disk, before any of it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fpkit.config import plain
from fpkit.config.datasets import Extent, Samples
from fpkit.config.schema import Config, Experiment
from fpkit.config.sweeps import Variant
from fpkit.store.schedule import record_steps
from fpkit.training import initialization, work
from fpkit.training.compiled.ensemble import can

# What a training asks for at least, and how often its estimate: its processor may be slow, or shared.
TRAINING_MB, TRAINING_MINUTES, TRAINING_SHARE = 8000, 240, 2
# What a decomposition asks for at least, and where nothing is known of its data.
LEAST_MB, LEAST_MINUTES, UNKNOWN_MB, UNKNOWN_MINUTES = 2000, 30, 4000, 60
# Of a decomposition, floating-point operations a second: a fourth of a core's, as a cluster's may be slow, or shared.
DECOMPOSING = 2.5e10
# Along which coefficients are taken, about, at most, where they are not as many as there are samples.
MOST_FUNCTIONS = 2000


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
            model, training = plain(point.model), plain(point.training)
            took = _seconds(extent, model, training, point.record.per_decade, 1, _is_compiled(model, training))
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


def pays(dataset: Samples, variant: Variant) -> bool:
    """Whether a training would be sooner done on a GPU, or may be, as nothing is known of its data or its model.

    Args:
        dataset: its entry.
    """
    took = _of_variant(dataset, variant, _is_compiled(variant.model, variant.training))
    return took is None or took[1] < took[0]


def of_training(dataset: Samples | None, variant: Variant) -> dict[str, int]:
    """Memory (`mem_mb`) and minutes (`runtime`) that the training of a variant may take, at most.

    Args:
        dataset: its entry.
    """
    asked = {"mem_mb": TRAINING_MB, "runtime": TRAINING_MINUTES}
    if dataset is None or dataset.extent is None:
        return asked
    train, test, shape, _ = dataset.extent
    # Of torch: whether the job will find a compiler is not known here.
    took = _of_variant(dataset, variant, compiled=False)
    minutes = math.ceil(TRAINING_SHARE * took[0] / 60) if took else 0
    copies = 3 * 4 * (train + test) * math.prod(shape)
    return {"mem_mb": TRAINING_MB + math.ceil(copies / 1e6), "runtime": max(minutes, TRAINING_MINUTES)}


def of_decomposition(dataset: Samples | None, variant: Variant, measure: str) -> dict[str, int]:
    """The same of a measure, which has one core.

    Args:
        dataset: its entry; None of a training that was recorded elsewhere.
    """
    if dataset is None or dataset.extent is None:
        return {"mem_mb": UNKNOWN_MB, "runtime": UNKNOWN_MINUTES}
    train, test, shape, outputs = dataset.extent
    samples = {"train": train, "test": test, "all": train + test}[variant.record["split"]]
    training, options = variant.training, variant.decomposition[measure]
    records = len(record_steps(training["steps"], variant.record["per_decade"]))
    features, columns = math.prod(shape), records * training["members"] * outputs
    if measure == "filtering":
        operations, numbers = 2 * samples**2 * (features + len(options["widths"]) * (columns + 30)), 0
    elif measure == "graph" and samples <= options["dense_limit"]:
        operations, numbers = 10 * samples**3 + 2 * samples**2 * columns, 5 * samples**2
    elif measure == "graph":
        modes = options["modes"]
        operations = 2 * samples**2 * features + 2 * samples * modes * (50 * modes + columns)
        numbers = samples * (4 * features + 4 * modes)
    elif measure == "ntk":
        weights = initialization.weights(variant.model, shape, outputs) or []
        kernels = 2 * training["members"]
        operations = 2 * kernels * outputs * samples**2 * sum(map(math.prod, weights))
        numbers = (kernels + 5) * samples**2
    else:
        operations, numbers = 2 * columns * samples * MOST_FUNCTIONS, 0
    numbers += 4 * samples * features
    return {
        "mem_mb": LEAST_MB + math.ceil(8 * numbers / 1e6),
        "runtime": LEAST_MINUTES + math.ceil(operations / DECOMPOSING / 60),
    }


def _of_variant(dataset: Samples, variant: Variant, compiled: bool) -> tuple[float, float] | None:
    training, per_decade = variant.training, variant.record["per_decade"]
    return _seconds(dataset.extent, variant.model, training, per_decade, training["threads"], compiled)


def _is_compiled(model: dict, training: dict) -> bool:
    """Whether compiled code would train it here."""
    return can(model, {"name": training["optimizer"], **training}, training["loss"], "cpu")


def _seconds(
    extent: Extent | None, model: dict, training: dict, per_decade: int, threads: int, compiled: bool
) -> tuple[float, float] | None:
    """Of a training on the CPU and on a GPU; None where that cannot be known."""
    weights = extent and initialization.weights(model, *extent[2:])
    if not weights:
        return None
    train, test, features, _ = extent
    records = len(record_steps(training["steps"], per_decade))
    updated = min(training["batch_size"] or train, train)
    return work.seconds(
        model, weights, features, members=training["members"], updated=updated, updates=training["steps"],
        evaluated=train + test, records=records, threads=threads, compiled=compiled,
    )  # fmt: skip
