"""How time grows over three decades in members, samples, recorded steps, frequencies, images, and compared inputs."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import goal

SIZES = [10, 32, 100, 316, 1000, 3162, 10_000]


def members(count: int) -> Callable[[], object]:
    """Ten updates of an ensemble."""
    return _updates(members=count, samples=100)


def samples(count: int) -> Callable[[], object]:
    """Ten updates of ten members."""
    return _updates(members=10, samples=count)


def _updates(members: int, samples: int) -> Callable[[], object]:
    from fpkit.training.trainer import build

    x = np.linspace(-math.pi, math.pi, samples, dtype=np.float32)[:, np.newaxis]
    model = {"kind": "mlp", "widths": [32, 32], "activation": "tanh", "initialization": "scaled", "std": 0.1}
    algorithm = {"name": "adam", "learning_rate": 1e-3, "momentum": 0.0, "nesterov": False}
    ensemble = build(model, {"x_train": x, "y_train": np.sin(x)}, range(members), algorithm)
    return lambda: ensemble.advance(0, 10)


def recorded_steps(count: int) -> Callable[[], object]:
    """Writing predictions of ten members on 200 samples."""
    from fpkit.store.predictions import Writer

    prediction, loss = np.ones((10, 200, 1), np.float32), np.ones(10, np.float32)

    def work():
        with tempfile.TemporaryDirectory() as folder:
            writer = Writer(Path(folder) / "predictions.zarr", range(10), 200, 1, ["loss_train"])
            for step in range(count):
                writer.append(step, prediction, loss_train=loss)
            writer.flush()

    return work


def frequencies(count: int) -> Callable[[], object]:
    """Projection of 100 outputs on 10,000 samples."""
    import xarray as xr

    from fpkit.bases.waves import Waves

    rng = np.random.default_rng(0)
    values = xr.DataArray(rng.standard_normal((100, 10_000), dtype=np.float32), dims=("column", "sample"))
    position = xr.DataArray(rng.normal(size=10_000) / 8, dims="sample")
    basis = Waves(position, range(1, count + 1))
    return lambda: basis.coefficients(values)


def kernel_inputs(count: int) -> Callable[[], object]:
    """The low-pass filter on 100 columns, whose kernel has count x count entries."""
    from fpkit.measures.low_pass import low_high_energy

    draw = np.random.default_rng(0).standard_normal
    x, columns = draw((count, 64), dtype=np.float32), draw((count, 100), dtype=np.float32)
    return lambda: low_high_energy(x, columns, [3.0])


def image_samples(count: int) -> Callable[[], object]:
    """Ten updates of two convolutional networks."""
    from fpkit.training.trainer import build

    x = np.random.default_rng(0).standard_normal((count, 1, 8, 8), dtype=np.float32)
    model = {"kind": "cnn", "channels": [8, 16], "kernel": 3, "widths": [16]}
    model |= {"activation": "tanh", "initialization": "scaled", "std": 0.1}
    algorithm = {"name": "adam", "learning_rate": 1e-3, "momentum": 0.0, "nesterov": False}
    ensemble = build(model, {"x_train": x, "y_train": x[:, 0, 0, :1]}, range(2), algorithm)
    return lambda: ensemble.advance(0, 10)


def neighbours(count: int) -> Callable[[], object]:
    """The ten nearest neighbours of each input, which is compared with all others."""
    from fpkit.datasets.neighbours import nearest

    x = np.random.default_rng(0).standard_normal((count + 10, 64), dtype=np.float32)
    return lambda: nearest(x, 10)


# What grows, its sizes, and the exponent that must not be exceeded.
AXES = {
    members: (SIZES, 1),
    samples: (SIZES, 1),
    image_samples: (SIZES, 1),
    recorded_steps: (SIZES, 1),
    frequencies: (SIZES, 1),
    kernel_inputs: (SIZES, 2),
    neighbours: (SIZES, 2),
}


def exponent(sizes, seconds) -> float:
    """Of the growth of time over the last decade."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(seconds[-3:]), 1)[0])


def measure(repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals: exponents, fitted over the last decade, with a tenth of tolerance."""
    rows = []
    for axis, (sizes, most) in AXES.items():
        seconds = []
        for size in sizes:
            work = axis(size)
            work()
            taken = []
            for _ in range(repetitions):
                began = time.perf_counter()
                work()
                taken.append(time.perf_counter() - began)
            seconds.append(float(np.median(taken)))
            rows.append({"row": "scaling", "case": axis.__name__, "size": size, "seconds": f"{seconds[-1]:.4g}"})
        rows.append(goal(f"scaling: exponent of {axis.__name__}", exponent(sizes, seconds), f"<= {most + 0.1}"))
    return rows
