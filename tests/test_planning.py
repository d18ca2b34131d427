"""What is known of a configuration before any of it is made: the extent of its data, the work of its trainings."""

import re
import sys

import pytest
import torch
from conftest import REPOSITORY
from pydantic import TypeAdapter

from fpkit import cli, config, planning
from fpkit.config.datasets import Dataset
from fpkit.config.training import Optimizer
from fpkit.datasets import digits, parity, photograph, sines
from fpkit.training import algorithms

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
    records = len(planning.record_steps(1000, 10))
    # Forward and backward on 20 samples an update, and forward alone on all, those of the test as well, a record.
    passes = 3 * 1000 * 20 + records * 300
    assert found.core_seconds == pytest.approx(7 * 2 * passes * weights / planning.work.COMPILED)
    assert found.prediction_bytes == 4 * records * 7 * 100
    assert found.checkpoint_bytes == 2 * 4 * 7 * 3 * weights  # the last two, of parameters and adam's two moments
    assert found.unknown == 0
    raw["datasets"]["d"] = {"kind": "presets.authors:target"}
    assert planning.estimate(config.load(raw)).unknown == 1


OPTIMIZERS = TypeAdapter(Optimizer).json_schema()["anyOf"][0]["enum"]


@pytest.mark.parametrize(("optimizer", "momentum"), [*((name, 0.0) for name in OPTIMIZERS), ("sgd", 0.9)])
def test_what_an_algorithm_keeps_is_known_before(optimizer, momentum):
    steps, numbers = 150, 1000
    flat = torch.nn.Parameter(torch.linspace(-2, 2, numbers))
    algorithm = algorithms.build(optimizer, flat, 1e-2, momentum, nesterov=False)

    def gradient():
        flat.grad = torch.autograd.grad(loss(flat), flat)[0]
        return flat

    def loss(outputs):
        return (100 * (outputs[1:] - outputs[:-1] ** 2) ** 2 + (1 - outputs[:-1]) ** 2).sum()

    for _ in range(steps):
        algorithm.step(gradient, loss)
    kept = sum(value.numel() for value in leaves(algorithm.state) if isinstance(value, torch.Tensor))
    assert kept / numbers == pytest.approx(planning.buffers(optimizer, momentum, steps), rel=0.02, abs=0.01)


def leaves(state):
    if isinstance(state, dict | list):
        for value in state.values() if isinstance(state, dict) else state:
            yield from leaves(value)
    else:
        yield state


def test_the_paper_s_size_is_told_before_anything_runs():
    said = cli.check([str(REPOSITORY / "config.yaml"), str(REPOSITORY / "presets/paper.yaml")])
    assert re.search(
        r"trainings: about \d+ core hours on the CPU, \d+ GB of predictions, \d+ GB of checkpoints;"
        r" measures: about \d+ core hours$",
        said,
    )


def asked(measures, limit=60_000, record=None, training=None, **more):
    """What a training on Fashion-MNIST asks for, and each of its measures."""
    experiment = {
        "dataset": "d",
        "model": {"kind": "mlp", "widths": [200, 100]},
        "record": {"per_decade": 20} | (record or {}),
        "training": {"steps": 20_000, "members": 10, "batch_size": 128} | (training or {}),
        "decomposition": measures,
    }
    data = {"d": {"kind": "fashion_mnist", "limit": limit, "test_limit": 100}}
    loaded = config.load({"datasets": data, "experiments": {"e": experiment}, "claims": {}, "figures": {}} | more)
    (variant,) = config.variants(loaded)
    dataset = loaded.all_datasets["d"]
    return planning.of_training(dataset, variant), {
        name: planning.of_decomposition(dataset, variant, name) for name in variant.decomposition
    }


def test_what_is_asked_for_grows_with_the_size():
    few, many = (asked({"graph": {}, "filtering": {}, "projection": {}}, limit=limit) for limit in (500, 60_000))
    for small, large in ((few[0], many[0]), *((few[1][name], many[1][name]) for name in few[1])):
        assert small["mem_mb"] < large["mem_mb"]
        assert small["runtime"] <= large["runtime"]
    least = planning.LEAST_MINUTES
    assert many[1]["filtering"]["runtime"] - least > 100 * (few[1]["filtering"]["runtime"] - least), "pairs of samples"
    # A kernel of 20,000 samples, whole, and what its eigenvectors take.
    _, dense = asked({"graph": {"dense_limit": 20_000}}, limit=20_000)
    assert dense["graph"]["mem_mb"] > 4 * 8 * 20_000**2 / 1e6
    descent = {"optimizer": "sgd", "batch_size": None, "steps": 200}
    _, short = asked({"ntk": {}}, limit=2000, record={"split": "train"}, training=descent)
    assert short["ntk"]["mem_mb"] > 20 * 8 * 2000**2 / 1e6, "a kernel of each member at its start and at its end"
    assert asked({"graph": {}}, training={"steps": 1_000_000})[0]["runtime"] > 4 * 60


def test_of_data_of_ones_own_nothing_is_known_before(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(REPOSITORY)])
    training, measures = asked({"fft": {}}, datasets={"d": {"kind": "presets.authors:target"}})
    assert training == {"mem_mb": planning.TRAINING_MB, "runtime": planning.TRAINING_MINUTES}
    assert measures == {"fft": {"mem_mb": planning.UNKNOWN_MB, "runtime": planning.UNKNOWN_MINUTES}}


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
