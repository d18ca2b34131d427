"""What a release says in several places is the same in all of them."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from oldest import bounds
from packaging.version import Version

import fpkit

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def found(pattern: str, path: str) -> str:
    """The first match's group in a file."""
    return re.search(pattern, (ROOT / path).read_text(), re.MULTILINE)[1]


def test_one_version():
    assert "version" in PROJECT["dynamic"], "the package's own, fpkit.__version__"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == fpkit.__version__
    assert found(r"^## \[(.*)\] - \d{4}-\d\d-\d\d$", "CHANGELOG.md") == fpkit.__version__
    assert found(r"^container-image: .*:(.*)$", "profiles/kubernetes/profile.yaml") == fpkit.__version__


def test_pinned_versions_are_allowed_ones():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    lower = bounds(PROJECT)
    assert lower.keys() <= pins.keys()
    assert not {package: bound for package, bound in lower.items() if Version(bound) > Version(pins[package])}


def test_pre_commit_runs_what_make_lint_runs():
    # Old: the environment is not brought up to date to tell what would be run.
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--old-file", ".venv/installed", "lint"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    linted = done.stdout.splitlines()
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert len(linted) == len(entries)
    for line, entry in zip(linted, entries, strict=True):
        assert f"{line} ".startswith(f"{entry} "), "the same tool and options; files are its own"


def test_contributors_read_of_the_folders_in_the_order_of_their_imports():
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    folders = [folder for folder, _ in rows]
    assert set(folders) == {path.parent.name for path in (ROOT / "fpkit").glob("*/__init__.py")}
    layers = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    order = [name for layer in reversed(layers) for name in layer.split(" | ")]
    assert folders == [name for name in order if name in folders]
    for name in re.findall(r"`(\w+\.\w+)`", " ".join(files for _, files in rows)):
        assert (ROOT / "workflow" / ("rules" if name.endswith(".smk") else "scripts") / name).exists()
