"""`snakemake --profile profiles/slurm` on a real Slurm: jobs on several nodes, and every way in which it loses one."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest
from conftest import JOB_SECONDS, SMOKE, Project, copy_sources, environment, environment_in, same_records
from faults.test_failures import MINE

from .slurm import GPU_NODE, NODES, Slurm

# A training that lasts a few seconds on any machine, and so has checkpoints.
CONFIGURATION = """
datasets:
  sines: {kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}
experiments:
  long:
    dataset: sines
    model: {kind: mlp, widths: [32, 32]}
    training: {steps: 1000000, members: 3, batch_size: 20}
    record: {per_decade: 20}
    decomposition: {fft: {}}
"""
# Two data sets that cannot be made.
FAILING = """
datasets:
  mistaken: {kind: "mine:build", options: {how: mistaken, times: 99}}
  killed: {kind: "mine:build", options: {how: killed, times: 99}}
experiments:
  long: {dataset: killed, model: {kind: mlp, widths: [8]}, training: {steps: 9}, decomposition: {fft: {}}}
"""
RUN, LOG = "results/runs/long/base", "runs/long/base.log"


class ClusterProject(Project):
    """A project whose jobs go to Slurm; the profile as it is shipped, only asked more often how they are."""

    def command(self, *arguments: str, overlays=()) -> list[str]:
        command = super().command(
            "--profile", "profiles/slurm",
            "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
            *arguments, overlays=overlays,
        )  # fmt: skip
        cores = command.index("--cores")  # of this machine, which runs no jobs
        return command[:cores] + command[cores + 2 :]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Project:
    """The training, run without Slurm to its end."""
    project = copy_sources(tmp_path_factory.mktemp("undisturbed"))
    (project / "config.yaml").write_text(CONFIGURATION)
    project.make(RUN, overlays=())
    return project


class Held:
    """A training sent to Slurm, at the moment when it has a checkpoint; it is suspended, and waits for its fate."""

    def __init__(self, slurm: Slurm, folder: Path):
        self.slurm, self.project = slurm, ClusterProject(copy_sources(folder).folder)
        (self.project / "config.yaml").write_text(CONFIGURATION)
        self.snakemake = self.project.start(RUN, overlays=())
        self.training = slurm.wait_until(self._training, "the training to have a checkpoint")
        self.training.suspend()
        self.job = self.training.environ()["SLURM_JOB_ID"]
        self.dataset_written = (self.project / "results/datasets/sines.nc").stat().st_mtime_ns
        assert not (self.project / RUN).exists()

    def _training(self) -> psutil.Process | None:
        assert self.snakemake.poll() is None, self.said()
        if not list((self.project / "results/checkpoints/long/base").glob("*/state.npz")):
            return None
        for process in psutil.process_iter():
            try:
                # Between the two stands a shell, whose last argument is the whole command line.
                command = process.cmdline() or [""]
                runs_script = Path(command[0]).name.startswith("python") and command[-1].endswith(".train.py")
                if runs_script and process.cwd() == str(self.project.folder):
                    return process
            except psutil.Error:
                continue
        return None

    def said(self) -> str:
        return (self.project / "terminal.txt").read_text()

    def ends_well(self, undisturbed: Project) -> None:
        """Snakemake, left alone, goes on from the checkpoint to the same numbers; nothing finished was redone."""
        assert self.snakemake.wait(timeout=JOB_SECONDS) == 0, self.said()
        assert not self.training.is_running() or self.training.status() == psutil.STATUS_ZOMBIE
        assert re.search(r"continuing from step [1-9]", self.project.log(LOG)), self.project.log(LOG)
        same_records(self.project.predictions("long/base"), undisturbed.predictions("long/base"))
        assert (self.project / "results/datasets/sines.nc").stat().st_mtime_ns == self.dataset_written
        assert Project(self.project.folder).plan(RUN, overlays=()) == set(), "the same results, seen without Slurm"


def test_smoke_preset_runs_on_several_nodes(slurm, tmp_path, tell):
    project = ClusterProject(copy_sources(tmp_path / "project").folder)
    before = len(slurm.completed())
    snakemake = project.start("figures", "--set-resources", "train:gpu=1", overlays=(SMOKE,))
    assert snakemake.wait(timeout=3 * JOB_SECONDS) == 0, (project / "terminal.txt").read_text()
    jobs = slurm.completed()[before:]
    nodes = Counter(job["NodeList"] for job in jobs)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert len(nodes) > 1
    assert set(nodes) <= set(NODES)
    on_gpus = [job["NodeList"] for job in jobs if "TresPerJob" in slurm.job(job["JobId"])]
    assert on_gpus == [GPU_NODE] * 3, "every training got the GPU that the profile asked for, nothing else did"
    for figure in ("synthetic", "projection", "filtering"):
        assert (project / f"results/figures/{figure}.svg").stat().st_size > 0
    assert (project / "results/claims.csv").exists()
    assert Project(project.folder).plan() == set(), "the same results, seen without Slurm"
    tell("jobs seen on nodes: " + ", ".join(f"{node} {count}" for node, count in sorted(nodes.items())))


def test_a_training_that_ran_out_of_time_gets_more_and_goes_on(slurm, tmp_path, undisturbed):
    held = Held(slurm, tmp_path / "project")
    asked = held.slurm.job(held.job)["TimeLimit"]
    slurm.run("scontrol", "update", f"JobId={held.job}", "TimeLimit=1")
    held.ends_well(undisturbed)
    states = {job["JobId"]: job for job in slurm.completed()}
    assert states[held.job]["JobState"] == "TIMEOUT"
    assert asked == "04:00:00"
    assert asked_for("runtime", held.said()) == [240, 480]
    assert asked_for("mem_mb", held.said()) == [8000, 8000], "memory was not short"


def test_a_cancelled_training_is_submitted_again_and_goes_on(slurm, tmp_path, undisturbed):
    held = Held(slurm, tmp_path / "project")
    slurm.run("scancel", held.job)
    held.ends_well(undisturbed)
    assert [job["JobState"] for job in slurm.completed() if job["JobId"] == held.job] == ["CANCELLED"]


def asked_for(resource: str, said: str) -> list[int]:
    """What each submission of the training asked for."""
    blocks = re.findall(r"^rule train:\n(?:    .*\n)*", said, re.MULTILINE)
    return [int(re.search(rf"resources: .*\b{resource}=(\d+)", block)[1]) for block in blocks]


def test_what_failed_is_submitted_again_where_that_can_help_with_more_of_what_was_short(slurm, tmp_path):
    """One data set with a user's mistake, and one that is killed, where the rule asks for 4000 MB and 30 minutes."""
    project, before = ClusterProject(copy_sources(tmp_path / "project").folder), len(slurm.completed())
    (project / "mine.py").write_text(MINE)
    (project / "config.yaml").write_text(FAILING)
    limits = ("--resources", "mem_mb=6000", "runtime=20")
    targets = [f"results/datasets/{name}.nc" for name in ("mistaken", "killed")]
    assert project.start(*targets, *limits, overlays=()).wait(timeout=JOB_SECONDS) == 1

    asked = [(slurm.job(job["JobId"])["MinMemoryNode"], job["TimeLimit"]) for job in slurm.completed()[before:]]
    assert sorted(asked) == [("4000M", "20"), ("4000M", "20"), ("6000M", "20")]
    assert (project / "attempts.txt").read_text().split().count("mistaken") == 1, "it would fail the same way"
    assert "no such thing" in project.log("datasets/mistaken.log")
    said = (project / "terminal.txt").read_text()
    lines = [line for line in said.splitlines() if line.startswith("datasets.killed: ")]
    assert len(lines) == 2, "a third would get what the second had"
    assert lines[0].startswith("datasets.killed: killed, or crashed, without a word; if for its memory: lower its sam")
    assert project.log("datasets/killed.log").splitlines() == lines[1:]


def test_a_requeued_training_goes_on(slurm, tmp_path, undisturbed):
    """What preemption comes to: the same job starts again, later and perhaps elsewhere."""
    held = Held(slurm, tmp_path / "project")
    slurm.run("scontrol", "requeue", held.job)
    slurm.wait_until(lambda: slurm.job(held.job)["Restarts"] == "1", "the job to start again")
    held.ends_well(undisturbed)
    assert "Trying to restart" not in held.said(), "it was Slurm that did"


def test_a_training_whose_node_goes_down_goes_on_elsewhere(slurm, tmp_path, undisturbed):
    held = Held(slurm, tmp_path / "project")
    node = slurm.job(held.job)["NodeList"]
    slurm.kill_node(node)
    try:
        slurm.wait_until(lambda: slurm.state(node).startswith("DOWN"), "the node to be missed")
        held.ends_well(undisturbed)
        assert slurm.job(held.job)["NodeList"] != node
    finally:
        slurm.start_node(node)
        slurm.wait_until(lambda: slurm.state(node) == "IDLE", "the node to come back")


def test_a_configuration_edited_while_a_job_waits_makes_it_refuse(slurm, tmp_path):
    """Each job reads the configuration again, on its node."""
    project = ClusterProject(copy_sources(tmp_path / "project").folder)
    (project / "config.yaml").write_text(CONFIGURATION)
    snakemake = project.start(RUN, "--retries", "0", overlays=())
    slurm.wait_until(lambda: "submitted with SLURM jobid" in (project / "terminal.txt").read_text(), "a job")
    project.edit("config.yaml", "batch_size: 20", "batch_size: 20, learning_rate: 0.01")
    assert snakemake.wait(timeout=JOB_SECONDS) == 1
    assert (project / "results/datasets/sines.nc").exists(), "which does not depend on it"
    assert project.log(LOG) == (
        "train long/base: config.yaml, or a file laid over it, was edited after this job was planned; nothing was done,"
        " run again\n"
    )
    assert not (project / RUN).exists()
    assert Project(project.folder).plan(RUN, overlays=()) == {"train long/base"}


def test_a_folder_whose_name_a_shell_would_take_apart(slurm, tmp_path):
    project = ClusterProject(copy_sources(tmp_path / "My Projects/user's work & co (é)").folder)
    (project / "config.yaml").write_text(CONFIGURATION)
    python = environment_in(project.folder) / "bin/python"
    (project / "more.yaml").write_text("datasets: {sines: {samples: 64}}\n")
    done = subprocess.run(
        [python, *project.command("results/datasets/sines.nc", overlays=["more.yaml"])[1:]],
        cwd=project.folder, env=environment(), capture_output=True, text=True, timeout=JOB_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results/datasets/sines.nc").stat().st_size > 0


def test_a_folder_whose_name_does_not_reach_a_job_is_one_line(slurm, tmp_path):
    project = ClusterProject(copy_sources(tmp_path / "work in $HOME").folder)
    (project / "config.yaml").write_text(CONFIGURATION)
    done = project.snakemake("results/datasets/sines.nc", overlays=())
    assert done.returncode == 1
    line = f"{project.folder}: '$' does not reach jobs elsewhere; rename the folder, or run without this profile"
    assert line in done.stderr.splitlines()
    assert "submitted" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
