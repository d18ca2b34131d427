"""Trainings of other recipes: which they are, what they hold, and that nothing else is deleted."""

import json
import os
import time
from pathlib import Path

import pytest

from fpkit.jobs import recipes


def training(results: Path, variant: str, name: str, size: int = 1000, age: float = 0) -> Path:
    """A training's folder that was last taken up `age` seconds ago."""
    folder = results / "checkpoints" / variant / name
    (folder / "predictions.zarr").mkdir(parents=True)
    (folder / "predictions.zarr/shard").write_bytes(bytes(size))
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def show(results: Path, variant: str, name: str) -> None:
    """A finished run that was made from the training of this name."""
    run = results / "runs" / variant / "predictions.zarr"
    run.mkdir(parents=True)
    (run / "zarr.json").write_text(json.dumps({"attributes": {"checkpoint": name}}))
    os.link(results / "checkpoints" / variant / name / "predictions.zarr/shard", run / "shard")


@pytest.fixture
def results(tmp_path) -> Path:
    return tmp_path / "results"


def test_what_results_show_is_not_among_them_however_old(results):
    training(results, "a/base", "shown", age=50)
    other = training(results, "a/base", "other")
    show(results, "a/base", "shown")
    assert list(recipes.others(results)) == [other]


@pytest.mark.parametrize("damage", [None, "", "{}", "[]", '{"attributes": 3}'])
def test_while_a_variant_has_no_run_its_last_training_is_not_among_them(results, damage):
    other = training(results, "a/base", "other", age=50)
    training(results, "a/base", "going on")
    if damage is not None:
        (results / "runs/a/base/predictions.zarr").mkdir(parents=True)
        (results / "runs/a/base/predictions.zarr/zarr.json").write_text(damage)
    assert list(recipes.others(results)) == [other]


def test_what_they_hold_is_what_deleting_them_gives_back(results):
    other = training(results, "a/base", "other", 3_000_000)
    training(results, "a/base", "shown", 5_000_000)
    show(results, "a/base", "shown")
    os.link(other / "predictions.zarr/shard", results / "a copy of the user's")
    training(results, "b/base", "other", 2_000_000, age=50)
    training(results, "b/base", "going on")
    assert recipes.held(other) == 0
    assert ": 2 trainings of other recipes, kept in case they come back, 2.0 MB; " in recipes.summary(results)


def test_clearing_deletes_them_and_nothing_else(results):
    kept = [training(results, "a/base", "shown"), training(results, "b/base", "going on")]
    for variant in ("a/base", "b/base"):
        training(results, variant, "other", age=50)
    show(results, "a/base", "shown")
    recipes.clear(results)
    assert sorted(path.parent for path in results.glob("checkpoints/*/*/*/predictions.zarr")) == kept
    assert (results / "runs/a/base/predictions.zarr/shard").stat().st_size == 1000
    assert recipes.summary(results) is None


def test_without_results_there_are_none(results):
    assert list(recipes.others(results)) == []
    assert recipes.summary(results) is None
