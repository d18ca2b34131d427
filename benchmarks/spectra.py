"""Decomposition in frequency: filtering, graph, projection and fft, each against what a user would write instead."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import filtering, graph
from benchmarks.measure import bandwidth, gemm_rate, goal, in_turn, options, row, write

OUTPUTS = 10


def _projected(case: dict):
    """Positions t (sample) and values (column, sample) in single precision."""
    import numpy as np

    rng = np.random.default_rng(0)
    position = rng.normal(size=case["samples"]) / 8
    return position, rng.standard_normal((case["steps"] * OUTPUTS, case["samples"]), dtype=np.float32)


def projection(case: dict):
    """fpkit, which chooses."""
    import xarray as xr

    from fpkit.bases.waves import Waves

    position, values = _projected(case)
    position = xr.DataArray(position, dims="sample")
    basis = Waves(position, range(1, case["frequencies"] + 1))
    values = xr.DataArray(values, dims=("column", "sample"))
    return lambda: basis.coefficients(values).compute()


def direct(case: dict):
    """The product with cosines and sines, in single precision."""
    import numpy as np

    position, values = _projected(case)

    def work():
        phase = -2 * np.pi * np.outer(position, np.arange(1, case["frequencies"] + 1))
        basis = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
        basis -= basis.mean(axis=0)
        return values @ (basis / len(position)).astype(np.float32)

    return work


def finufft(case: dict):
    """finufft, type 1, in double precision: in single precision the positions alone are too coarse for 1e-5."""
    import finufft
    import numpy as np

    position, values = _projected(case)

    def work():
        centred = (values - values.mean(axis=1, keepdims=True)).astype(np.complex128)
        modes = 2 * case["frequencies"] + 1
        x = np.mod(2 * np.pi * position + np.pi, 2 * np.pi) - np.pi
        return finufft.nufft1d1(x, centred, modes, eps=1e-6, isign=-1, nthreads=case["threads"])

    return work


def projection_error(case: dict) -> float:
    """Largest error of fpkit in single precision, relative to the largest coefficient of direct double precision."""
    import numpy as np

    case = case | {"steps": 2}
    position, values = _projected(case)
    values = values.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    phase = -2 * np.pi * np.outer(position, np.arange(1, case["frequencies"] + 1))
    exact = np.stack([values @ np.cos(phase), values @ np.sin(phase)], axis=-1) / len(position)
    found = projection(case)().transpose("column", "function").to_numpy().reshape(exact.shape)
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def _store(case: dict) -> tuple[Path, Path]:
    """Predictions (step, member, sample) in a store, and their data set; made once."""
    import numpy as np
    import zarr

    from fpkit.datasets import sines
    from fpkit.store.predictions import Writer

    folder = Path(case["folder"])
    store, dataset = folder / "predictions.zarr", folder / "dataset.nc"
    if not dataset.exists():
        writer = Writer(store, range(case["members"]), case["samples"], 1, ["loss_train"])
        rng = np.random.default_rng(0)
        shard = zarr.open_array(store / "prediction").shards[0]
        for step in range(min(shard, case["steps"])):
            prediction = rng.standard_normal((case["members"], case["samples"], 1), dtype=np.float32)
            writer.append(step, prediction, loss_train=np.ones(case["members"], np.float32))
        writer.flush()
        # The other shards are copies of the first: as many files and bytes to read, made in a tenth of the time.
        group = zarr.open_group(store)
        for array, values in (("prediction", None), ("loss_train", 1), ("step", np.arange(case["steps"]))):
            group[array].resize((case["steps"], *group[array].shape[1:]))
            if values is not None:
                group[array][:] = values
        for index in range(1, -(-case["steps"] // shard)):
            file = store / f"prediction/c/{index}/0/0/0"
            file.parent.mkdir(parents=True)
            shutil.copyfile(store / "prediction/c/0/0/0/0", file)
        sines.build(range(1, 9), samples=case["samples"], test_samples=0).to_netcdf(dataset, engine="netcdf4")
    return store, dataset


def fft(case: dict):
    """fpkit, from the store to the spectra file."""
    import dask
    import xarray as xr

    from fpkit.measures.kinds.fft import decompose
    from fpkit.store import netcdf
    from fpkit.store.predictions import open_predictions

    store, dataset = _store(case)
    file = Path(case["folder"]) / "spectra.nc"
    dask.config.set(scheduler="threads", num_workers=case["threads"])

    def work():
        with xr.open_dataset(dataset, engine="netcdf4") as data:
            begun = netcdf.begin(file)
            spectra = decompose(
                open_predictions(store), data, split="train", threshold=0.2, hold=0.05, frequencies=None,
                peak_height=0.1, file=begun,
            )  # fmt: skip
        netcdf.save(spectra, file, begun)

    return work


def read_and_transform(case: dict):
    """Reading the bytes, a shard at a time, and scipy.fft on them: the least that has to be done."""
    import scipy.fft
    import zarr

    store, _ = _store(case)

    def work():
        array = zarr.open_array(store / "prediction", mode="r")
        for start in range(0, array.shape[0], array.shards[0]):
            scipy.fft.rfft(array[start : start + array.shards[0], ..., 0], axis=-1, workers=case["threads"])

    return work


def measure(threads: int, repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""
    rows = []
    for frequencies in (20, 1000):
        case = {"samples": 60_000, "steps": 100, "frequencies": frequencies, "threads": threads}
        contenders = {"fpkit": projection, "direct": direct, "finufft": finufft}
        results = in_turn(contenders, case, threads, repetitions)
        name = f"projection, {case['samples']} samples, {case['steps']} steps, {frequencies} frequencies"
        seconds_floor = 4 * case["samples"] * case["steps"] * OUTPUTS * frequencies / gemm_rate(threads)
        rows += [row(name, threads, contender, timing, seconds_floor) for contender, timing in results.items()]
        better = min(results["direct"].median, results["finufft"].median)
        rows.append(goal(f"{name}: against the better peer", better / results["fpkit"].median, ">= 1"))
        rows.append(goal(f"{name}: error", projection_error(case), "<= 1e-5"))
    with tempfile.TemporaryDirectory() as folder:
        case = {"steps": 10_000, "members": 64, "samples": 4096, "threads": threads, "folder": folder}
        _store(case)
        # It takes minutes: as many repetitions as of the others would take an hour.
        results = in_turn({"fpkit": fft, "read and scipy.fft": read_and_transform}, case, threads, 1)
        name = f"fft, {case['steps']} steps, {case['members']} members, {case['samples']} samples"
        seconds_floor = 4 * case["steps"] * case["members"] * case["samples"] / bandwidth(threads)
        rows += [row(name, threads, contender, timing, seconds_floor) for contender, timing in results.items()]
        ratio = results["fpkit"].median / results["read and scipy.fft"].median
        rows.append(goal(f"{name}: time, of reading and scipy.fft", ratio, "<= 2"))
        rows.append(goal(f"{name}: memory (MB)", results["fpkit"].peak_bytes / 2**20, "<= 1024"))
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/spectra.csv")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rows = measure(arguments.threads, arguments.repetitions)
    rows += graph.measure(arguments.threads, arguments.repetitions)
    rows += filtering.measure(arguments.device, arguments.threads, arguments.repetitions)
    write(arguments.output, rows, arguments.device)


if __name__ == "__main__":
    main()
