"""What the benchmarks measure is what production does, against peers that compute the same."""

import csv
import shutil

import numpy as np
import pytest
import threadpoolctl
import torch
from conftest import REPOSITORY

from benchmarks import filtering, measure, networks, pipeline, training
from fpkit.store.schedule import record_steps
from fpkit.training import networks as fpkit_networks
from fpkit.training import trainer


class Sink:
    """Takes records, and keeps none."""

    records = 0

    def append(self, step, prediction, **scores):
        self.records += 1

    def flush(self):
        pass

    def truncate(self, records):
        self.records = records


CASE = training.cases([(2, [16], 32, 1, 1, None, "adam")])[0] | {"threads": 1, "device": "cpu"}
BATCHES = CASE | {"samples": 40, "features": 3, "outputs": 2, "batch_size": 8}
CNN = BATCHES | {"features": (2, 6, 5), "channels": [3, 4], "widths": [5]}
RESIDUAL = BATCHES | {"features": (1, 6, 5), "channels": [3], "blocks": 2, "widths": []}
ENCODER = BATCHES | {"features": (2, 6, 4), "widths": [], "encoder": (2, 8, 2, 2)}


def test_updates_are_called_for_as_in_a_training(monkeypatch):
    """Each up to a record, and for at most as many as a training takes at once."""
    seen = []

    def build(*arguments, **options):
        ensemble = made(*arguments, **options)
        advance = ensemble.advance
        monkeypatch.setattr(
            ensemble, "advance", lambda start, stop, **more: (seen.append((start, stop)), advance(start, stop, **more))
        )
        return ensemble

    made = trainer.build
    monkeypatch.setattr(trainer, "build", build)
    model = {"kind": "mlp", "widths": [4], "activation": "tanh", "initialization": "scaled", "std": 0.1}
    x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    trainer.train(
        model, {"x_train": x, "y_train": x}, Sink(), optimizer="adam", learning_rate=1e-3, momentum=0.0,
        nesterov=False, batch_size=None, loss="mse", steps=training.WHOLE_RUN, members=1, seed_offset=0, device="cpu",
        threads=1, per_decade=50, split="train",
    )  # fmt: skip
    records = [int(step) for step in record_steps(training.WHOLE_RUN, 50)]
    assert training.calls(0, training.WHOLE_RUN, records) == seen
    assert max(stop - start for start, stop in seen) == trainer.STEPS_TOGETHER


@pytest.mark.parametrize("case", [CASE, BATCHES, BATCHES | {"algorithm": "adamw"}, CNN, RESIDUAL, ENCODER])
@pytest.mark.parametrize("contender", [training.ours, training.loop])
def test_every_contender_trains_whole_sets_and_mini_batches(contender, case):
    contender(case)()


@pytest.mark.parametrize("case", [BATCHES, CNN, RESIDUAL, ENCODER])
def test_the_network_of_the_loop_is_that_of_fpkit(case):
    """As many parameters, and as many outputs."""
    built = fpkit_networks.build(features=networks.features(case), outputs=2, **networks.model(case))
    numbers = sum(parameter[0].numel() for parameter in built.initialize([0]))
    assert sum(parameter.numel() for parameter in networks.in_torch(case).parameters()) == numbers


def test_two_runs_are_not_taken_for_a_slow_one():
    begins, ends = [0.0, 1.0, 2.0, 500.0], [3.0, 9.0, 4.0, 510.0]
    assert pipeline.longest_gap(begins[:3], ends[:3]) == 0
    assert pipeline.longest_gap(begins, ends) == 491


@pytest.mark.parametrize("kind", [*pipeline.IMPORTS, "fft", "filtering", "graph", "projection"])
def test_a_job_that_has_nothing_to_do_is_timed(kind):
    assert pipeline.start_seconds(kind, 1) > 0


def test_imports_and_plans_are_timed(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert len(pipeline.import_seconds(1)) == len(pipeline.plan_seconds(2, 1)) == 1


def test_cases_hold_the_mini_batches_of_the_configuration():
    cases = [case for case in training.cases(training.GRID) if case["batch_size"] and isinstance(case["features"], int)]
    found = {(c["members"], *c["widths"], c["samples"], c["features"], c["batch_size"]) for c in cases}
    assert found == {
        (8, 64, 64, 64, 100, 1, 25), (6, 200, 100, 1437, 64, 256), (10, 200, 200, 200, 100, 60_000, 784, 128),
    }  # fmt: skip


def test_the_dense_peer_of_the_filter_computes_in_the_precision_of_fpkit(monkeypatch):
    case = {"samples": 60, "steps": 2, "widths": 3, "threads": 1, "device": "cpu"}
    seen = []
    monkeypatch.setattr(np, "exp", lambda x, exp=np.exp, **to: (seen.append(x.dtype), exp(x, **to))[1])
    filtering.dense(case)()
    assert seen == [np.dtype(np.float32)] * 3
    assert filtering.ours(case)().dtype.itemsize >= 4


@pytest.mark.parametrize("rate", [measure.gemm_rate, measure.exp_rate, measure.bandwidth])
def test_floors_are_of_the_threads_that_contenders_have(monkeypatch, rate):
    """Whatever a workflow's rule lets its jobs have."""
    seen, before, clock = set(), torch.get_num_threads(), measure.time.perf_counter
    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")

    def noticed() -> float:
        seen.update({torch.get_num_threads(), *(library.num_threads for library in blas.lib_controllers)})
        return clock()

    monkeypatch.setattr(measure.time, "perf_counter", noticed)
    try:
        torch.set_num_threads(1)
        rate(3, size=64)
    finally:
        torch.set_num_threads(before)
    assert seen == {3}


def test_tables_carry_machine_versions_and_the_code_that_was_measured(tmp_path):
    measure.write(tmp_path / "table.csv", [{"row": "goal", "value": 1}, {"row": "measurement", "case": "a"}])
    with open(tmp_path / "table.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    for row in rows:
        assert row["code"] == measure.code()
        assert all(row[name] for name in ("machine", "cores", "python", "numpy", "torch"))


def test_other_code_has_another_digest_and_a_comment_has_not(tmp_path, monkeypatch):
    before = measure.code()
    for text, same in (("", True), ("\n# a comment\n", True), ("\nSTEPS = 7\n", False)):
        folder = tmp_path / str(len(text))  # hashes of a path are kept
        shutil.copytree(REPOSITORY / "benchmarks", folder, ignore=shutil.ignore_patterns("__pycache__"))
        script = folder / "training.py"
        script.write_text(script.read_text() + text)
        monkeypatch.setattr(measure, "__file__", str(folder / "measure.py"))
        assert (measure.code() == before) == same
