"""Recorded trainings in a workflow: stores as inputs, compared by content; and data sets out of a file."""

import os

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import Project, copy_sources

import fpkit

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("recorded")]

LINE = np.arange(64)[:, None] / 64
WAVES = np.stack([np.sin(2 * np.pi * k * LINE[:, 0]) for k in (1, 2, 4, 8)])
CONFIG = """
datasets:
  table: {kind: arrays, path: table.csv, test_fraction: 0.2}
experiments:
  mine: {recorded: "runs/seed*.zarr", decomposition: {fft: {frequencies: [1, 2, 4, 8]}, graph: {}}}
  table:
    dataset: table
    model: {kind: mlp, widths: [8]}
    training: {steps: 20, members: 2}
    decomposition: {graph: {}}
claims:
  low_first:
    statement: Low frequencies first.
    source: a question of our own
    experiment: mine
    measure: fft
    statistic: lead
    bound: {at_least: 0.1}
figures:
  mine: {kind: synthetic, experiment: mine}
  modes: {kind: graph, experiment: [mine, table]}
  claims: {kind: claims}
"""


def record(project: Project, seed: int, pace: float = 1.0, steps: int = 300) -> None:
    (project / "runs").mkdir(exist_ok=True)
    decay = pace * (1 + 0.02 * seed) / np.array([1, 4, 16, 64])
    path = project / f"runs/seed{seed}.zarr"
    with fpkit.Recorder(path, LINE, WAVES.sum(axis=0), member=seed, per_decade=10) as recorder:
        for step in range(steps):
            recorder(step, lambda x, step=step: ((1 - np.exp(-step * decay)) @ WAVES)[:, None])


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    made = Project(tmp_path_factory.mktemp("recorded"))
    copy_sources(made.folder)
    (made / "config.yaml").write_text(CONFIG)
    rows = [f"{a},{b},{a * b}" for a in range(8) for b in range(5)]
    (made / "table.csv").write_text("\n".join(["a,b,product", *rows]))
    for seed in range(6):
        record(made, seed)
    made.make("figures", overlays=())
    return made


MINE = {
    *("decompose mine/base/fft", "decompose mine/base/graph", "judge_claims", "figures"),
    *("plot mine", "plot modes", "plot claims"),
}


def test_they_are_judged_and_drawn_as_any_training(project):
    claims = pd.read_csv(project / "results/claims.csv")
    assert claims["verdict"].tolist() == ["holds"]
    assert claims["members"].tolist() == ["6 of 6"]
    for name in ("mine", "modes", "claims"):
        assert (project / f"results/figures/{name}.png").stat().st_size > 10_000
    spectra = xr.load_dataset(project / "results/spectra/mine/base/fft.nc")
    wanted = fpkit.measures.fft(fpkit.open_run(project / "runs/*.zarr"), frequencies=[1, 2, 4, 8])
    np.testing.assert_array_equal(spectra["remaining"], wanted["remaining"])
    assert not (project / "results/runs/mine").exists(), "nothing is trained"
    assert project.plan(overlays=()) == set()


def test_a_store_that_is_touched_plans_nothing_and_one_recorded_anew_what_follows_from_it(project):
    for file in (project / "runs").rglob("*"):
        os.utime(file)
    (project / "runs/seed0.zarr/.DS_Store").write_text("left by a desktop")
    assert project.plan(overlays=()) == set()
    record(project, 6)
    assert project.plan(overlays=()) == MINE
    project.make("figures", overlays=())
    assert pd.read_csv(project / "results/claims.csv")["members"].tolist() == ["7 of 7"]
    record(project, 0, pace=2)
    assert project.plan(overlays=()) == MINE
    project.make("figures", overlays=())


def test_a_table_of_ones_own_is_a_data_set(project):
    dataset = xr.load_dataset(project / "results/datasets/table.nc")
    assert dict(dataset.sizes) == {"sample_train": 32, "feature_0": 2, "output": 1, "sample_test": 8}
    text = (project / "table.csv").read_text()
    (project / "table.csv").write_text(text.replace("7,4,28", "7,4,29"))
    planned = project.plan(overlays=())
    assert {"make_dataset table", "train table/base", "decompose table/base/graph"} <= planned
    assert "decompose mine/base/fft" not in planned
    (project / "table.csv").write_text(text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "runs/seed*.zarr",
            "runs/none*.zarr",
            "experiments.mine.recorded: runs/none*.zarr: no such store; give the path",
        ),
        (
            "graph: {}}}\n  table",
            "ntk: {}}}\n  table",
            "experiments.mine.decomposition.ntk: needs networks that are trained",
        ),
        ("{recorded:", "{recordet:", "experiments.mine"),
        (
            "decomposition: {fft",
            "decompositon: {fft",
            "experiments.mine.decompositon: unknown key 'decompositon'; did you",
        ),
        (
            "path: table.csv",
            "path: tabel.csv",
            "datasets.table.path: tabel.csv is not there; put it there, or correct it",
        ),
        (
            "{kind: synthetic",
            "{kind: theory",
            "figures.mine: needs experiments.mine.decomposition.ntk, which is not there",
        ),
    ],
)
def test_mistakes_are_one_line_each(project, old, new, told):
    text = (project / "config.yaml").read_text()
    assert text.count(old) == 1
    try:
        (project / "config.yaml").write_text(text.replace(old, new))
        done = project.snakemake("--dry-run", "figures", overlays=())
    finally:
        (project / "config.yaml").write_text(text)
    assert done.returncode == 1
    last = (done.stdout + done.stderr).splitlines()[-1]
    assert last.startswith(told)


def test_a_damaged_store_is_one_line(project):
    chunk = next(file for file in (project / "runs/seed0.zarr/prediction/c").rglob("*") if file.is_file())
    content = chunk.read_bytes()
    try:
        chunk.write_bytes(content[:-20] + bytes(20))
        done = project.snakemake("results/spectra/mine/base/fft.nc", overlays=())
    finally:
        chunk.write_bytes(content)
    assert done.returncode == 1
    line = next(
        line for line in (done.stdout + done.stderr).splitlines() if "seed0.zarr" in line and "checksum" in line
    )
    assert "decompose mine/base/fft: " in line
