"""The pipeline: what a run with nothing to do costs, and one with little; what a full run costs beside its computing.

Runs on the results of `snakemake figures`, in a copy that shares their disk space. The overhead of the full run follows
from Snakemake's own benchmark files, results/benchmarks/*/: cores times wall time, less what the jobs computed, that
is less their seconds without start and imports, which are measured here.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import scaling
from benchmarks.measure import goal, options, write

# What a job of each kind imports; the kinds are the folders of Snakemake's times, those of spectra the measures, and
# trainings are told apart by what made their updates.
IMPORTS = {
    "datasets": "fpkit.store.netcdf, fpkit.datasets.contract, fpkit.datasets.sines",
    "runs, compiled": "fpkit.jobs.progress, fpkit.training.run",
    "runs, torch": "fpkit.jobs.progress, fpkit.training.run, fpkit.training.stacked",
    "figures": "fpkit.store.netcdf, fpkit.claims.verdicts, fpkit.figures.kinds.synthetic",
    "claims": "fpkit.store.netcdf, fpkit.claims.verdicts",
    "calibration": "fpkit.claims.calibration",
}
# What those of a kind keep their libraries from importing.
HIDDEN = {"figures": ("scipy.stats", "scipy.cluster")}
# Seconds without a job, from which on jobs are of two runs.
PAUSE = 60
START = """
import snakemake.script
from fpkit.jobs.job import job, without
with job({log!r}, "start", 1, "none"), without(*{hidden!r}):
    import {imports}
"""


def snakemake(folder: Path, *arguments: str) -> float:
    """Seconds of a run of Snakemake."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "figures", *arguments]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def copy(folder: Path) -> None:
    """This checkout with its results, which are linked, but for what a job writes in place: logs and times."""
    for name in ("Snakefile", "config.yaml", "presets", "profiles", "workflow", "fpkit", ".snakemake", "results"):
        source = Path(name)
        if source.is_dir():
            shutil.copytree(
                source, folder / name, symlinks=True, copy_function=_link if name == "results" else shutil.copy2,
                ignore=shutil.ignore_patterns("__pycache__", "checkpoints", "locks"),
            )  # fmt: skip
        else:
            shutil.copy2(source, folder / name)


def _link(source: str, target: str) -> None:
    in_place = Path(source).parts[1] in ("logs", "benchmarks")
    shutil.copy2(source, target) if in_place else os.link(source, target)


def job_times() -> dict[str, list[tuple[float, float]]]:
    """Of each kind of job: when it ended and how many seconds it took, as Snakemake wrote them down."""
    times: dict[str, list[tuple[float, float]]] = {}
    for file in Path("results/benchmarks").rglob("*.tsv"):
        if ".ipynb_checkpoints" in file.parts:
            continue
        with open(file, encoding="utf-8") as stream:
            seconds = float(next(csv.DictReader(stream, delimiter="\t"))["s"])
        kind = file.relative_to("results/benchmarks").parts[0].removesuffix(".tsv")
        if kind == "spectra":
            kind = file.stem
        elif kind == "runs":
            store = Path("results") / file.relative_to("results/benchmarks").with_suffix("") / "predictions.zarr"
            device = json.loads((store / "zarr.json").read_text())["attributes"]["device"]
            kind += ", compiled" if device.endswith("compiled") else ", torch"
        times.setdefault(kind, []).append((file.stat().st_mtime, seconds))
    return times


def longest_gap(begins: list[float], ends: list[float]) -> float:
    """Seconds without any job, at most, between those that begin and end then."""
    gap, until = 0.0, min(begins)
    for begin, end in sorted(zip(begins, ends, strict=True)):
        gap, until = max(gap, begin - until), max(until, end)
    return gap


def start_seconds(kind: str, repetitions: int) -> float:
    """Median seconds of a job of this kind that has nothing to do."""
    imports = IMPORTS.get(
        kind, f"fpkit.store.netcdf, fpkit.store.predictions, fpkit.measures.scheduler, fpkit.measures.kinds.{kind}"
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        program = START.format(log=f"{folder}/log", imports=imports, hidden=HIDDEN.get(kind, ()))
        for _ in range(repetitions):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def import_seconds(repetitions: int) -> list[float]:
    """Of `import fpkit`, beyond those of Python itself."""

    def took(program: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return time.perf_counter() - began

    return [took("import fpkit") - took("pass") for _ in range(repetitions)]


def plan_seconds(variants: int, repetitions: int) -> list[float]:
    """Of planning a sweep of so many variants, of which nothing is made yet."""
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        folder = Path(temporary)
        for name in ("Snakefile", "presets", "profiles", "workflow", "fpkit"):
            link = shutil.copy2 if Path(name).is_file() else shutil.copytree
            link(name, folder / name)
        (folder / "config.yaml").write_text(
            "datasets: {sines: {kind: sines, frequencies: [1, 2]}}\n"
            "experiments: {many: {dataset: sines, model: {kind: mlp}, training: {steps: 10, members: 2},"
            f" decomposition: {{fft: {{}}}}, sweep: {{training.seed_offset: {list(range(1, variants + 1))}}}}}}}\n"
            "figures: {order: {kind: order, experiment: many}}\n"
        )
        return [snakemake(folder, "--dry-run", "--quiet", "all") for _ in range(repetitions)]


def recorder_share(repetitions: int) -> list[float]:
    """What part of an hour's training of 1,000 updates a minute a recorder takes: a small network on 1,000 images."""
    import numpy as np
    import torch

    import fpkit
    from fpkit.store.schedule import record_steps

    torch.set_num_threads(1)
    layers = torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16 * 26 * 26, 10)
    model, shares = torch.nn.Sequential(*layers), []
    x, y = np.random.default_rng(0).standard_normal((1000, 1, 28, 28)).astype(np.float32), np.arange(1000) % 10
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder, fpkit.Recorder(f"{folder}/a.zarr", x, y, outputs="logits") as one:
            for step in record_steps(60_000, 50):
                one(step, model)
            shares.append(one.seconds / 3600)
    return shares


def measure(repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""
    rows = [
        goal("import fpkit (s)", import_seconds(repetitions), "<= 0.1"),
        goal("recorder: part of an hour's training", recorder_share(repetitions), "<= 0.02"),
        goal("plan of 1,000 variants (s)", plan_seconds(1000, repetitions), "<= 60"),
    ]
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        folder = Path(temporary)
        copy(folder)
        rows.append(goal("nothing to do (s)", [snakemake(folder) for _ in range(repetitions)], "<= 4"))
        overlay = folder / "style.yaml"
        restyled = []
        for repetition in range(repetitions):
            overlay.write_text(f"figures: {{synthetic: {{style: {{width_mm: {150 + repetition}}}}}}}\n")
            restyled.append(snakemake(folder, "--configfile", overlay.name))
        rows.append(goal("another style for one figure (s)", restyled, "<= 10"))
    times = job_times()
    ends = [end for jobs in times.values() for end, _ in jobs]
    begins = [end - seconds for jobs in times.values() for end, seconds in jobs]
    if longest_gap(begins, ends) > PAUSE:
        print("full run: not measured, as the results are of several; rm -r results, run figures, and this again")
        return rows
    # As many cores as there were ever jobs at the same time.
    cores = max(sum(begin <= moment + 0.5 < end for begin, end in zip(begins, ends, strict=True)) for moment in begins)
    wall = max(ends) - min(begins)
    computing = 0.0
    for kind, jobs in times.items():
        in_jobs = sum(seconds for _, seconds in jobs)
        start = start_seconds(kind, repetitions)
        computing += max(0.0, in_jobs - start * len(jobs))
        rows.append(
            {
                "row": "measurement", "case": f"jobs: {kind}", "value": f"{in_jobs:.1f}", "jobs": len(jobs),
                "start_seconds": f"{start:.2f}",
            }
        )  # fmt: skip
    rows.append(goal("full run (min)", wall / 60, "<= 8"))
    rows.append(goal("full run: overhead, of cores times wall time", 1 - computing / (cores * wall), "<= 0.2"))
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/pipeline.csv")
    arguments = parser.parse_args()
    rows = measure(arguments.repetitions) + scaling.measure(arguments.repetitions)
    write(arguments.output, rows, arguments.device)


if __name__ == "__main__":
    main()
