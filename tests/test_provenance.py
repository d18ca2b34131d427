"""Which edits change which hashes, in copies of the package; and that the package keeps to its layers."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from fpkit.jobs.provenance import code_hashes

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow/scripts"


def lines(root: Path, script: Path, *modules: str, path=(), python=sys.executable) -> list[str]:
    """What a new process, with `path` before all else on its path, finds for the package under `root`."""
    program = "import sys; from fpkit.jobs.provenance import code_hashes; print(*code_hashes(*sys.argv[1:]), sep='\\n')"
    environment = {"PYTHONPATH": os.pathsep.join(map(str, (*path, root))), "PATH": ""}
    result = subprocess.run(
        [python, "-W", "error", "-c", program, script, *modules],
        cwd=root, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return result.stdout.splitlines()


def hashes(root: Path, script: Path, *modules: str, **changes) -> dict[str, str]:
    """path -> hash."""
    return dict(line.split("@") for line in lines(root, script, *modules, **changes) if "@" in line)


def versions(root: Path, script: Path, *modules: str, **changes) -> dict[str, str]:
    """library -> version."""
    return dict(line.split("==") for line in lines(root, script, *modules, **changes) if "==" in line)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def modules_of(script: str, *modules: str) -> set[str]:
    return {line.split("@")[0] for line in code_hashes(SCRIPTS / script, *modules)}


@pytest.fixture
def copy(tmp_path):
    """A copy of the package beside a script that imports the synthetic figure."""
    shutil.copytree(ROOT / "fpkit", tmp_path / "fpkit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "script.py").write_text("from fpkit.figures.kinds import synthetic\n\nsynthetic.draw([])\n")
    return tmp_path


STYLE = "fpkit/figures/style"


def test_hashes_of_a_copy_are_the_same_wherever_it_lies(copy):
    script = copy / "script.py"
    assert hashes(copy, script) == hashes(ROOT, script)


@pytest.mark.parametrize("name", sorted(file.name for file in (ROOT / "fpkit/training/compiled").glob("*.[ch]pp")))
def test_compiled_source_and_what_it_includes_count_as_code_of_its_module(copy, name):
    (copy / "script.py").write_text("import fpkit.training.trainer\n")
    before = hashes(copy, copy / "script.py")
    source = copy / "fpkit/training/compiled" / name
    source.write_text(source.read_text() + "\n")
    after = hashes(copy, copy / "script.py")
    assert {name for name in before if before[name] != after[name]} == {"fpkit/training/compiled/library"}


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
        lambda text: text.replace('xlabel="training step"', 'xlabel="step"'),
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


def test_template_counts_whole(copy):
    template = copy / "page.html.jinja"
    template.write_text("<p>{{ one }}</p>")
    before = hashes(copy, copy / "script.py", str(template))
    assert changed(hashes(copy, copy / "script.py"), before) == {"page.html.jinja"}
    template.write_text("<p>{{ one }} </p>")
    assert changed(before, hashes(copy, copy / "script.py", str(template))) == {"page.html.jinja"}


def test_code_in_a_package_that_is_passed_through_counts(copy):
    before = hashes(copy, copy / "script.py")
    assert {"fpkit", "fpkit/figures", "fpkit/figures/kinds", "fpkit/figures/kinds/synthetic", STYLE} <= set(before)
    (copy / "fpkit/figures/__init__.py").write_text("import math\n")
    after = hashes(copy, copy / "script.py")
    assert {name for name in before if before[name] != after[name]} == {"fpkit/figures"}


def test_imports_of_a_script_are_found_in_every_form_and_place(copy):
    script = copy / "forms.py"
    script.write_text(
        "import fpkit.measures.convergence as c\n"
        "from fpkit.training import networks\n"
        "from fpkit.store.schedule import record_steps\n"
        "import os, numpy\n"
        "def late():\n    from fpkit.errors import UserError\n"
    )
    found = set(hashes(copy, script))
    wanted = {"fpkit/measures/convergence", "fpkit/training/networks", "fpkit/store/schedule", "fpkit/errors", "fpkit"}
    wanted |= {"fpkit/measures", "fpkit/store", "fpkit/training"}
    of_networks = {"fpkit/training/activations", "fpkit/training/initialization", "fpkit/parts"}
    of_networks |= {"fpkit/training/transformer", "fpkit/training/work"}
    assert found == wanted | of_networks | {"forms.py"}


def test_new_import_brings_its_module_in(copy):
    before = set(hashes(copy, copy / "script.py"))
    assert "fpkit/measures/convergence" not in before
    file = copy / f"{STYLE}.py"
    file.write_text(file.read_text() + "\nfrom fpkit.measures import convergence\n")
    assert set(hashes(copy, copy / "script.py")) == before | {"fpkit/measures", "fpkit/measures/convergence"}


# --- one's own code ---------------------------------------------------------------------------------------------------

# The part is own.part:model; all files but the last are imported by it, or by one that it imports, each in another way.
OWN_FILES = {
    "own/__init__.py": "",
    "own/part.py": "import plain, deep.er.module as m\nfrom . import beside\nfrom .sub.low import thing\n\n\n"
    "def model():\n    from late import number\n    return number\n",
    "plain.py": "import beyond\nimport own.part\n",  # in a circle
    "beyond.py": "X = 1\n",
    "late.py": "number = 1\n",
    "own/beside.py": "from .starred import *\n",
    "own/starred.py": "Y = 1\n",
    "own/sub/__init__.py": "Z = 1\n",
    "own/sub/low.py": "from ..cousin import thing\n",
    "own/cousin.py": "from folder import in_folder\nthing = 1\n",
    "folder/in_folder.py": "W = 1\n",  # in a package without __init__.py
    "deep/__init__.py": "",
    "deep/er/__init__.py": "",
    "deep/er/module.py": "from fpkit.measures import convergence\n",
    "never.py": "V = 1\n",
}
PART = "own.part:model"


@pytest.fixture
def own(copy):
    """Beside the script and the package, a part of one's own and all that it imports."""
    for path, text in OWN_FILES.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(text)
    return copy


@pytest.mark.parametrize("path", sorted(OWN_FILES))
def test_own_code_is_followed_through_its_imports(own, path):
    before = hashes(own, own / "script.py", PART)
    (own / path).write_text(f"{(own / path).read_text()}\nEDITED = True\n")
    name = path.removesuffix(".py").removesuffix("/__init__")
    assert changed(before, hashes(own, own / "script.py", PART)) == ({name} if name != "never" else set())


def test_own_code_brings_in_what_it_imports_of_the_package(own):
    plain, with_own = hashes(own, own / "script.py"), hashes(own, own / "script.py", PART)
    assert plain.items() <= with_own.items()
    assert "fpkit/measures/convergence" in with_own.keys() - plain.keys()


@pytest.mark.parametrize("ending", [EXTENSION_SUFFIXES[0], ".so", ".cpp"])
def test_compiled_code_of_ones_own_counts_by_its_bytes(own, ending):
    """An extension takes the place of a module; C++ source stands beside one."""
    (own / f"plain{ending}").write_bytes(b"\x7fELF one")
    before = hashes(own, own / "script.py", PART)
    (own / f"plain{ending}").write_bytes(b"\x7fELF two")
    assert changed(before, hashes(own, own / "script.py", PART)) == {"plain"}


@pytest.mark.parametrize(
    "text",
    [b"def broken(:\n", b"x = '\x00'\n", b"x = '\\d'\n", b"x = '\xff'\n"],
    ids=["syntax", "null", "escape", "bytes"],
)
def test_code_that_is_broken_or_odd_is_hashed_all_the_same(own, text):
    """It is told when it is imported, if it is."""
    (own / "plain.py").write_bytes(text)
    before = hashes(own, own / "script.py", PART)
    (own / "plain.py").write_bytes(text + b"y = 1\n")
    assert {"plain"} <= changed(before, hashes(own, own / "script.py", PART)) <= {"plain", "beyond"}


def installed(folder: Path, name: str, version: str, module: str = "") -> Path:
    """A folder of installed packages: what pip writes down of one, and its module if there is to be one."""
    site = folder / "site-packages"
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if module:
        (site / f"{module}.py").write_text("def wave(x):\n    return x\n")
        (about / "RECORD").write_text(f"{module}.py,,\n")
    return site


@pytest.mark.parametrize("distribution", ["waves", "python-waves"])
def test_installed_packages_count_by_their_version(own, tmp_path, distribution):
    (own / "late.py").write_text("import waves\nnumber = waves.wave(1)\n")
    one, two = (installed(tmp_path / version, distribution, version, "waves") for version in ("1.0", "1.1"))
    (two / "waves.py").write_text("def wave(x):\n    return 2 * x\n")
    assert versions(own, own / "script.py", PART, path=[one])[distribution] == "1.0"
    assert versions(own, own / "script.py", PART, path=[two])[distribution] == "1.1"
    same = hashes(own, own / "script.py", PART, path=[one])
    assert hashes(own, own / "script.py", PART, path=[two]) == same


def test_an_installed_module_of_which_no_version_is_known_counts_by_its_bytes(own, tmp_path):
    site = installed(tmp_path, "other", "1.0", "waves")
    shutil.rmtree(site / "other-1.0.dist-info")
    (own / "late.py").write_text("import waves\nnumber = waves.wave(1)\n")
    before = hashes(own, own / "script.py", PART, path=[site])
    (site / "waves.py").write_text("def wave(x):\n    return 2 * x\n")
    assert changed(before, hashes(own, own / "script.py", PART, path=[site])) == {"waves"}


def test_a_part_in_an_installed_package_counts_by_version_and_file(own, tmp_path):
    site = installed(tmp_path, "waves", "1.0", "waves")
    before = lines(own, own / "script.py", "waves:wave", path=[site])
    assert "waves==1.0" in before
    (site / "waves.py").write_text("def wave(x):\n    return 2 * x\n")
    edited = set(before) ^ set(lines(own, own / "script.py", "waves:wave", path=[site]))
    assert {line.split("@")[0] for line in edited} == {"waves"}


# --- libraries and Pythons --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "modules", "libraries"),
    [
        ("train.py", [], {"numpy", "torch"}),
        ("make_dataset.py", ["fpkit.datasets.sines"], {"numpy"}),
        ("make_dataset.py", ["fpkit.datasets.digits"], {"numpy", "scikit-learn"}),
        ("decompose.py", ["fpkit.measures.kinds.fft"], {"numpy", "scipy"}),
        ("decompose.py", ["fpkit.measures.kinds.projection"], {"numpy", "scipy", "finufft"}),
    ],
)
def test_libraries_that_a_job_computes_with_are_compared(script, modules, libraries, tmp_path):
    here = versions(ROOT, SCRIPTS / script, *modules)
    assert set(here) >= libraries
    assert here == {library: metadata.version(library) for library in here}
    for library in libraries:  # another version of each, as pip would have written it down
        site = installed(tmp_path / library, library, "99.9")
        assert versions(ROOT, SCRIPTS / script, *modules, path=[site]) == here | {library: "99.9"}


# What Pythons parse or print differently, or may.
TRICKY = r'''
from math import *
typed: int = 3
def f(x, /, *rest: int, key=None, **more): return x
class C(metaclass=type):
    async def g(self):
        """Said."""
        global a, b
        return [await y async for y in self if not y], {**self}, lambda: (yield), u"old", b"\xff", 1e400, -1j, ...
def h(x, width=3, sign="é\U0001fae8"):
    match x:
        case {"a": [1, *_], **others} | C(b=2, c=others):
            return f"{x!r:>{width}}{{}}" "and" f" {sign=} \N{EM DASH}{x:}" f'{x:%Y-{width}}', "a" "b", f"" "c" f"d"
'''


def other_pythons() -> list[Path]:
    """Interpreters of other versions that this machine has, one of each."""
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    found += sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    tried = {f"(3, {sys.version_info[1]})": None}
    for python in filter(None, found):
        told = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        tried.setdefault(told.stdout.strip(), Path(python))
    return [tried[version] for minor in range(11, 20) if tried.get(version := f"(3, {minor})")]


def test_every_python_hashes_alike(own):
    pythons = other_pythons()
    if not pythons:
        pytest.skip("no other Python from 3.11 on is on this machine")
    (own / "plain.py").write_text(TRICKY, encoding="utf-8")
    sources = sorted(path.relative_to(own) for path in (own / "fpkit").rglob("*.py"))
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in sources]
    here = hashes(own, own / "script.py", PART, *modules)
    assert {"plain", "fpkit/config", "fpkit/training/compiled"} <= set(here)
    for python in pythons:
        assert hashes(own, own / "script.py", PART, *modules, python=python) == here, python


# --- what each job of the workflow depends on -------------------------------------------------------------------------


def test_training_depends_on_no_spectra_no_figures_and_no_claims():
    found = modules_of("train.py")
    assert {"train.py", "fpkit/training/run", "fpkit/training/trainer", "fpkit/store/predictions"} <= found
    assert not [name for name in found if name.startswith(("fpkit/measures", "fpkit/figures", "fpkit/claims"))]
    assert "fpkit/config" not in found  # whose defaults are in the parameters already


def test_decomposition_by_one_measure_depends_on_no_other():
    found = modules_of("decompose.py", "fpkit.measures.kinds.fft")
    assert {
        "fpkit/measures/kinds/fft",
        "fpkit/measures/spectra",
        "fpkit/measures/convergence",
        "fpkit/store/predictions",
    } <= found
    other = ("fpkit/measures/kinds/projection", "fpkit/measures/kinds/filtering", "fpkit/training", "fpkit/figures")
    assert not [name for name in found if name.startswith(other)]


def test_one_figure_depends_on_no_other_and_on_no_spectra():
    found = modules_of("plot.py", "fpkit.figures.kinds.synthetic")
    assert {"fpkit/figures/kinds/synthetic", "fpkit/figures/style"} <= found
    other = ("fpkit/figures/kinds/projection", "fpkit/figures/kinds/filtering", "fpkit/measures", "fpkit/training")
    assert not [name for name in found if name.startswith(other)]


def test_data_set_depends_on_its_own_module_and_no_other():
    found = modules_of("make_dataset.py", "fpkit.datasets.sines")
    assert "fpkit/datasets/sines" in found
    other = ("fpkit/datasets/digits", "fpkit/datasets/mnist", "fpkit/training")
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
        ("import fpkit.config, fpkit.jobs.job, fpkit.jobs.progress", HEAVY),
        ("import fpkit.training.trainer, fpkit.training.stacked", HEAVY - {"torch"} | {"pydantic"}),
        ("import fpkit.training.run", HEAVY - {"zarr"} | {"pydantic"}),
        ("import fpkit.figures.kinds.filtering, fpkit.claims", {"torch", "zarr", "snakemake"}),
    ],
)
def test_import_loads_no_more_than_it_needs(statement, forbidden):
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "fpkit" in loaded
    assert not loaded & forbidden
