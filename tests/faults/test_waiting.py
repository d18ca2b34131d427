"""What happens while jobs wait: files are edited, and other machines have other files."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import yaml
from conftest import JOB_SECONDS, Project, environment, planned_jobs, wait_until

from fpkit.datasets import files

pytestmark = pytest.mark.workflow

NONE_ABSENT = '{"results": []}'
RUN = "results/runs/short/base"
EDITED = "was edited after this job was planned; nothing was done, run again"


def plan(project: Project, *targets: str) -> dict[str, str]:
    """Plan the targets, and end before their jobs do: what the environment hands on to jobs elsewhere."""
    snakemake = project.start(*targets, overlays=())
    (file,) = wait_until(lambda: list((project / ".snakemake/plans").glob("*.json")), "a plan")
    wait_until(lambda: file.read_text().endswith("}"), "the whole of it")
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    project.snakemake("--unlock", overlays=())
    return {"FPKIT_ABSENT": NONE_ABSENT, "FPKIT_PLAN": str(file.relative_to(project.folder))}


def elsewhere(project: Project, job: str, **handed_on: str) -> subprocess.CompletedProcess:
    """Run `rule:wildcard=value,...` as an executor has it run on another machine, which reads the workflow again."""
    command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", "Snakefile", "--target-jobs", job]
    command += ["--allowed-rules", job.partition(":")[0], "--cores", "1", "--attempt", "1", "--force-use-threads"]
    command += ["--force", "--target-files-omit-workdir-adjustment", "--no-hooks", "--nolock", "--ignore-incomplete"]
    return subprocess.run(
        [*command, "--mode", "remote"], cwd=project.folder, env=environment() | handed_on,
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=JOB_SECONDS,
    )  # fmt: skip


def refused(project: Project, done: subprocess.CompletedProcess, name: str, log: str, what: str) -> None:
    line = f"{name}: {what} {EDITED}"
    assert done.returncode != 0
    assert project.log(log) == f"{line}\n"
    assert line in done.stderr.splitlines()


def test_a_job_elsewhere_that_would_do_something_else_refuses(small):
    shutil.rmtree(small / RUN)
    handed_on = plan(small, RUN)
    small.edit("config.yaml", "steps: 100,", "steps: 100, learning_rate: 0.01,")
    done = elsewhere(small, "train:experiment=short,variant=base", **handed_on)
    refused(small, done, "train short/base", "runs/short/base.log", "config.yaml, or a file laid over it,")
    assert not (small / RUN).exists()
    small.make("figures", overlays=())
    assert json.loads(small.predictions("short/base").attrs["recipe"])["training"]["learning_rate"] == 0.01


def test_a_job_elsewhere_goes_on_where_what_was_edited_is_not_its_own(small):
    shutil.rmtree(small / RUN)
    handed_on = plan(small, RUN)
    small.edit("config.yaml", "claims: {kind: claims}", "claims: {kind: claims, style: {font_size: 9}}")
    small.append("fpkit/figures/style.py", "\nEDITED = True\n")
    small.append("fpkit/training/trainer.py", "\n# a comment\n")
    done = elsewhere(small, "train:experiment=short,variant=base", **handed_on)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small / RUN).exists()


def test_code_that_is_edited_while_jobs_wait_makes_nothing_under_the_old_name(small):
    """Here, where the configuration is read once; the others go on."""
    small.edit("config.yaml", "steps: 100,", "steps: 120,")
    (small / "results/logs/runs/short/base.log").unlink()
    snakemake = small.start("figures", "--cores", "1", overlays=())
    wait_until(lambda: small.log("runs/short/base.log"), "the training to begin")
    small.append("fpkit/figures/kinds/synthetic.py", "\nEDITED = True\n")
    assert snakemake.wait(timeout=JOB_SECONDS) == 1
    terminal = (small / "terminal.txt").read_text()
    line = f"figures.short: its code {EDITED}"
    assert line in terminal.splitlines()
    assert small.log("figures/short.log") == f"{line}\n"
    for done in (RUN, "results/spectra/short/base/fft.nc", "results/figures/claims.svg"):
        assert (small / done).exists()
    assert list((small / ".snakemake/plans").iterdir()) == []
    assert small.plan(overlays=()) == {"plot short", "figures"}
    small.make("figures", overlays=())


def test_a_job_whose_plan_is_gone_refuses(small):
    done = elsewhere(
        small, "train:experiment=short,variant=base", FPKIT_ABSENT=NONE_ABSENT, FPKIT_PLAN=".snakemake/plans/none.json"
    )
    assert done.returncode != 0
    line = "train short/base: cannot read what was planned (.snakemake/plans/none.json); run again"
    assert small.log("runs/short/base.log") == f"{line}\n"


# --- data sets that are optional --------------------------------------------------------------------------------------

OPTIONAL = """
datasets:
  fashion: {kind: fashion_mnist, optional: true, path: files, limit: 40}
experiments:
  images:
    dataset: fashion
    model: {kind: mlp, widths: [8]}
    training: {steps: 20, members: 2}
    decomposition: {projection: {permutations: 20, frequencies: [1]}}
claims:
  order_images:
    statement: Low first.
    source: Here
    experiment: images
    measure: projection
    statistic: area_order
    bound: {at_least: 0}
"""
LEFT_OUT = "datasets.fashion: optional, and its files are not on this machine; left out: images/base"
IMAGES = {"train images/base", "decompose images/base/projection"}


@pytest.fixture
def optional(small) -> Project:
    """With an experiment on a data set that is optional, and not here."""
    (small / "config.yaml").write_text(yaml.safe_dump(merged(yaml.safe_load((small / "config.yaml").read_text()))))
    return small


def merged(config: dict) -> dict:
    return config | {table: config[table] | entries for table, entries in yaml.safe_load(OPTIONAL).items()}


def put_files(project: Project) -> None:
    (project / "files").mkdir()
    for name in files.SHA256["fashion_mnist"]:
        (project / "files" / name).touch()


def test_a_data_set_left_out_when_planned_is_left_out_by_every_job(optional):
    """Though its files are on the machine that runs the job."""
    planned = optional.make("--dry-run", "results/claims.csv", overlays=())
    assert planned.stderr.splitlines().count(LEFT_OUT) == 1
    assert planned_jobs(planned.stdout) == {"judge_claims"}, "of which there is one more, about nothing"
    put_files(optional)
    assert IMAGES | {"make_dataset fashion", "judge_claims"} == optional.plan("results/claims.csv", overlays=())
    done = elsewhere(optional, "judge_claims:", FPKIT_ABSENT='{"results": ["fashion"]}')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out" not in done.stderr, "it was said once"
    assert "order_images" not in (optional / "results/claims.csv").read_text()


def test_a_data_set_there_when_planned_is_there_for_every_job(optional):
    """Though its files are not on the machine that runs the job; and one that is made is there."""
    shutil.copy(optional / "results/datasets/sines.nc", optional / "results/datasets/fashion.nc")
    planned = optional.make("--dry-run", "results/claims.csv", overlays=())
    assert "left out" not in planned.stderr
    assert planned_jobs(planned.stdout) == IMAGES | {"judge_claims"}
    (optional / "results/datasets/fashion.nc").rename(optional / "results/datasets/elsewhere.nc")
    done = elsewhere(optional, "make_dataset:dataset=fashion", FPKIT_ABSENT=NONE_ABSENT)
    assert done.returncode != 0
    (line,) = optional.log("datasets/fashion.log").splitlines()
    assert line.startswith("datasets.fashion: "), "the file it lacks"
    (optional / "results/datasets/elsewhere.nc").rename(optional / "results/datasets/fashion.nc")
    done = elsewhere(optional, "train:experiment=images,variant=base", FPKIT_ABSENT=NONE_ABSENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (optional / "results/runs/images/base").exists()
