"""Data drawn again, and the whole repeated on fresh seeds: the workflow, run for real on a tiny configuration."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import Project, copy_sources

from fpkit.claims import statistics
from fpkit.claims.replication import agreement, read
from fpkit.store import netcdf

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("draws")]

CONFIG = """
datasets:
  tones: {kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16, noise: 0.1}
experiments:
  small:
    dataset: tones
    model: {kind: mlp, widths: [16], activation: tanh}
    training: {steps: 400, members: 3, learning_rate: 0.02}
    record: {per_decade: 5}
    decomposition: {fft: {}}
    sweep: {dataset.seed: [0, 1]}
claims:
  pooled: &claim
    statement: Low first.
    source: Here
    experiment: small
    pool: dataset.seed
    measure: fft
    statistic: area_order
    bound: {at_least: 0}
  apart:
    <<: *claim
    pool: null
figures:
  small: {kind: order, experiment: small, pool: dataset.seed}
"""
REPLICATE = ("judge_claims", "--snakefile", "workflow/replication/Snakefile", "--config")
CHAIN = {
    *("make_dataset tones", "make_dataset tones+seed~1"),
    *(f"train small/seed~{seed}" for seed in (0, 1)),
    *(f"decompose small/seed~{seed}/fft" for seed in (0, 1)),
    "judge_claims",
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Project:
    """The claims and the figure, and a first replication. Shared: look, do not touch."""
    project = copy_sources(tmp_path_factory.mktemp("draws") / "project")
    (project / "config.yaml").write_text(CONFIG)
    project.make("figures", overlays=())
    project.make(*REPLICATE, "seed_shift=1000000", overlays=())
    project.make("replication", overlays=())
    return project


@pytest.fixture
def copied(drawn, tmp_path) -> Project:
    """A copy, times included, to be edited at will."""
    return Project(shutil.copytree(drawn.folder, tmp_path / "copied", symlinks=True))


def spectra(project: Project, seed: int) -> xr.Dataset:
    return netcdf.load_dataset(project / f"results/spectra/small/seed~{seed}/fft.nc")


def test_pooled_row_is_of_the_members_of_all_draws(drawn):
    claims = pd.read_csv(drawn / "results/claims.csv")
    assert claims[["claim", "variant", "members"]].to_numpy().tolist() == [
        ["pooled", "seed~*", "6 of 6 in 2 draws"],
        ["apart", "seed~0", "3 of 3"],
        ["apart", "seed~1", "3 of 3"],
    ]
    orders = [statistics.area_order(spectra(drawn, seed)) for seed in (0, 1)]
    assert np.isfinite(np.concatenate(orders)).all()
    expected = [np.median(np.concatenate(orders)), *(np.median(order) for order in orders)]
    assert claims["value"].to_numpy() == pytest.approx(expected, rel=1e-3)


def test_draws_are_other_data_of_the_same_kind(drawn):
    one, other = (netcdf.load_dataset(drawn / f"results/datasets/{name}.nc") for name in ("tones", "tones+seed~1"))
    assert (one["x_train"] == other["x_train"]).all()
    assert float(abs(one["y_train"] - other["y_train"]).mean()) > 0.1, "phases and noise are drawn"
    assert other.attrs["name"] == spectra(drawn, 1).attrs["dataset"] == "tones+seed~1"


def test_another_draw_plans_its_own_chain(copied):
    assert copied.plan("figures", overlays=()) == set()
    copied.edit("config.yaml", "dataset.seed: [0, 1]", "dataset.seed: [0, 1, 2]")
    added = {"make_dataset tones+seed~2", "train small/seed~2", "decompose small/seed~2/fft"}
    ends = {"judge_claims", "plot small", "figures"}
    assert copied.plan("figures", overlays=()) == added | ends
    copied.edit("config.yaml", "dataset.seed: [0, 1, 2]", "dataset.seed: [1]")
    assert copied.plan("figures", overlays=()) == ends, "a draw that is there is taken as it is"


def test_no_shift_plans_nothing_and_a_shift_what_draws(copied):
    assert copied.plan("figures", "--config", "seed_shift=0", overlays=()) == set()
    everything = CHAIN | {"plot small", "figures"}
    assert copied.plan("figures", "--config", "seed_shift=7", overlays=()) == everything


def test_replication_draws_all_seeds_anew_and_leaves_the_run_as_it_was(drawn):
    again = Project(drawn / "results/replication/1")
    run, repeated = (project.predictions("small/seed~1") for project in (drawn, again))
    assert run["member"].to_numpy().tolist() == [1000, 1001, 1002]
    assert repeated["member"].to_numpy().tolist() == [1001000, 1001001, 1001002]
    recipes = [json.loads(store.attrs["recipe"]) for store in (run, repeated)]
    for recipe in recipes:
        del recipe["training"]["seed_offset"]
    assert recipes[0] == recipes[1]
    for name in ("tones", "tones+seed~1"):
        data = [netcdf.load_dataset(project / f"results/datasets/{name}.nc") for project in (drawn, again)]
        assert float(abs(data[0]["y_train"] - data[1]["y_train"]).mean()) > 0.1
    assert not (again / "results/figures").exists(), "claims alone"
    assert drawn.plan("figures", overlays=()) == set()


def test_replications_are_numbered_and_planned_once(drawn):
    assert drawn.plan(*REPLICATE, "seed_shift=1000000", overlays=()) == set()
    assert drawn.plan(*REPLICATE, "seed_shift=2000000", overlays=()) == CHAIN
    refused = drawn.snakemake("--dry-run", *REPLICATE, "seed_shift=5", overlays=())
    assert refused.returncode == 1
    line = "seed_shift: 5 is no replication; give --config seed_shift=1000000, or a multiple of it"
    assert line in (refused.stdout + refused.stderr).splitlines()


def test_replication_lays_verdict_beside_verdict(drawn):
    table = read(drawn / "results/replication.csv")
    run, again = (pd.read_csv(drawn / f"results/{where}claims.csv") for where in ("", "replication/1/results/"))
    for number, claims in enumerate([run, again]):
        for name in ("verdict", "value", "ci_low", "ci_high"):
            assert table[f"{name}_{number}"].tolist() == claims[name].tolist()
    assert (run["value"] != again["value"]).any()
    same = sum(run["verdict"] == again["verdict"])
    assert agreement(table).startswith(f"replication 1: {same} of 3 verdicts agree")
    for ending in ("svg", "pdf", "png"):
        assert (drawn / f"results/figures/replication.{ending}").stat().st_size > 1000
    assert drawn.plan("replication", overlays=()) == set()


def test_a_second_replication_adds_to_the_table(copied):
    """It was made elsewhere, say, and put where it belongs."""
    shutil.copytree(copied / "results/replication/1", copied / "results/replication/2")
    assert copied.plan("replication", overlays=()) == {"replication"}
    copied.make("replication", overlays=())
    table = read(copied / "results/replication.csv")
    assert table["verdict_1"].tolist() == table["verdict_2"].tolist()
    assert "; replication 2: " in agreement(table)
