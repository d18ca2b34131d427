"""What is known of a configuration before any of it is made: the extent of its data, the work of its trainings."""

import re
import sys

import pytest
from conftest import REPOSITORY
from pydantic import TypeAdapter

from fpkit import cli, config, planning
from fpkit.config.datasets import Dataset
from fpkit.datasets import digits, parity, photograph, sines

MADE = {
    "sines": (sines, {"frequencies": [1, 2], "samples": 50, "test_samples": 30, "embedding": "circle"}),
    "parity": (parity, {"dimensions": 6, "train_fraction": 0.3}),
    "photograph": (photograph, {"size": 12}),
    "photograph, fourier": (photograph, {"size": 12, "fourier_scale": 4.0, "fourier_features": 8}),
    "digits": (digits, {"limit": 200, "pool": 2}),
    "digits, all": (digits, {}),
    "digits, some set aside": (digits, {"limit": 300, "validation_limit": 100}),
    "digits, set aside of all": (digits, {"validation_limit": 100}),
    "digits, a target": (digits, {"limit": 100, "test_limit": 50, "target": {"kind": "sines"}}),
}


@pytest.mark.parametrize("name", MADE)
def test_extent_is_that_of_the_data_set_that_is_made(name):
    module, options = MADE[name]
    kind = name.partition(",")[0]
    entry = TypeAdapter(Dataset).validate_python({"kind": kind, **options})
    made = module.build(**{key: value for key, value in config.plain(entry).items() if key != "kind"})
    train, test, features, outputs = entry.extent
    assert made["x_train"].shape == (train, *features)
    assert made["y_train"].shape == (train, outputs)
    assert made.sizes.get("sample_test", 0) == test


def test_operations_of_an_mlp_are_those_of_its_products(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(REPOSITORY)])
    raw = {
        "datasets": {"d": {"kind": "sines", "frequencies": [1], "samples": 100}},
        "experiments": {"e": {
            "dataset": "d", "model": {"kind": "mlp", "widths": [64, 32]}, "record": {"per_decade": 10},
            "training": {"steps": 1000, "members": 7, "batch_size": 20}, "decomposition": {"fft": {}},
        }},
        "claims": {}, "figures": {},
    }  # fmt: skip
    found = planning.estimate(config.load(raw))
    weights = 64 + 64 * 32 + 32
    assert found.core_seconds == pytest.approx(7 * 1000 * 6 * 20 * weights / planning.work.COMPILED)
    records = len(planning.record_steps(1000, 10))
    assert found.prediction_bytes == 4 * records * 7 * 100
    assert found.unknown == 0
    raw["datasets"]["d"] = {"kind": "presets.authors:target"}
    assert planning.estimate(config.load(raw)).unknown == 1


def test_the_paper_s_size_is_told_before_anything_runs():
    said = cli.check([str(REPOSITORY / "config.yaml"), str(REPOSITORY / "presets/paper.yaml")])
    assert re.search(r"trainings: about \d+ core hours on the CPU, \d+ GB of predictions$", said)


@pytest.mark.workflow
def test_a_dry_run_tells_it_and_a_run_does_not(project):
    told = "trainings: about 1 core minute on the CPU"
    assert told in project.make("--dry-run").stderr
    assert told not in project.make("results/datasets/sines.nc").stderr


def test_the_small_paper_is_the_paper_with_a_tenth_of_the_steps():
    layers = [config.read_yaml(REPOSITORY / name) for name in ("config.yaml", "presets/paper.yaml")]
    small = config.read_yaml(REPOSITORY / "presets/paper-small.yaml")
    paper, reduced = config.load(config.merged(*layers, {})), config.load(config.merged(*layers, small, {}))
    assert reduced.experiments.keys() == paper.experiments.keys()
    for name in small["experiments"]:
        assert reduced.experiments[name].training.steps == paper.experiments[name].training.steps // 10, name
    told = planning.estimate(reduced)
    assert 8 * told.core_seconds < planning.estimate(paper).core_seconds
    assert "mnist" not in reduced.datasets
