"""What is asked for on the command line and cannot be made: one line with the nearest name, and nothing is planned."""

import re

import pytest
from conftest import REPOSITORY, Project, copy_sources, planned_jobs

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("targets")]

CONFIGURATION = """
datasets:
  sines: {kind: sines, frequencies: [1, 2], samples: 32, test_samples: 16}
experiments:
  short:
    dataset: sines
    model: {kind: mlp, widths: [4]}
    training: {steps: 10, members: 2}
    decomposition: {fft: {}}
  swept:
    dataset: sines
    model: {kind: mlp, widths: [4]}
    training: {steps: 10, members: 2}
    decomposition: {fft: {}}
    sweep: {model.activation: [tanh, relu]}
figures:
  short: {kind: synthetic, experiment: short}
  moving: {kind: animation, experiment: short}
  known: {kind: calibration}
"""
NEAREST = {
    "results/figures/shrt.svg": "results/figures/short.svg",
    "results/figures/short.gif": "results/figures/short.svg",
    "results/figures/moving.svg": "results/figures/moving.gif",
    "results/runs/short/bsae": "results/runs/short/base",
    "results/runs/swept/base": "results/runs/short/base",
    "results/runs/short/activation~tanh": "results/runs/swept/activation~tanh",
    "results/datasets/sine.nc": "results/datasets/sines.nc",
    "results/spectra/short/base/ftt.nc": "results/spectra/short/base/fft.nc",
    "results/spectra/short/base/projection.nc": "results/spectra/short/base/fft.nc",
    "results/claims.cvs": "results/claims.csv",
    "results/report/animations/movin.html": "results/report/animations/moving.html",
    "results/benchmarks/trainin.csv": "results/benchmarks/training.csv",
    "figurs": "figures",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Project:
    """A configuration of which nothing was ever made. Shared: look, do not touch."""
    project = copy_sources(tmp_path_factory.mktemp("targets") / "project")
    (project / "config.yaml").write_text(CONFIGURATION)
    return project


def refused(project: Project, *arguments: str) -> list[str]:
    """The lines that say which targets are none; beside them Snakemake says nothing but its profile."""
    done = project.snakemake(*arguments, overlays=())
    assert done.returncode == 1, done.stdout + done.stderr
    assert not (project / "results").exists()
    said = (done.stdout + done.stderr).splitlines()
    return [line for line in said if line and not line.startswith("Using workflow specific profile")]


def test_every_mistyped_target_is_one_line_with_the_nearest_name_and_nothing_is_run(tiny):
    lines = refused(tiny, *NEAREST, "results/figures/short.svg")
    assert lines == [
        f"{wrong}: is no target; did you mean {near!r}? (`snakemake --summary` lists the files)"
        for wrong, near in sorted(NEAREST.items())
    ]


def test_one_that_is_like_nothing_is_one_line_too(tiny):
    assert refused(tiny, "--dry-run", "zzz") == ["zzz: is no target (`snakemake --summary` lists the files)"]


@pytest.mark.parametrize("option", ["--forcerun", "--until", "--omit-from"])
def test_options_that_name_rules_or_files_are_looked_at_too(option, tiny):
    lines = refused(tiny, "--dry-run", "figures", option, "decompos", "results/figures/shrt.svg")
    assert [line.split(" (")[0] for line in lines] == [
        "decompos: is no target; did you mean 'decompose'?",
        "results/figures/shrt.svg: is no target; did you mean 'results/figures/short.svg'?",
    ]


def test_an_absolute_path_is_told_how_to_be_written(tiny):
    path = f"{tiny.folder}/results/claims.csv"
    (line,) = refused(tiny, "--dry-run", path)
    assert line.startswith(f"{path}: is no target; did you mean 'results/claims.csv'?")


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        (("./results/datasets/sines.nc",), {"make_dataset sines"}),
        (("results/runs/short/base/",), {"make_dataset sines", "train short/base"}),
        (("figures", "--until", "make_dataset"), {"make_dataset sines"}),
        (("--forcerun", "make_dataset", "--", "results/datasets/sines.nc"), {"make_dataset sines"}),
        (("results/report/animations/moving.html", "--omit-from", "decompose"), {"make_dataset sines",
                                                                                 "train short/base"}),
    ],
)  # fmt: skip
def test_what_can_be_made_is_planned_as_before(arguments, jobs, tiny):
    done = tiny.snakemake("--dry-run", *arguments, overlays=())
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned_jobs(done.stdout) == jobs


def test_every_file_that_a_rule_makes_is_a_target(tiny):
    """A rule whose files are forgotten in workflow/rules/targets.smk would be refused."""
    text = "".join(path.read_text() for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")))
    outputs = {
        output
        for block in re.findall(r"^    output:\n((?:        .*\n)+)", text, re.MULTILINE)
        for output in re.findall(r'"(results/[^"]+)"', block)
    }
    assert {"results/claims.csv", "results/runs/{experiment}/{variant}"} <= outputs
    values = {"dataset": "sines", "experiment": "short", "variant": "base", "measure": "fft", "benchmark": "training"}
    values["format"] = "svg"
    targets = []
    for output in outputs:
        figure = "moving" if output.endswith(".gif") or "animations" in output else "short"
        figure = "known" if "calibration" in output else figure
        targets.append(output.format_map(values | {"figure": figure}))
    done = tiny.snakemake("--dry-run", *targets, overlays=())
    assert done.returncode == 0, done.stdout + done.stderr
