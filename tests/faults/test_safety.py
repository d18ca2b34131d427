"""Safe by construction: what the sources do not do, and the table of faults as it should be."""

import ast
import importlib
import re

import pytest
import yaml
from conftest import REPOSITORY

from faults.conftest import TABLE, rows
from fpkit.datasets.files import SHA256

SOURCES = [
    *sorted((REPOSITORY / "fpkit").rglob("*.py")),
    *sorted((REPOSITORY / "benchmarks").glob("*.py")),
    *sorted((REPOSITORY / "workflow/scripts").glob("*.py")),
]
RULES = [
    REPOSITORY / "Snakefile",
    REPOSITORY / "workflow/Snakefile",
    *sorted((REPOSITORY / "workflow/rules").glob("*.smk")),
]
# Modules and functions that run what they read, or what they are told.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput", "read_pickle", "to_pickle"}


def unsafe(text: str) -> list[str]:
    """What a module does that it should not, one line each."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES]
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in UNSAFE_CALLS or called.split(".")[-1] in UNSAFE_CALLS - {"compile"} or "pickle" in called:
            found.append(called)
        if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
            found.append(f"{called} with {given}")
        if called == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if called in ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load") and "Loader" not in given:
            found.append(f"{called} without a loader")
        if called == "yaml.load" and "Loader" in given and given["Loader"] not in SAFE_LOADERS:
            found.append(f"yaml.load with {given['Loader']}")
    return found


SAFE_LOADERS = {"_UniqueKeyLoader"}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "eval(x)", "os.system(x)", "np.load(x, allow_pickle=True)",
        "subprocess.run(x, shell=True)", "torch.load(x)", "torch.load(x, weights_only=False)", "yaml.load(x)",
        "yaml.load(x, Loader=yaml.Loader)", "pd.read_pickle(x)", "builtins.exec(x)", "yaml.unsafe_load(x)",
    ],
)  # fmt: skip
def test_each_unsafe_way_is_noticed(text):
    assert unsafe(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_sources_run_nothing_that_they_read(path):
    assert unsafe(path.read_text(encoding="utf-8")) == []


def test_yaml_is_read_by_a_safe_loader():
    reading = importlib.import_module("fpkit.config.reading")
    assert all(issubclass(getattr(reading, name), yaml.SafeLoader) for name in SAFE_LOADERS)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_shell_commands_hold_no_word_of_the_configuration(path):
    """Of a rule's files, and of Python's paths, quoted: names in the configuration cannot leave theirs."""
    text = path.read_text(encoding="utf-8")
    commands = re.findall(r"^    shell:\n((?:        .*\n)+)", text, re.MULTILINE)
    assert len(commands) == len(re.findall(r"\bshell\b(?!\.)", re.sub("#.*", "", text)))
    for command in commands:
        literal = ast.literal_eval(command.strip())  # a constant: nothing is put into it but by Snakemake
        wanted = {"PYTHON:q", "HERE:q", "wildcards.benchmark", "output.table", "output.picture", "input.table", "log"}
        assert set(re.findall(r"\{(.*?)\}", literal)) <= wanted


def test_every_download_has_a_hash():
    assert SHA256
    for kind, files in SHA256.items():
        assert files, kind
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in files.values()), kind
    fetching = [path for path in SOURCES if re.search(r"urlopen|urlretrieve|requests\.|pooch\.", path.read_text())]
    assert [path.name for path in fetching] == ["files.py"]
    (call,) = re.findall(r"pooch\.retrieve\(.*", fetching[0].read_text())
    assert 'known_hash=f"sha256:{known}"' in call


def test_every_row_of_the_table_names_tests_that_exist():
    text = TABLE.read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| fault ")]
    assert len(table) == len(rows()) > 20, "a row without a test"
    for fault, tests in rows():
        for test in tests:
            file, name = test.split("::")
            functions = {node.name for node in ast.parse((REPOSITORY / file).read_text()).body if hasattr(node, "name")}
            assert name in functions, f"{fault}: there is no {test}"
