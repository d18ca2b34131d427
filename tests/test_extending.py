"""docs/extending.md, done as it says: its files written beside a copy of the workflow, and Snakemake run for real."""

import re
import shutil

import numpy as np
import pytest
import xarray as xr
from conftest import REPOSITORY, SMOKE, Project

from fpkit import config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("extending")]  # run once, looked at by several tests

DOCUMENT = (REPOSITORY / "docs/extending.md").read_text()

# Fewer steps; and a model in a file of its own, so that one file's dependents are not the other's.
MORE = """
experiments:
  mine: {training: {steps: 60, members: 2}}
  towers: {training: {steps: 60, members: 2}}
  apart:
    dataset: sines
    model: {kind: "mypkg.apart:two_towers", options: {width: 8}}
    training: {steps: 20, members: 2}
    decomposition: {fft: {}}
figures:
  apart: {kind: order, experiment: apart}
"""
OVERLAYS = (SMOKE, "mine.yaml", "more.yaml")
TRAIN_MINE = {"train mine/base", "decompose mine/base/fft", "train towers/base", "decompose towers/base/fft"}
MINE = {"make_dataset saw", *TRAIN_MINE, "plot mine"}
APART = {"train apart/base", "decompose apart/base/fft", "plot apart"}


def blocks() -> dict[str, str]:
    """The files of the document: a block's first line says its name in a comment."""
    found = {}
    for text in re.findall(r"^```(?:python|yaml)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL):
        name = re.match(r"# ([\w/]+\.(?:py|yaml))", text)
        assert name, text.splitlines()[0]
        found[name[1]] = text
    return found


def write_parts(project: Project) -> None:
    for name, text in blocks().items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    shutil.copyfile(project / "mypkg/bumps.py", project / "mypkg/apart.py")
    (project / "more.yaml").write_text(MORE)


@pytest.fixture(scope="module")
def extended_run(finished_run, tmp_path_factory) -> Project:
    """The smoke preset, finished, and then the document's parts on top. Shared: look, do not touch."""
    folder = tmp_path_factory.mktemp("extending") / "project"
    project = Project(shutil.copytree(finished_run.folder, folder, symlinks=True))
    write_parts(project)
    assert project.plan(overlays=OVERLAYS) == MINE | APART | {"figures"}
    project.make("figures", overlays=OVERLAYS)
    return project


@pytest.fixture
def extended(extended_run, tmp_path) -> Project:
    """A copy of it, times included, to be edited at will."""
    return Project(shutil.copytree(extended_run.folder, tmp_path / "extended", symlinks=True))


def test_document_has_the_files_that_it_speaks_of():
    assert set(blocks()) == {"mypkg/bumps.py", "mine.yaml"}


def test_documented_command_plans_the_figure_over_the_whole_configuration(project):
    write_parts(project)
    assert project.plan("results/figures/mine.svg", overlays=("mine.yaml",)) == MINE


def test_figure_of_ones_own_parts_is_drawn(extended_run):
    svg = (extended_run / "results/figures/mine.svg").read_text()
    assert "<svg" in svg
    for ending in ("pdf", "png"):
        assert (extended_run / f"results/figures/mine.{ending}").stat().st_size > 1000
    assert extended_run.plan(overlays=OVERLAYS) == set()


def test_parts_did_what_they_say(extended_run):
    data = xr.load_dataset(extended_run / "results/datasets/saw.nc", engine="netcdf4")
    position = np.arange(100) / 100
    np.testing.assert_allclose(data["y_train"][:, 0], 2 * ((4 * position) % 1) - 1, atol=1e-6)  # four teeth, as asked
    for variant in ("mine/base", "towers/base"):
        predictions = extended_run.predictions(variant)
        assert predictions.sizes["member"] == 2
        loss = predictions["loss_train"].to_numpy()
        power = 4 if variant == "mine/base" else 2
        error = (predictions["prediction"] - data["y_train"].to_numpy()) ** power
        np.testing.assert_allclose(loss, error.mean(["sample", "output"]), rtol=1e-4)
        assert (loss[-1] < loss[0]).all()


def test_edit_of_ones_own_file_plans_its_dependents_and_nothing_else(extended):
    extended.edit(
        "mypkg/bumps.py", "return (1 - x**2) * torch.exp(-(x**2))", "return (1 - x**2) * torch.exp(-2 * x**2)"
    )
    assert extended.plan(overlays=OVERLAYS) == MINE | {"figures"}


def test_edit_of_another_file_plans_the_others(extended):
    extended.edit(
        "mypkg/apart.py", "def two_towers(features, outputs, width=32)", "def two_towers(features, outputs, width=8)"
    )
    assert extended.plan(overlays=OVERLAYS) == APART | {"figures"}


def test_comment_docstring_and_layout_of_ones_own_file_plan_nothing(extended):
    extended.edit("mypkg/bumps.py", '"""An activation:', '"""Some activation:')
    extended.append("mypkg/bumps.py", "\n\n# a comment\n")
    extended.append("mypkg/apart.py", "\n\n# another\n")
    assert extended.plan(overlays=OVERLAYS) == set()


def test_options_in_the_configuration_plan_their_dependents(extended):
    (extended / "more.yaml").write_text(MORE.replace("width: 8", "width: 9"))
    assert extended.plan(overlays=OVERLAYS) == APART | {"figures"}
    text = (extended / "mine.yaml").read_text()
    (extended / "mine.yaml").write_text(text.replace("teeth: 4", "teeth: 5"))
    assert extended.plan(overlays=OVERLAYS) == MINE | APART | {"figures"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mypkg.bumps:sawtooth", "mypkg.bumps:sawtoth", r"^datasets\.saw\.kind: .*bumps\.py defines no 'sawtoth'$"),
        ("mypkg.bumps:rprop", "mypkg.bump:rprop", r"^experiments\.mine\.training\.optimizer: cannot find module"),
        ("mypkg.bumps:two_towers", "mypkg.bumps:towers", r"^experiments\.towers\.model\.kind: .* defines no 'towers'$"),
    ],
)  # fmt: skip
def test_misnamed_part_is_told_in_one_line_before_any_job(project, old, new, message):
    write_parts(project)
    project.edit("mine.yaml", old, new)
    done = project.snakemake("--dry-run", "figures", overlays=OVERLAYS)
    assert done.returncode != 0
    said = (done.stdout + done.stderr).strip()
    assert re.search(message, said, re.MULTILINE), said
    assert "Traceback" not in said


def test_part_that_fails_is_told_in_one_line_of_its_log(extended):
    """A mistake inside the file itself shows when the job runs."""
    extended.edit("mypkg/bumps.py", "import torch\n", "import torch\nimport nowhere_to_be_found\n")
    done = extended.snakemake("results/datasets/saw.nc", overlays=OVERLAYS)
    assert done.returncode != 0
    line = (
        "datasets.saw: cannot import 'mypkg.bumps:sawtooth': ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    )
    assert extended.log("datasets/saw.log").splitlines() == [line]


# --- a claim's variants -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "models"),
    [
        ('["*"]', {"mlp", "cnn"}),
        ('["*model~cnn"]', {"cnn"}),
        ('["dataset~digits+model~mlp"]', {"mlp"}),
        ('["*~mlp", "*~c?n"]', {"mlp", "cnn"}),
    ],
)
def test_claim_takes_the_variants_that_fit_its_patterns(project, patterns, models):
    written = config.merged(*(config.read_yaml(project / name) for name in ("config.yaml", SMOKE)), {})["claims"]
    others = [name for name, claim in written.items() if claim and name != "filtering_low_first"]
    claims = "".join(f"  {name}: null\n" for name in others)
    claims = f"claims:\n{claims}  filtering_low_first: {{variants: {patterns}}}\n"
    done = project.make("--dry-run", "results/claims.csv", overlays=project.overlay(claims))
    inputs = re.search(r"^rule judge_claims:\n((?:    .*\n)*)", done.stdout, re.MULTILINE)[1]
    assert set(re.findall(r"results/spectra/images/dataset~digits\+model~(\w+)/filtering\.nc", inputs)) == models
    assert "projection.nc" not in inputs


@pytest.mark.parametrize("pattern", ["model~*", "*MLP"], ids=["a part of the name", "another case"])
def test_pattern_that_fits_no_variant_is_told(project, pattern):
    overlays = project.overlay(f"claims: {{filtering_low_first: {{variants: ['{pattern}']}}}}\n")
    done = project.snakemake("--dry-run", "results/claims.csv", overlays=overlays)
    assert done.returncode != 0
    line = f"claims.filtering_low_first.variants: unknown variant '{pattern}' (allowed: dataset~digits+model~mlp, "
    assert line in done.stderr
    assert "Traceback" not in done.stderr
