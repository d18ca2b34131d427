"""The workflow as a module of somebody else's, `tests/integration/Snakefile`: twice in one, run for real."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, Project, copy_sources

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("module")]


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> tuple[Project, str]:
    """The user's workflow, run to its end, and what was said. Its folder has a space in its name."""
    folder = tmp_path_factory.mktemp("module") / "my work"
    copy_sources(folder)
    shutil.copytree(REPOSITORY / "tests/integration", folder / "tests/integration", ignore=ignored())
    user = Project(folder / "tests/integration")
    done = user.make(overlays=())
    return user, done.stdout + done.stderr


def ignored():
    return shutil.ignore_patterns("__pycache__", ".snakemake", "smooth", "networks", "logs", "compared.csv")


def planned(user: Project, *arguments: str) -> set[str]:
    return user.plan("compare", *arguments, overlays=())


def test_a_rule_of_the_users_takes_an_output_of_each(imported):
    user, _ = imported
    both = pd.read_csv(user / "compared.csv")
    assert both["claim"].tolist() == ["low_first", "claim", "low_first"], "a table under the other"
    runs = [Project(user / module).predictions("small/base") for module in ("smooth", "networks/rough")]
    networks = [json.loads(run.attrs["recipe"])["model"]["activation"] for run in runs]
    assert networks == ["tanh", "bumps:triangle"]


def test_nothing_is_written_outside_of_the_prefixes(imported):
    """Checkpoints and progress neither."""
    user, _ = imported
    sources = {path.name for path in (REPOSITORY / "tests/integration").iterdir()}
    made = {path.name for path in user.folder.iterdir()} - sources
    assert made - {"__pycache__"} == {".snakemake", "compared.csv", "logs", "networks", "smooth"}
    for module in ("smooth", "networks/rough"):
        assert [path.name for path in (user / module).iterdir()] == ["results"]
        assert list((user / module).glob("results/checkpoints/small/base/*/state.npz"))
        assert (user / module / "results/.progress").is_dir()
    assert list((user / ".snakemake/plans").iterdir()) == [], "what was planned was compared, and is forgotten"


def test_the_users_rules_are_repeated_as_they_say(imported):
    _, said = imported
    assert said.count("Error in rule compare:") == 1
    assert "Trying to restart job" in said


def test_rules_may_be_changed_by_the_user(imported):
    _, said = imported
    (block,) = re.findall(r"^localrule rough_train:\n(?:    .*\n)+", said, re.MULTILINE)
    assert "    threads: 2\n" in block


def test_nothing_is_left_to_do_and_a_change_of_one_is_that_ones(imported, tmp_path):
    user, _ = imported
    assert planned(user) == set()
    other = tmp_path / "other.yaml"
    other.write_text("rough: {experiments: {small: {training: {learning_rate: 0.002}}}}\n")
    changed = {"train small/base", "decompose small/base/fft", "plot small", "judge_claims"}
    assert planned(user, "--configfile", str(other)) == {f"rough_{job}" for job in changed} | {"compare"}


def test_parts_that_come_with_the_workflow_are_found_beside_ones_own_of_a_folder_of_that_name(tmp_path):
    copy_sources(tmp_path / "theirs")
    mine = tmp_path / "mine"
    (mine / "presets").mkdir(parents=True)
    (mine / "presets/own.py").write_text("def steep(x):\n    return (3 * x).tanh()\n")
    (mine / "Snakefile").write_text(
        'configfile: "config.yaml"\n\n\n'
        'module far:\n    snakefile: "../theirs/workflow/Snakefile"\n    config: config\n'
        "    prefix: 'far'\n\n\nuse rule * from far\n"
    )
    (mine / "config.yaml").write_text(
        "datasets: {lines: {kind: sines, frequencies: [1, 3]}, authors: {kind: 'presets.authors:target'}}\n"
        "experiments:\n  shipped: {dataset: authors, model: {kind: mlp, widths: [4]}, training: {steps: 2, members: 2},"
        " decomposition: {fft: {}}}\n"
        "  own: {dataset: lines, model: {kind: mlp, widths: [4], activation: 'presets.own:steep'},"
        " training: {steps: 2, members: 2}, decomposition: {fft: {}}}\n"
    )
    user = Project(mine)
    user.make("far/results/runs/shipped/base", "far/results/runs/own/base", overlays=())
    assert Project(mine / "far").predictions("shipped/base").sizes["member"] == 2
    name = "presets/authors.py"
    (tmp_path / "theirs" / name).write_text((tmp_path / "theirs" / name).read_text() + "\nEDITED = True\n")
    assert user.plan("far/results/runs/shipped/base", overlays=()) == {"make_dataset authors", "train shipped/base"}
    assert user.plan("far/results/runs/own/base", overlays=()) == set()


def test_a_mistake_is_told_with_the_module_in_whose_configuration_it_is(imported, tmp_path):
    user, _ = imported
    other = tmp_path / "other.yaml"
    other.write_text("rough: {experiments: {small: {training: {learning_rat: 0.002}}}}\n")
    done = user.snakemake("--dry-run", "--configfile", str(other), overlays=())
    assert done.returncode == 1
    last = (done.stdout + done.stderr).splitlines()[-1]
    assert last.startswith("module rough: experiments.small.training.learning_rat: unknown key 'learning_rat'; did you")


def test_the_users_targets_are_theirs(imported):
    user, _ = imported
    assert user.plan("smooth/results/figures/small.svg", "compared.csv", overlays=()) == {"smooth_plot small"}
    done = user.snakemake("--dry-run", "comparee", overlays=())
    assert "MissingRuleException" in done.stdout + done.stderr, "in Snakemake's own words"


def test_it_lints(imported):
    user, _ = imported
    linted = user.snakemake("--lint", overlays=())
    found = re.findall(r"^Lints for (?:rule|snakefile) .*", linted.stdout + linted.stderr, re.MULTILINE)
    assert [line for line in found if "tests/integration/Snakefile" not in line] == []


def test_the_documented_snakefile_plans_the_figures_of_its_module(imported, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "config/README.md").read_text(), re.DOTALL)
    copy_sources(tmp_path / "fpkit")
    own = "\nrule mine:\n    default_target: True\n    input: rules.activations_figures.input\n"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/Snakefile").write_text(block + own)
    (tmp_path / "mine/config.yaml").write_text(
        (imported[0] / "config.yaml").read_text().replace("smooth:", "activations:")
    )
    jobs = Project(tmp_path / "mine").plan("mine", overlays=())
    assert {"activations_plot small", "activations_judge_claims", "mine"} <= jobs


def test_a_workflow_that_is_on_no_disk_is_one_line(tmp_path):
    copy_sources(tmp_path / "fpkit")
    (tmp_path / "mine").mkdir()
    git = ["git", "-C", tmp_path / "fpkit", "-c", "user.name=me", "-c", "user.email=me@here"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "All"], ["tag", "one"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "mine/Snakefile").write_text(
        f'module far:\n    snakefile: "git+file://{tmp_path}/fpkit/workflow/Snakefile@one"\n    config: {{}}\n\n\n'
        "use rule * from far\n"
    )
    done = Project(tmp_path / "mine").snakemake("--dry-run", overlays=())
    assert done.returncode == 1
    line = (done.stdout + done.stderr).splitlines()[-1]
    assert line.endswith(
        ": the workflow runs from a disk; name that of a clone, or `fpkit.cli.snakefile()` of an installed fpkit"
    )


def test_the_workflow_names_no_path_that_is_right_for_one_alone():
    for path in [REPOSITORY / "workflow/Snakefile", *sorted((REPOSITORY / "workflow").glob("*/*.smk"))]:
        assert "workflow.basedir" not in path.read_text(), path
    for path in sorted((REPOSITORY / "workflow/scripts").glob("*.py")):
        assert "results/" not in path.read_text(), f"{Path(path).name}: paths are its rule's"
