"""As many trainings at once as there are GPUs, each on its own; GPUs are here what a script in PATH lists."""

import os
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from fpkit.jobs import gpus

SWEEP = """
datasets:
  unknown: {kind: "presets.authors:target"}
  small: {kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}
  large: {kind: mnist}
experiments:
  short:
    dataset: unknown
    model: {kind: mlp, widths: [16]}
    training: {steps: 20, members: 2, device: DEVICE}
    record: {per_decade: 10}
    decomposition: {fft: {}}
    sweep: {training: {one: {seed_offset: 1}, two: {seed_offset: 2}, three: {seed_offset: 3}, four: {seed_offset: 4}}}
claims: {}
figures: {}
"""
NAMES = ["one", "two", "three", "four"]
RUNS = [f"results/runs/short/training~{name}" for name in NAMES]

without_gpus = pytest.mark.skipif(gpus.NVIDIA.is_dir(), reason="here are GPUs, and their number is theirs")


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """listed(count) puts an `nvidia-smi` in PATH that lists so many GPUs."""

    def listed(count: int) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        lines = "".join(f"echo 'GPU {n}: NVIDIA H100 80GB HBM3 (UUID: GPU-{n}f3a-11)'\n" for n in range(count))
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{lines}")
        (folder / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return listed


def at_once(terminal: str) -> int:
    """How many trainings Snakemake had running at once, at most."""
    running, most = 0, 0
    for line in terminal.splitlines():
        running += bool(re.match(r"(local)?rule train:", line)) - bool(re.match(r"Finished jobid: .*Rule: train", line))
        most = max(most, running)
    return most


CASES = {
    "two GPUs": (2, "auto", [], 2),
    "two GPUs, and told otherwise": (2, "auto", ["--resources", "gpu=3"], 3),
    "two GPUs, trained on the CPU": (2, "cpu", [], 4),
    "no GPU": (0, "auto", [], 4),
}


@without_gpus
@pytest.mark.workflow
@pytest.mark.parametrize("case", CASES)
def test_as_many_trainings_at_once_as_there_are_gpus(case, project, listed):
    count, device, arguments, expected = CASES[case]
    listed(count)
    (project / "config.yaml").write_text(SWEEP.replace("DEVICE", device))
    done = project.make(*RUNS, "--cores", "4", *arguments, overlays=())
    assert at_once(done.stderr) == expected
    logs = [project.log(f"runs/short/training~{name}.log") for name in NAMES]
    assert [bool(re.search("^on GPU [01]$", log, re.MULTILINE)) for log in logs] == [expected < 4] * 4


@without_gpus
@pytest.mark.workflow
@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("{dataset: small, model: {kind: mlp}, training: {steps: 100}, decomposition: {graph: {}}}", [0, 0]),
        ("{dataset: large, model: {kind: cnn}, training: {batch_size: 64}, decomposition: {graph: {}}}", [1, 1]),
        ("{dataset: large, model: {kind: cnn}, training: {batch_size: 64}, decomposition: {projection: {}}}", [0, 1]),
        ("{dataset: large, model: {kind: mlp, widths: [4]}, training: {steps: 9}, decomposition: {graph: {}}}", [1, 0]),
        ("{dataset: unknown, model: {kind: mlp}, training: {steps: 9}, decomposition: {fft: {}}}", [0, 1]),
    ],
)
def test_auto_asks_for_a_gpu_where_it_is_sooner_done_or_may_be(experiment, expected, project, listed):
    """Of `decompose` and of `train`."""
    listed(1)
    (project / "config.yaml").write_text(SWEEP.partition("experiments:")[0] + f"experiments: {{one: {experiment}}}\n")
    measure = re.search(r"decomposition: {(\w+)", experiment)[1]
    done = project.make(f"results/spectra/one/base/{measure}.nc", "--dry-run", overlays=())
    asked = dict(re.findall(r"^(?:local)?rule (\w+):$.*?gpu=(\d)", done.stdout, re.MULTILINE | re.DOTALL))
    assert [int(asked[rule]) for rule in ("decompose", "train")] == expected


@without_gpus
@pytest.mark.workflow
def test_a_training_that_must_have_a_gpu_asks_for_one(project, listed):
    listed(2)
    (project / "config.yaml").write_text(SWEEP.replace("DEVICE", "cuda"))
    done = project.make(*RUNS, "--dry-run", overlays=())
    assert sorted(re.findall(r"gpu=(\d)", done.stdout)) == ["0", "1", "1", "1", "1"]


@pytest.mark.workflow
def test_a_cluster_knows_its_own_gpus(project, listed):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    listed(2)
    (project / "config.yaml").write_text(SWEEP.replace("DEVICE", "auto"))
    done = project.make(*RUNS, "--dry-run", "--profile", "profiles/slurm", overlays=())
    assert re.findall(r"gpu=(\d)", done.stdout) == ["0"] * 5


@without_gpus
def test_each_process_takes_the_gpu_that_fewest_others_have(listed):
    """And a process that is killed has none."""
    listed(2)
    holders: list[subprocess.Popen] = []

    def taken() -> str:
        code = "from fpkit.jobs import gpus; print(gpus.take(), flush=True); input()"
        holders.append(subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, cwd=REPOSITORY))
        return holders[-1].stdout.readline().strip()

    try:
        assert [taken() for _ in range(4)] == ["0", "1", "0", "1"]
        holders[1].kill()
        holders[1].wait()
        assert taken() == "1"
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


@without_gpus
@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["0"]),
        ("GPU-1f3a", ["GPU-1f3a"]),
    ],
)
def test_what_is_visible_is_as_cuda_reads_it(visible, expected, listed, monkeypatch):
    listed(2)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.visible() == expected


def test_no_gpu_is_visible_where_none_is(listed, monkeypatch, tmp_path):
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path / "none")
    monkeypatch.setattr(gpus, "AMD", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus.visible() == []
    assert gpus.take() is None
    for node, number in enumerate(("0", "4098", "4099")):  # the first is a processor
        (tmp_path / f"nodes/{node}").mkdir(parents=True)
        (tmp_path / f"nodes/{node}/gpu_id").write_text(f"{number}\n")
    monkeypatch.setattr(gpus, "AMD", tmp_path / "nodes")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus.visible() == ["0", "1"]
    monkeypatch.setattr(gpus, "NVIDIA", tmp_path / "nodes")
    assert gpus.visible() == ["0", "1", "2"]
