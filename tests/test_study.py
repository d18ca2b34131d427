"""A study of one's own: `fpkit init`, `fpkit check`, and the workflow from the built wheel."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import JOB_SECONDS, REPOSITORY, environment, planned_jobs

from fpkit import cli
from fpkit.errors import UserError

FILES = [".gitignore", "Snakefile", "config.yaml", "parts/bumps.py", "profiles/default/profile.yaml"]
WHEEL = ["setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE", "config.yaml"]

TRAININGS = "trainings: about 1 core minute on the CPU, 1 MB of predictions, 2 MB of checkpoints"


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(capsys, monkeypatch, *arguments: str) -> tuple[int | str | None, str]:
    """How the command ends, and what it prints."""
    monkeypatch.setattr(sys, "argv", ["fpkit", *arguments])
    try:
        code = cli.main()
    except SystemExit as error:
        code = error.code
    return code, capsys.readouterr().out


# --- init -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True])
def test_a_study_is_made_in_a_new_or_an_empty_folder(there, tmp_path, capsys, monkeypatch):
    study = tmp_path / "far/away/my study"
    if there:
        study.mkdir(parents=True)
    code, said = run(capsys, monkeypatch, "init", str(study))
    assert code is None
    assert files_of(study) == FILES
    assert said.splitlines()[-1] == f"next: cd '{study}', then: snakemake --cores 8 figures"
    code, said = run(capsys, monkeypatch, "check", str(study / "config.yaml"))
    assert code is None
    assert said == f"{study}/config.yaml: 1 data set, 1 experiment, 3 variants, 1 claim, 2 figures; {TRAININGS}\n"


def test_the_study_of_the_paper_is_the_repositorys(tmp_path):
    cli.init(str(tmp_path / "study"), paper=True)
    for name in ("config.yaml", "presets/smoke.yaml", "presets/paper.yaml"):
        assert (tmp_path / "study" / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_a_snakefile_of_three_lines():
    lines = (REPOSITORY / "workflow/study/Snakefile").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 3


def test_nothing_of_what_is_there_is_lost(tmp_path, capsys, monkeypatch):
    """A folder that holds something, and a study made twice."""
    study = tmp_path / "study"
    study.mkdir()
    (study / "notes").write_text("mine")
    line = f"{study}: is not empty; name a folder that is, or is not there yet"
    assert run(capsys, monkeypatch, "init", str(study)) == (line, "")
    assert files_of(study) == ["notes"]
    (study / "notes").unlink()
    assert run(capsys, monkeypatch, "init", str(study))[0] is None
    (study / "config.yaml").write_text("mine")
    assert run(capsys, monkeypatch, "init", str(study)) == (line, "")
    assert (study / "config.yaml").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_one_line_and_what_was_begun_is_gone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"/file: is a file; name a folder$"):
        cli.init(str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"/file/study: cannot be made \(.*\); name another$"):
        cli.init(str(tmp_path / "file/study"))
    # A template that cannot be read, for a disk that fills up.
    files = cli._files(False)
    monkeypatch.setattr(cli, "_files", lambda paper: files | {"last": tmp_path / "none"})
    with pytest.raises(UserError, match=r"/deep/study: cannot be made \(No such file or directory\); name another$"):
        cli.init(str(tmp_path / "deep/study"))
    assert files_of(tmp_path) == ["file"]
    assert not (tmp_path / "deep").exists()
    with pytest.raises(UserError, match=r"Python parts paths at ':'; name another folder$"):
        cli.init(str(tmp_path / "a:b"))


# --- check ------------------------------------------------------------------------------------------------------------


def test_problems_are_one_line_each_and_overlays_are_laid_over(tmp_path, capsys, monkeypatch):
    study = tmp_path / "study"
    cli.init(str(study))
    config, overlay = str(study / "config.yaml"), tmp_path / "overlay.yaml"
    overlay.write_text(
        "{experiments: {activations: {training: {steps: 0}}}, figures: {order: {experiment: activation}}}"
    )
    code, said = run(capsys, monkeypatch, "check", config, str(overlay))
    assert said == ""
    assert [line.split(": ")[0] for line in sorted(code.splitlines())] == [
        "experiments.activations.training.steps",
        "figures.order.experiment",
    ]
    for text, told in {
        "datasets: {mine: {kind: arrays, path: nix.npz}}": "datasets.mine.path: nix.npz is not there",
        "experiments: {mine: {recorded: 'nix/*', decomposition: {fft: {}}}}": "experiments.mine.recorded: nix/*",
        "figures: {mine: {kind: initialization, experiment: activations}}": None,
    }.items():
        overlay.write_text(text)
        code, _ = run(capsys, monkeypatch, "check", config, str(overlay))
        assert code is told is None or (code.startswith(told) and "\n" not in code)
    overlay.write_text("claims: null\n")
    assert run(capsys, monkeypatch, "check", config, str(overlay))[1].endswith(
        f"3 variants, 0 claims, 2 figures; {TRAININGS}\n"
    )
    (study / "config.yaml").write_text("datasets: [\n")
    code, _ = run(capsys, monkeypatch, "check", config)
    assert code.startswith(f"{config}, line 2: broken YAML")
    code, _ = run(capsys, monkeypatch, "check", str(tmp_path / "none.yaml"))
    assert code == f"{tmp_path}/none.yaml: No such file or directory"


def test_help_is_one_screen(capsys, monkeypatch):
    code, said = run(capsys, monkeypatch, "--help")
    assert code == 0
    lines = said.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    for command in ("fpkit init study", "fpkit check config.yaml", "snakemake --cores 8 figures"):
        assert f"  {command} " in said


# --- from the wheel ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The programs of an environment in which the built wheel is installed.

    Of what fpkit depends on, that environment sees the packages of the one that runs the tests, by a .pth file: to
    install torch anew takes minutes. Python reads no .pth file of a folder that one names, so an editable fpkit there
    is not seen, and `fpkit` in this environment is the wheel's alone.
    """
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in WHEEL:
        shutil.copy(REPOSITORY / name, folder / "source")
    for name in ("fpkit", "workflow", "presets", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__", ".snakemake")
        shutil.copytree(REPOSITORY / name, folder / "source" / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source"]
    subprocess.run([*pip, *build], check=True, env=environment())
    shutil.rmtree(folder / "source")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "theirs.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (wheel,) = folder.glob("*.whl")
    install = ["--python", folder / "venv/bin/python", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([*pip, *install], check=True, env=environment())
    return folder / "venv/bin"


def programs(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    """Run a program of the environment, which needs neither this process's path nor the repository."""
    path = {"PATH": os.pathsep.join([str(installed), os.environ["PATH"]])}
    return subprocess.run(
        [installed / command[0], *command[1:]], cwd=folder, env=environment() | path, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=JOB_SECONDS,
    )  # fmt: skip


TINY = {
    "datasets": {"tones": {"frequencies": [1, 2], "samples": 32, "test_samples": 0}},
    "experiments": {"activations": {"model": {"widths": [8]}, "training": {"steps": 40, "members": 2}}},
}


@pytest.mark.workflow
def test_a_study_with_the_wheel_alone(installed, tmp_path):
    where = programs(installed, tmp_path, "python", "-c", "import fpkit; print(fpkit.__file__)").stdout
    assert where.startswith(str(installed.parent)), "not the repository's"
    study = tmp_path / "my study"

    def done(*command: str, folder: Path = study) -> str:
        ended = programs(installed, folder, *command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    done("fpkit", "init", "my study", folder=tmp_path)
    assert files_of(study) == FILES
    (study / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    assert "3 variants" in done("fpkit", "check", "config.yaml", "tiny.yaml")
    snakemake = ["python", "-P", "-m", "snakemake", "--cores", "2"]
    said = done(*snakemake, "figures", "--configfile", "tiny.yaml")
    for own in ("fpkit", "workflow", "Snakefile", "config.yaml"):  # the environment may lie in the repository
        assert str(REPOSITORY / own) not in said
    for name in ("order.svg", "order.pdf", "order.png", "claims.svg"):
        assert (study / "results/figures" / name).stat().st_size > 0
    variants = pd.read_csv(study / "results/claims.csv")["variant"].tolist()
    assert variants == ["model~tanh", "model~relu", "model~ricker2"]
    assert "Nothing to be done" in done(*snakemake, "--configfile", "tiny.yaml"), "the default target is `figures`"

    # An edit of one's own part runs again what uses it, and rules of one's own may stand below.
    with open(study / "parts/bumps.py", "a") as file:
        file.write("\nEDITED = True\n")
    with open(study / "Snakefile", "a") as file:
        file.write('\n\nrule count:\n    input: "results/claims.csv"\n    output: "count"\n    shell: "wc {input}"\n')
    planned = planned_jobs(done(*snakemake, "--dry-run", "count", "--configfile", "tiny.yaml"))
    variant = "activations/model~ricker2"
    assert planned == {f"train {variant}", f"decompose {variant}/fft", "judge_claims", "count"}


@pytest.mark.workflow
def test_a_mistake_in_a_study_is_one_line_before_anything_runs(installed, tmp_path):
    programs(installed, tmp_path, "fpkit", "init", "study")
    study = tmp_path / "study"
    (study / "mine.yaml").write_text("experiments: {activations: {model: {activation: tahn}}}\n")
    ended = programs(installed, study, "fpkit", "check", "config.yaml", "mine.yaml")
    assert ended.returncode == 1
    assert ended.stderr.startswith("experiments.activations.model.activation: unknown 'tahn'; did you mean 'tanh'?")
    assert len(ended.stderr.splitlines()) == 1
    ended = programs(installed, study, "python", "-P", "-m", "snakemake", "--dry-run", "figurs")
    assert ended.stderr.splitlines()[-1].startswith("figurs: is no target; did you mean 'figures'?")


def test_the_wheel_holds_the_workflow_and_no_more(installed):
    (package,) = installed.parent.glob("lib/python*/site-packages/fpkit")

    def files(folder: Path) -> list[str]:
        return [path for path in files_of(folder) if "__pycache__" not in path and ".snakemake" not in path]

    for name in ("workflow", "presets"):
        assert files(package / "shipped" / name) == files(REPOSITORY / name)
    assert files(package / "shipped/profiles") == ["default/profile.yaml"]


def test_jobs_find_in_conda_what_pip_installs():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((REPOSITORY / "workflow/envs/fpkit.yaml").read_text())
    extras = [line for extra in ("figures", "workflow") for line in project["optional-dependencies"][extra]]
    wanted = [line for line in (*project["dependencies"], *extras) if not line.startswith("fpkit[")]
    assert environment["dependencies"][-1]["pip"] == wanted
