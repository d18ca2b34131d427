"""Which edits change which hashes, in copies of the package; and that the package keeps to its layers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fpkit.provenance import code_hashes

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow/scripts"


def hashes(root: Path, script: Path, *modules: str) -> dict[str, str]:
    """path -> hash, as a new process finds them for the package under `root`."""
    program = "import sys; from fpkit.provenance import code_hashes; print(*code_hashes(*sys.argv[1:]), sep='\\n')"
    result = subprocess.run(
        [sys.executable, "-c", program, script, *modules],
        cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(line.split("@") for line in result.stdout.splitlines())


def modules_of(script: str, *modules: str) -> set[str]:
    return {line.split("@")[0] for line in code_hashes(SCRIPTS / script, *modules)}


@pytest.fixture
def copy(tmp_path):
    """A copy of the package beside a script that imports the synthetic figure."""
    shutil.copytree(ROOT / "fpkit", tmp_path / "fpkit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "script.py").write_text("from fpkit.figures import synthetic\n\nsynthetic.draw([])\n")
    return tmp_path


STYLE = "fpkit/figures/style"


def test_hashes_of_a_copy_are_the_same_wherever_it_lies(copy):
    script = copy / "script.py"
    assert hashes(copy, script) == hashes(ROOT, script)


def test_compiled_source_counts_as_code_of_its_module(copy):
    (copy / "script.py").write_text("import fpkit.training.trainer\n")
    before = hashes(copy, copy / "script.py")
    source = copy / "fpkit/training/compiled.cpp"
    source.write_text(source.read_text() + "\n")
    after = hashes(copy, copy / "script.py")
    assert {name for name in before if before[name] != after[name]} == {"fpkit/training/compiled"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "# a comment at the top\n" + text + "\n\n# and one at the end\n",
        lambda text: text.replace('"""', '"""Said otherwise. ', 1),
        lambda text: text.replace("\n\n\n", "\n\n\n\n\n"),
        lambda text: text.replace("MM = 1 / 25.4", "MM = (1 /\n      25.4)  # inches"),
        lambda text: text.replace(
            '"""A panel\'s letter and what it shows."""', '"""Another docstring of a function."""'
        ),
        lambda text: text.replace('    """A panel\'s letter and what it shows."""\n', ""),
        lambda text: text,
    ],
    ids=["comments", "docstring", "blank lines", "layout", "docstring of a function", "docstring dropped", "touch"],
)
def test_edit_that_changes_no_code_keeps_every_hash(copy, edit):
    before = hashes(copy, copy / "script.py")
    file = copy / f"{STYLE}.py"
    text = file.read_text()
    file.write_text(edit(text))
    assert hashes(copy, copy / "script.py") == before


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("MM = 1 / 25.4", "MM = 1 / 25.5"),
        lambda text: text.replace('"white-noise error"', '"white noise"'),
        lambda text: text + "\nEXTRA = 1\n",
        lambda text: text.replace("def panel(", "def panell("),
    ],
    ids=["number", "text", "more", "name"],
)
def test_edit_of_code_changes_the_hash_of_its_module_alone(copy, edit):
    before = hashes(copy, copy / "script.py")
    file = copy / f"{STYLE}.py"
    text = file.read_text()
    assert edit(text) != text
    file.write_text(edit(text))
    after = hashes(copy, copy / "script.py")
    assert {name for name in before if before[name] != after[name]} == {STYLE}


def test_edit_of_the_script_itself_changes_its_hash(copy):
    before = hashes(copy, copy / "script.py")
    script = copy / "script.py"
    script.write_text("# said at last\n" + script.read_text())
    assert hashes(copy, script) == before
    script.write_text(script.read_text() + "print(1)\n")
    after = hashes(copy, script)
    assert {name for name in before if before[name] != after[name]} == {"script.py"}


def test_code_in_a_package_that_is_passed_through_counts(copy):
    before = hashes(copy, copy / "script.py")
    assert {"fpkit", "fpkit/figures", "fpkit/figures/synthetic", STYLE} <= set(before)
    (copy / "fpkit/figures/__init__.py").write_text("import math\n")
    after = hashes(copy, copy / "script.py")
    assert {name for name in before if before[name] != after[name]} == {"fpkit/figures"}


def test_imports_of_a_script_are_found_in_every_form_and_place(copy):
    script = copy / "forms.py"
    script.write_text(
        "import fpkit.convergence as c\n"
        "from fpkit import models\n"
        "from fpkit.training.schedule import record_steps\n"
        "import os, numpy\n"
        "def late():\n    from fpkit.errors import UserError\n"
    )
    found = set(hashes(copy, script))
    wanted = {"fpkit/convergence", "fpkit/models", "fpkit/training/schedule", "fpkit/errors", "fpkit", "fpkit/training"}
    wanted |= {"fpkit/initialization", "fpkit/parts"}  # those of fpkit.models
    assert found == wanted | {"forms.py"}


def test_new_import_brings_its_module_in(copy):
    before = set(hashes(copy, copy / "script.py"))
    assert "fpkit/convergence" not in before
    file = copy / f"{STYLE}.py"
    file.write_text(file.read_text() + "\nfrom fpkit import convergence\n")
    assert set(hashes(copy, copy / "script.py")) == before | {"fpkit/convergence"}


# --- what each job of the workflow depends on -------------------------------------------------------------------------


def test_training_depends_on_no_spectra_no_figures_and_no_claims():
    found = modules_of("train.py")
    assert {"train.py", "fpkit/runs", "fpkit/training/trainer", "fpkit/models", "fpkit/predictions"} <= found
    assert not [name for name in found if name.startswith(("fpkit/spectra", "fpkit/figures", "fpkit/claims"))]
    assert "fpkit/config" not in found  # whose defaults are in the parameters already


def test_decomposition_by_one_measure_depends_on_no_other():
    found = modules_of("decompose.py", "fpkit.spectra.fft")
    assert {"fpkit/spectra/fft", "fpkit/spectra/common", "fpkit/convergence", "fpkit/predictions"} <= found
    other = ("fpkit/spectra/projection", "fpkit/spectra/filtering", "fpkit/training", "fpkit/models", "fpkit/figures")
    assert not [name for name in found if name.startswith(other)]


def test_one_figure_depends_on_no_other_and_on_no_spectra():
    found = modules_of("plot.py", "fpkit.figures.synthetic")
    assert {"fpkit/figures/synthetic", "fpkit/figures/style"} <= found
    other = ("fpkit/figures/projection", "fpkit/figures/filtering", "fpkit/spectra", "fpkit/training")
    assert not [name for name in found if name.startswith(other)]


def test_data_set_depends_on_its_own_module_and_no_other():
    found = modules_of("make_dataset.py", "fpkit.datasets.sines")
    assert "fpkit/datasets/sines" in found
    other = ("fpkit/datasets/digits", "fpkit/datasets/mnist", "fpkit/models", "fpkit/training")
    assert not [name for name in found if name.startswith(other)]


# --- layers -----------------------------------------------------------------------------------------------------------


def test_layers_written_in_pyproject_hold():
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


HEAVY = {"torch", "matplotlib", "xarray", "zarr", "scipy", "sklearn", "snakemake", "pandas"}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import fpkit", HEAVY | {"numpy", "pydantic"}),
        ("import fpkit.config, fpkit.jobs, fpkit.progress", HEAVY),
        ("import fpkit.training.trainer, fpkit.training.stacked", HEAVY - {"torch"} | {"pydantic"}),
        ("import fpkit.runs", HEAVY - {"zarr"} | {"pydantic"}),
        ("import fpkit.figures.filtering, fpkit.claims", {"torch", "zarr", "snakemake"}),
    ],
)
def test_import_loads_no_more_than_it_needs(statement, forbidden):
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "fpkit" in loaded
    assert not loaded & forbidden
