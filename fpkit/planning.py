"""How long trainings and decompositions take, and what memory and disk, before any of it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fpkit.config.datasets import Extent, Samples
from fpkit.config.schema import Config
from fpkit.config.sweeps import Variant, variants
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
# Numbers that an algorithm keeps of each parameter, as far as is known.
BUFFERS = {"sgd": 0, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2, "adadelta": 2}
LBFGS_HISTORY = 100


@dataclass(frozen=True)
class Estimate:
    """Of a configuration.

    Attributes:
        core_seconds: of all trainings on the CPU, at the rates of `fpkit.training.work`. measure_seconds: of all
            measures, likewise. prediction_bytes: recorded, not compressed. checkpoint_bytes: of each training the last
            two, about.
        unknown: variants with data or models of one's own, of which nothing is known before: they are not counted.
    """

    core_seconds: float
    measure_seconds: float
    prediction_bytes: float
    checkpoint_bytes: float
    unknown: int

    def __str__(self) -> str:
        told = f"trainings: about {_in_words(self.core_seconds)} on the CPU"
        told += f", {_size(self.prediction_bytes)} of predictions, {_size(self.checkpoint_bytes)} of checkpoints"
        if self.measure_seconds >= 60:
            told += f"; measures: about {_in_words(self.measure_seconds)}"
        return told + f"; {self.unknown} variants with data or models of one's own are not counted" * bool(self.unknown)


def _size(count: float) -> str:
    size = count / 2**30
    return f"{size:,.0f} GB" if size >= 2 else f"{max(1, round(1024 * size))} MB"


def _in_words(core_seconds: float) -> str:
    hours, minutes = core_seconds / 3600, max(1, round(core_seconds / 60))
    return f"{hours:,.0f} core hours" if hours >= 2 else f"{minutes} core minute{'s' * (minutes > 1)}"


def estimate(config: Config) -> Estimate:
    """Of a configuration that was checked; what starts jobs, figures and claims come on top."""
    seconds = measured = predicted = kept = unknown = 0
    for variant in variants(config):
        if variant.recorded:
            continue
        dataset, training = config.all_datasets[variant.dataset], variant.training
        took = _seconds(dataset.extent, variant, 1, _is_compiled(variant))
        if took is None:
            unknown += 1
            continue
        seconds += took[0]
        for name in variant.decomposition:
            measured += _decomposing(dataset.extent, variant, name)[0] / work.COMPILED
        if "basis" not in variant.record:  # else coefficients are recorded, which are few
            numbers = _samples(dataset.extent, variant) * dataset.extent[-1]
            predicted += 4 * training["members"] * _records(variant) * numbers
        weights = sum(map(math.prod, _weights(dataset.extent, variant)))
        copies = 1 + buffers(training["optimizer"], training["momentum"], training["steps"])
        kept += 2 * 4 * training["members"] * weights * copies
    return Estimate(seconds, measured, predicted, kept, unknown)


def buffers(optimizer: str, momentum: float, updates: int) -> int:
    """How many numbers a config `training.optimizer` keeps of each parameter, about."""
    if optimizer == "lbfgs":  # steps and how they changed the gradient, and the last of both
        return 2 * min(updates, LBFGS_HISTORY) + 2
    return BUFFERS.get(optimizer, 2) + (momentum > 0)


def pays(dataset: Samples, variant: Variant) -> bool:
    """Whether a training would be sooner done on a GPU, or may be, as nothing is known of its data or its model.

    Args:
        dataset: its entry.
    """
    took = _seconds(dataset.extent, variant, variant.training["threads"], _is_compiled(variant))
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
    took = _seconds(dataset.extent, variant, variant.training["threads"], compiled=False)
    minutes = math.ceil(TRAINING_SHARE * took[0] / 60) if took else 0
    copies = 3 * 4 * (train + test) * math.prod(shape)
    return {"mem_mb": TRAINING_MB + int(copies / 1e6), "runtime": max(minutes, TRAINING_MINUTES)}


def of_decomposition(dataset: Samples | None, variant: Variant, measure: str) -> dict[str, int]:
    """The same of a measure, which has one core.

    Args:
        dataset: its entry; None of a training that was recorded elsewhere.
    """
    if dataset is None or dataset.extent is None:
        return {"mem_mb": UNKNOWN_MB, "runtime": UNKNOWN_MINUTES}
    operations, numbers = _decomposing(dataset.extent, variant, measure)
    return {
        "mem_mb": LEAST_MB + math.ceil(8 * numbers / 1e6),
        "runtime": LEAST_MINUTES + math.ceil(operations / DECOMPOSING / 60),
    }


def _decomposing(extent: Extent, variant: Variant, measure: str) -> tuple[float, float]:
    """Floating-point operations of a measure, and double-precision numbers that it holds, about."""
    _, _, shape, outputs = extent
    training, options, samples = variant.training, variant.decomposition[measure], _samples(extent, variant)
    features, columns = math.prod(shape), _records(variant) * training["members"] * outputs
    if measure == "filtering":
        operations, numbers = 2 * samples**2 * (features + len(options["widths"]) * (columns + 30)), 0
    elif measure == "graph" and samples <= options["dense_limit"]:
        operations, numbers = 10 * samples**3 + 2 * samples**2 * columns, 5 * samples**2
    elif measure == "graph":
        modes = options["modes"]
        operations = 2 * samples**2 * features + 2 * samples * modes * (50 * modes + columns)
        numbers = samples * (4 * features + 4 * modes)
    elif measure == "ntk":
        weights = _weights(extent, variant) or []
        kernels = 2 * training["members"]
        operations = 2 * kernels * outputs * samples**2 * sum(map(math.prod, weights))
        numbers = (kernels + 5) * samples**2
    else:
        operations, numbers = 2 * columns * samples * MOST_FUNCTIONS, 0
    return operations, numbers + 4 * samples * features


def _samples(extent: Extent, variant: Variant) -> int:
    """How many are recorded."""
    train, test, *_ = extent
    return {"train": train, "test": test, "all": train + test}[variant.record["split"]]


def _records(variant: Variant) -> int:
    return len(record_steps(variant.training["steps"], variant.record["per_decade"]))


def _is_compiled(variant: Variant) -> bool:
    """Whether compiled code would train it here."""
    return can(variant.model, variant.training["optimizer"], variant.training["loss"], "cpu")


def _weights(extent: Extent | None, variant: Variant) -> list[tuple[int, ...]] | None:
    """Shapes of a network's parameters; None where they cannot be known."""
    return initialization.weights(variant.model, *extent[2:]) if extent else None


def _seconds(extent: Extent | None, variant: Variant, threads: int, compiled: bool) -> tuple[float, float] | None:
    """Of a training on the CPU and on a GPU; None where that cannot be known."""
    weights = _weights(extent, variant)
    if not weights:
        return None
    (train, test, features, _), training = extent, variant.training
    return work.seconds(
        variant.model, weights, features, members=training["members"],
        updated=min(training["batch_size"] or train, train), updates=training["steps"],
        evaluated=train + test, records=_records(variant), threads=threads, compiled=compiled,
    )  # fmt: skip
