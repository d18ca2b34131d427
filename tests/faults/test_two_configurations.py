"""Two configurations in one folder, in turn: none destroys what took the other long."""

import re
import subprocess
import sys

import pytest
from conftest import Project, environment, same_records

pytestmark = pytest.mark.workflow

FASTER = "experiments: {short: {training: {learning_rate: 0.01}}}\n"
RUN = "short/base"


def recipes(project: Project, *arguments: str) -> str:
    """What `make old` and `make clear-old` say."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "fpkit.jobs.recipes", *arguments],
        cwd=project.folder, env=environment() | {"PYTHONPATH": str(project.folder)},
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip


def test_one_configuration_then_another_then_the_first_again_trains_nothing_twice(small):
    (small / "faster.yaml").write_text(FASTER)
    first = small.predictions(RUN)
    assert "hold nothing" in recipes(small)
    (folder,) = (small / "results/checkpoints" / RUN).glob("*/state.npz")
    state = folder.read_bytes()

    done = small.make("figures", overlays=["faster.yaml"])
    (told,) = [line for line in done.stderr.splitlines() if "fpkit.jobs.recipes --clear" in line]
    assert folder.read_bytes() == state, "the other training is kept"
    other = small.predictions(RUN)
    assert not (other["prediction"].isel(step=-1) == first["prediction"].isel(step=-1)).all()
    listed = recipes(small)
    assert folder.parent.name in listed
    assert told in listed, "how much old recipes hold is said by every run"
    assert not re.search(r" 0\.0 kB", listed)

    small.make("figures", overlays=())
    assert not re.search(r"step \d+ of", small.log(f"runs/{RUN}.log")), "nothing was trained"
    same_records(small.predictions(RUN), first)
    assert small.plan(overlays=()) == set()

    kept = small / "results/checkpoints" / RUN
    assert len(list(kept.glob("*/state.npz"))) == 2
    recipes(small, "--clear")
    assert list(kept.glob("*/state.npz")) == [folder]
    assert "hold nothing" in recipes(small)
    same_records(small.predictions(RUN), first)
    assert small.plan(overlays=()) == set()


def test_the_report_of_what_is_there_never_trains(small):
    """Neither over another configuration's results, nor from nothing."""
    (small / "faster.yaml").write_text(FASTER)
    before = {path: path.stat().st_mtime_ns for path in sorted((small / "results").rglob("*")) if path.is_file()}
    refused = small.snakemake("report_inputs", "--quiet", "all", overlays=["faster.yaml"])
    assert refused.returncode == 1
    said = (refused.stdout + refused.stderr).splitlines()
    assert [line for line in said if not line.startswith("Using workflow specific profile")] == [
        "report: 5 jobs of this configuration are still to be done (train 1, decompose 1, judge_claims 1, plot 2); run"
        " `make figures` with it first, or report on the configuration of what is there (`make report CONFIG=...`)"
    ]
    assert before == {path: path.stat().st_mtime_ns for path in before}, "all is as it was"
    small.make("report_inputs", overlays=())
    small.make("--report", "results/report.html", "report_inputs", overlays=())
    assert (small / "results/report.html").stat().st_size > 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
