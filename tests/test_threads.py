"""Threads of a job: as many as it was given, on any core."""

import os
import subprocess
import sys

import pytest
import zarr
from conftest import REPOSITORY, SMOKE

PLACES = """
import os
import sys
from fpkit.jobs.job import job
cores = os.sched_getaffinity(0)
with job(sys.argv[1], "places", 2, "train"):
    import torch
    torch.ones(2**20).sum()  # by threads of OpenMP, which are bound when the first of them begin
    assert os.sched_getaffinity(0) == cores, f"bound to {os.sched_getaffinity(0)} of {cores}"
    assert torch.get_num_threads() == 2
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core only")
@pytest.mark.parametrize(
    "binding",
    [
        {"OMP_PROC_BIND": "close"},
        {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"},
        {"OMP_PLACES": "threads"},
        {"GOMP_CPU_AFFINITY": "0"},
    ],
    ids=lambda binding: "+".join(binding),
)
def test_threads_are_not_bound_to_the_cores_of_another_job(tmp_path, binding):
    command = [sys.executable, "-c", PLACES, tmp_path / "log.txt"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | binding, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.workflow
def test_a_training_takes_the_threads_it_was_given_and_not_those_it_asked_for(project):
    overlay = project.overlay("experiments: {synthetic: {training: {threads: 16}}}")
    project.make("results/runs/synthetic/base", overlays=overlay)
    store = zarr.open_group(project / "results/runs/synthetic/base/predictions.zarr", mode="r")
    assert store.attrs["threads"] == 2  # of two cores
    assert "threads" not in store.attrs["recipe"]
    assert project.plan("results/runs/synthetic/base", overlays=(SMOKE,)) == set()
