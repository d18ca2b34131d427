"""The workflow, run for real: what is planned after a change, what is said when something is wrong."""

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from conftest import REPOSITORY, SMOKE, Project, copy_sources, planned_jobs, same_records

from fpkit.datasets import files
from fpkit.store.schedule import record_steps

pytestmark = pytest.mark.workflow

# Every job of the smoke preset, by the experiment that needs it.
IMAGES = ["images/dataset~digits+model~mlp", "images/dataset~digits+model~cnn"]
SYNTHETIC_CHAIN = {"train synthetic/base", "decompose synthetic/base/fft", "plot synthetic"}
IMAGES_CHAIN = {
    *(f"train {variant}" for variant in IMAGES),
    *(f"decompose {variant}/{measure}" for variant in IMAGES for measure in ("projection", "filtering")),
    *("plot projection", "plot filtering"),
}
DATASETS = {"make_dataset sines", "make_dataset digits"}
ENDS = {"judge_claims", "figures"}
ALL = DATASETS | SYNTHETIC_CHAIN | IMAGES_CHAIN | ENDS


def jobs_of(*rules: str) -> set[str]:
    return {job for job in ALL if job.split()[0] in rules}


# --- what a change plans ----------------------------------------------------------------------------------------------


def test_a_fresh_checkout_plans_everything(project):
    assert project.plan() == ALL


def test_a_target_stands_before_the_configuration_or_behind_two_dashes_and_none_is_all_figures(project):
    overlays = "--configfile", SMOKE
    places = ("figures", *overlays), (f"--configfile={SMOKE}", "figures"), (*overlays, "--", "figures"), overlays
    for arguments in places:
        assert planned_jobs(project.make("--dry-run", *arguments, overlays=()).stdout) == ALL, arguments


def test_the_workflow_runs_from_other_folders(project, tmp_path):
    """Its own Snakefile, from beside it, and in a folder that is named: the configuration is that of the folder."""
    (tmp_path / "sister").mkdir()
    sister = Project(tmp_path / "sister")
    shutil.copy(project / "config.yaml", sister.folder)
    overlay = (project / SMOKE,)
    assert sister.plan("figures", "--snakefile", "../project/Snakefile", overlays=overlay) == ALL
    assert sister.plan("figures", "--snakefile", "../project/workflow/Snakefile", overlays=overlay) == ALL
    assert project.plan("figures", "--directory", "../sister", overlays=overlay) == ALL
    (sister / "config.yaml").unlink()
    assert (
        sister.plan("figures", "--snakefile", "../project/Snakefile", overlays=(project / "config.yaml", *overlay))
        == ALL
    )
    done = sister.snakemake("--snakefile", "../project/Snakefile", overlays=())
    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines()[-1] == "config.yaml: No such file or directory"


def test_snakemake_looks_for_jobs_when_one_has_ended_and_not_ever_more_often(project):
    looked = "Resources before job selection"
    ours = project.make("figures", "--verbose").stderr.count(looked)
    assert ours <= 2 * len(ALL)
    limited = project.make("figures", "--verbose", "--forceall", "--max-jobs-per-timespan", "99/1s")
    assert limited.stderr.count(looked) > ours, "of its own accord; what workflow/Snakefile does is needed no more"


def test_nothing_to_do_after_a_full_run(finished_run):
    assert finished_run.plan() == set()


def test_other_resources_plan_nothing_and_another_device_does(finished):
    assert finished.plan("figures", "--set-resources", "train:mem_mb=9999", "train:runtime=99", "train:gpu=1") == set()
    gpu = finished.overlay("experiments: {synthetic: {training: {device: cpu}}}\n")
    assert {job for job in finished.plan(overlays=gpu) if job.startswith("train")} == {"train synthetic/base"}


def test_without_the_default_profile_a_touched_script_plans_what_it_made(finished):
    """As `docs/cluster.md` says of `--workflow-profile`, which takes its place."""
    other = finished / "profiles/other"
    other.mkdir()
    (other / "config.yaml").write_text("keep-going: true\n")
    assert finished.plan("figures", "--workflow-profile", "profiles/other") == set()
    (finished / "workflow/scripts/train.py").touch()
    assert finished.plan() == set()
    planned = finished.plan("figures", "--workflow-profile", "profiles/other")
    assert "train synthetic/base" in planned


def test_the_profile_for_slurm_plans_the_same(project, finished):
    """It adds to profiles/default, whose triggers go on to hold: a touched script plans nothing."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    slurm = ("figures", "--profile", "profiles/slurm")
    assert project.plan(*slurm) == ALL
    assert finished.plan(*slurm) == set()
    (finished / "workflow/scripts/plot.py").touch()
    assert finished.plan(*slurm) == set()


def test_a_line_of_the_configuration_plans_its_own_chain(finished):
    finished.edit(
        "config.yaml", "{optimizer: adam, learning_rate: 0.001, steps", "{optimizer: adam, learning_rate: 0.002, steps"
    )
    assert finished.plan() == SYNTHETIC_CHAIN | ENDS
    finished.edit(
        "config.yaml", "{optimizer: adam, learning_rate: 0.002, steps", "{optimizer: adam, learning_rate: 1.0e-3, steps"
    )
    assert finished.plan() == set(), "the same number, written differently"


CONFIG_CHANGES = {
    "figures: {synthetic: {style: {width_mm: 150}}}": {"plot synthetic", "figures"},
    "experiments: {images: {decomposition: {projection: {permutations: 41}}}}": {
        *(f"decompose {variant}/projection" for variant in IMAGES),
        "plot projection",
        *ENDS,
    },
    "experiments: {images: {sweep: {model: {wide: {widths: [32]}}}}}": {
        "train images/dataset~digits+model~wide",
        "decompose images/dataset~digits+model~wide/projection",
        "decompose images/dataset~digits+model~wide/filtering",
        "plot projection",
        "plot filtering",
        *ENDS,
    },
    "claims: {synthetic_order: {bound: {at_least: 0.7}}}": ENDS,
    "figures: {truth: {kind: calibration, ensembles: 20}}": {"calibrate truth", "plot truth", "figures"},
    "datasets: {sines: {noise: 0.1}}": {"make_dataset sines"} | SYNTHETIC_CHAIN | ENDS,
    "experiments: {synthetic: {training: {members: 4}}}": SYNTHETIC_CHAIN | ENDS,
    # What is written already, and defaults spelled out, are no change.
    "experiments: {synthetic: {training: {momentum: 0, steps: 200}, record: {split: train}}}": set(),
    "figures: {synthetic: {style: {width_mm: 180, colormap: cividis}}}": set(),
    # How many threads train, and where large stores are decomposed, changes no result.
    "experiments: {synthetic: {training: {threads: 2}}}": set(),
    "dask: {address: 'tcp://scheduler:8786'}": set(),
}


@pytest.mark.parametrize("change", CONFIG_CHANGES)
def test_a_change_of_the_configuration_plans_its_dependents(change, finished):
    assert finished.plan(overlays=finished.overlay(change)) == CONFIG_CHANGES[change]


CODE_EDITS = {
    "fpkit/figures/style.py": jobs_of("plot", "figures"),
    "fpkit/figures/kinds/synthetic.py": {"plot synthetic", "figures"},
    "fpkit/measures/kinds/projection.py": {
        *(f"decompose {variant}/projection" for variant in IMAGES),
        "plot projection",
    }
    | ENDS,
    # Trainings depend on it only where they record the spectrum.
    "fpkit/bases/principal.py": {*(f"decompose {variant}/projection" for variant in IMAGES), "plot projection"} | ENDS,
    "fpkit/training/trainer.py": ALL - DATASETS,
    "fpkit/datasets/sines.py": {"make_dataset sines"} | SYNTHETIC_CHAIN | ENDS,
    "workflow/scripts/plot.py": jobs_of("plot", "figures"),
    "workflow/scripts/judge_claims.py": ENDS,
    "fpkit/jobs/job.py": ALL,
    # The configuration reaches jobs as params: the code that reads it is none of theirs.
    "fpkit/config/checks.py": set(),
}


@pytest.mark.parametrize("path", CODE_EDITS)
def test_an_edit_of_code_plans_its_dependents(path, finished):
    finished.append(path, "\nEDITED = True\n")
    assert finished.plan() == CODE_EDITS[path]


def test_a_reverted_edit_plans_nothing(finished):
    original = (finished / "fpkit/figures/style.py").read_text()
    finished.append("fpkit/figures/style.py", "\nEDITED = True\n")
    assert finished.plan() != set()
    (finished / "fpkit/figures/style.py").write_text(original)
    assert finished.plan() == set()


def test_the_reason_names_the_edited_file(finished):
    finished.append("fpkit/figures/style.py", "\nEDITED = True\n")
    assert re.search(r"reason: .*fpkit/figures/style@", finished.make("--dry-run", "figures").stdout)


def test_touched_files_plan_nothing(finished):
    touched = [path for path in finished.folder.rglob("*") if path.is_file() and is_source(finished, path)]
    assert len(touched) > 30
    for path in touched:
        path.touch()
    assert finished.plan() == set()


def test_comments_and_docstrings_plan_nothing(finished):
    python = [path for path in finished.folder.rglob("*.py") if is_source(finished, path)]
    for path in python:
        text = path.read_text()
        assert text.startswith('"""') or path.name == "__init__.py", f"{path} has no docstring"
        head = text.replace('"""', '"""Edited. ', 1) if text.startswith('"""') else text
        path.write_text(f"# A comment.\n{head}\n\n# Another.\n")
    finished.edit("workflow/scripts/plot.py", "\n    figure = ", "\n\n    figure  =  ")
    finished.edit("fpkit/store/checkpoint.py", '"""The state last saved', '"""Otherwise said: the state last saved')
    assert finished.plan() == set()


def is_source(project: Project, path: Path) -> bool:
    return path.relative_to(project.folder).parts[0] not in ("results", ".snakemake")


def test_a_checkout_elsewhere_takes_over_the_results(finished, tmp_path):
    elsewhere = copy_sources(tmp_path / "elsewhere", finished.folder)
    for name in ("results", ".snakemake"):
        (finished / name).rename(elsewhere / name)
    assert elsewhere.plan() == set()


def test_an_absent_optional_dataset_drops_its_variants(project, finished, tmp_path):
    """...and one whose files are there joins in."""
    folder = tmp_path / "files"
    folder.mkdir()
    overlays = project.overlay(
        f"datasets: {{fashion_mnist: {{path: {folder}}}}}\n"
        "experiments: {images: {sweep: {dataset: [digits, fashion_mnist]}}}\n"
    )
    assert project.plan(overlays=overlays) == ALL
    finished.overlay((project / overlays[-1]).read_text())
    assert finished.plan(overlays=overlays) == set()
    for name in files.SHA256["fashion_mnist"]:
        (folder / name).touch()
    fashion = {job.replace("digits", "fashion_mnist") for job in ALL if "digits" in job}
    assert project.plan(overlays=overlays) == ALL | fashion
    assert finished.plan(overlays=overlays) == fashion | ENDS | {"plot projection", "plot filtering"}


def test_jobs_run_the_code_beside_the_snakefile(finished):
    """Not that of an fpkit installed elsewhere, in Snakemake and in its jobs."""
    finished.append("fpkit/figures/kinds/synthetic.py", "\nprint('drawn by', __file__)\n")
    finished.make("results/figures/synthetic.svg")
    assert f"drawn by {finished / 'fpkit/figures/kinds/synthetic.py'}" in finished.log("figures/synthetic.log")
    assert finished.plan() == set(), "all formats were drawn"


def test_a_figure_imports_no_statistics_but_its_own(finished):
    """Seaborn would, for what no figure of the package draws; one that asks for them has them."""
    before = "\nimport sys\nprint('before', 'scipy.stats' in sys.modules)\n"
    finished.append("fpkit/figures/kinds/synthetic.py", f"{before}import scipy.stats\nprint(scipy.stats.norm.cdf(0))\n")
    finished.make("results/figures/synthetic.svg")
    assert "before False\n0.5\n" in finished.log("figures/synthetic.log")


# --- longer and shorter runs ------------------------------------------------------------------------------------------


def test_jobs_on_small_results_import_no_dask(project):
    """First on the path of every job, what only a job that asks for dask would find."""
    (project / "workflow/path/dask.py").write_text("raise SystemExit('dask was imported')\n")
    project.make("figures", overlays=project.overlay("figures: {truth: {kind: calibration, ensembles: 20}}\n"))
    project.edit("workflow/scripts/decompose.py", "if not any(map(is_large, stores)):", "if False:")
    done = project.snakemake("figures")
    assert (done.returncode, "dask was imported" in done.stdout + done.stderr) == (1, True)


def test_more_steps_continue_and_fewer_are_cut(finished, project):
    target = "results/runs/synthetic/base"
    short = finished.predictions("synthetic/base")
    assert short["step"].to_numpy().tolist() == record_steps(200, 10)

    longer = finished.overlay("experiments: {synthetic: {training: {steps: 400}}}")
    assert finished.plan(overlays=longer) == SYNTHETIC_CHAIN | ENDS
    finished.make(target, overlays=longer)
    assert "continuing from step 200" in finished.log("runs/synthetic/base.log")
    long = finished.predictions("synthetic/base")
    assert long["step"].to_numpy().tolist() == record_steps(400, 10)
    same_records(long.isel(step=slice(short.sizes["step"])), short)

    project.overlay("experiments: {synthetic: {training: {steps: 400}}}")
    project.make(target, overlays=longer)
    assert "continuing" not in project.log("runs/synthetic/base.log")
    same_records(project.predictions("synthetic/base"), long)

    finished.make(target)
    log = finished.log("runs/synthetic/base.log")
    assert "already trained, to step 400" in log
    assert " of 200" not in log, "nothing was trained"
    same_records(finished.predictions("synthetic/base"), short)


# --- a figure of one's own --------------------------------------------------------------------------------------------

OWN = """
datasets:
  chord: {kind: sines, frequencies: [2, 5], samples: 40, test_samples: 0}
experiments:
  own:
    dataset: chord
    model: {kind: mlp, widths: [16], activation: relu}
    training: {steps: 100, members: 2}
    record: {per_decade: 5}
    decomposition: {fft: {}}
claims:
  own_order:
    {statement: Mine., source: Here, experiment: own, measure: fft, statistic: area_order, bound: {at_least: 0}}
figures:
  own: {kind: synthetic, experiment: own}
"""


def test_an_entry_of_ones_own_is_drawn_and_judged(finished):
    before = pd.read_csv(finished / "results/claims.csv")
    overlays = finished.overlay(OWN)
    expected = {"make_dataset chord", "train own/base", "decompose own/base/fft", "plot own"} | ENDS
    assert finished.plan(overlays=overlays) == expected
    finished.make("figures", overlays=overlays)
    for ending, signature in {"svg": b"<svg", "pdf": b"%PDF-", "png": b"\x89PNG"}.items():
        assert signature in (finished / f"results/figures/own.{ending}").read_bytes()
    claims = pd.read_csv(finished / "results/claims.csv")
    own = claims[claims["claim"] == "own_order"]
    assert own[["experiment", "variant", "members"]].to_numpy().tolist() == [["own", "base", "2 of 2"]]
    assert own["verdict"].item() in ("holds", "does not hold", "undecided")
    pd.testing.assert_frame_equal(claims[claims["claim"] != "own_order"].reset_index(drop=True), before)
    spectra = xr.load_dataset(finished / "results/spectra/own/base/fft.nc", engine="netcdf4")
    np.testing.assert_allclose(spectra["frequency"].where(spectra["followed"], drop=True), [2, 5])


# --- what is said when something is wrong -----------------------------------------------------------------------------

# What Snakemake says of itself before the configuration is read.
PREAMBLE = ("Using workflow specific profile", "Config file config.yaml is extended")


def problems(project: Project, *overlays: str) -> list[str]:
    """The lines in which Snakemake says why it will not start."""
    done = project.snakemake("--dry-run", "figures", overlays=overlays)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line and not line.startswith(PREAMBLE)]


def test_a_misspelt_key_is_one_line(project):
    overlays = project.overlay("experiments: {synthetic: {training: {learning_rat: 1}}}")
    (line,) = problems(project, *overlays)
    assert line.startswith(
        "experiments.synthetic.training.learning_rat: unknown key 'learning_rat'; did you mean 'learning_rate'?"
    )


def test_all_problems_are_listed_one_per_line(project):
    overlays = project.overlay(
        """
        datasets: {sines: {frequencies: [100]}, digits: {limit: 0}}
        experiments:
          synthetic: {training: {learning_rat: 1}}
          images: {model: {activation: rleu}, decomposition: {projection: {permutations: many}}}
        figures: {synthetic: {experiment: synthetc}}
        """
    )
    where = [
        "datasets.digits.limit",
        "datasets.sines",
        "experiments.images.decomposition.projection.permutations",
        "experiments.images.model.activation",
        "experiments.synthetic.training.learning_rat",
        "figures.synthetic.experiment",
    ]
    assert sorted(line.split(": ")[0] for line in problems(project, *overlays)) == where


def test_broken_yaml_is_one_line_with_file_and_line_number(project):
    project.edit("config.yaml", "  sines:\n    kind: sines\n", "  sines:\n    kind: [sines\n")
    number = (project / "config.yaml").read_text().splitlines().index("    kind: [sines") + 1
    (line,) = problems(project, SMOKE)
    file, at, what = re.fullmatch(r"(\S+), line (\d+): (broken YAML: .*)", line).groups()
    assert file == "config.yaml"
    assert number <= int(at) <= number + 1, f"{what}: noticed on the line, or where the next one begins"


def test_a_key_given_twice_is_one_line(project):
    project.append("config.yaml", "\nfigures: {}\n")
    (line,) = problems(project, SMOKE)
    assert re.fullmatch(r"config\.yaml, line \d+: .*'figures' is given twice", line)


def test_a_broken_overlay_is_no_traceback(project):
    """Snakemake reads overlays before it reads our Snakefile: the words are its own."""
    said = problems(project, *project.overlay("datasets: {sines: {noise: [0.1}}\n"))
    assert "Config file is not valid" in " ".join(said)


def test_a_failing_dataset_stops_only_what_needs_it(finished):
    """One clear line, in the terminal and in the log; the other experiments go on."""
    for path in ("spectra/synthetic/base/fft.nc", "figures/synthetic.svg"):
        (finished / "results" / path).unlink()
    done = finished.snakemake("figures", overlays=finished.overlay("datasets: {digits: {limit: 5}}"))
    terminal = done.stdout + done.stderr
    assert done.returncode != 0, terminal
    (line,) = finished.log("datasets/digits.log").splitlines()
    assert line.startswith("datasets.digits: ")
    assert "limit" in line
    assert line in terminal.splitlines()
    assert not (finished / "results/datasets/digits.nc").exists()
    for path in ("spectra/synthetic/base/fft.nc", "figures/synthetic.svg"):
        assert (finished / "results" / path).stat().st_size > 0


def test_the_workflow_lints(project):
    linted = project.make("--lint", overlays=())
    assert "Congratulations, your workflow is in a good condition!" in linted.stdout + linted.stderr


def test_the_root_includes_the_workflow_and_the_catalog_finds_it():
    lines = [line for line in (REPOSITORY / "Snakefile").read_text().splitlines() if not line.startswith("#")]
    assert lines == ['workflow.include("workflow/Snakefile", overwrite_default_target=True)']
    shown = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())
    assert shown["usage"]["software-stack-deployment"]
    assert (REPOSITORY / "config/README.md").read_text().startswith("# Configuration\n")


def test_snakemake_is_asked_for_by_one_version():
    bounds = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]["workflow"]
    (least,) = re.findall(r'^min_version\("(.*)"\)$', (REPOSITORY / "workflow/Snakefile").read_text(), re.MULTILINE)
    assert f"snakemake>={least}" in bounds


# --- how the rules are written ----------------------------------------------------------------------------------------

RULE_FILES = sorted((REPOSITORY / "workflow/rules").glob("*.smk"))


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_rule_files_say_what_they_take_and_make(path):
    words = [line.split()[:2] for line in path.read_text().splitlines()[:3]]
    assert words == [["#", "TAKES"], ["#", "MAKES"], ["#", "STEPS"]]


def test_every_rule_has_all_it_needs():
    rules = {}
    for path in RULE_FILES:
        if path.name == "benchmarks.smk":  # no stage: it measures the others
            continue
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name, _, body = rule.partition(":\n")
            rules[name] = re.split(r"^\S", body, maxsplit=1, flags=re.MULTILINE)[0]
    of_the_report = {"overview_page", "claims_page", "config_page", "animation_page"}
    assert set(rules) - of_the_report - {"replication", "calibrate"} == {job.split()[0] for job in ALL} - {"figures"}
    for name, body in rules.items():
        assert re.match(r'    """.+\.\n?', body), f"{name} has no docstring"
        assert f'"../scripts/{name}.py"' in body, "a rule bears its script's name"
        for part in ("output", "log", "benchmark", "conda", "threads", "resources", "params", "script"):
            assert re.search(rf"^    {part}:", body, re.MULTILINE), f"{name} has no {part}"
        for resource in ("mem_mb", "runtime", "gpu"):
            assert f"        {resource}=" in body, f"{name} does not say {resource}"
        assert "code=" in body, f"{name} does not carry its code as params"
