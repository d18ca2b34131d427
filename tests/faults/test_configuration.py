"""Faults of the configuration: whatever is written there is refused in one line, at once, before anything runs."""

import copy
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from conftest import on_linux

from fpkit import config, parts
from fpkit.config import ConfigError
from fpkit.datasets import files
from fpkit.errors import UserError

ROOT = Path(__file__).parents[2]

RAW = {
    "datasets": {
        "waves": {"kind": "sines", "frequencies": [1, 2], "samples": 32, "test_samples": 16},
        "circle": {"kind": "sines", "frequencies": [1, 2], "samples": 32, "embedding": "circle"},
        "digits": {"kind": "digits"},
    },
    "experiments": {
        "one": {
            "dataset": "waves",
            "model": {"kind": "mlp", "widths": [8]},
            "training": {"steps": 10, "members": 2},
            "decomposition": {"fft": {}},
        },
        "theory": {
            "dataset": "circle",
            "model": {"kind": "mlp", "widths": [8]},
            "training": {"optimizer": "sgd"},
            "decomposition": {"ntk": {}},
        },
    },
    "figures": {"lines": {"kind": "synthetic", "experiment": "one"}},
}


def changed(**values) -> dict:
    """The configuration with values at paths of keys parted by two underlines."""
    raw = copy.deepcopy(RAW)
    for path, value in values.items():
        *parents, last = path.split("__")
        node = raw
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    return raw


def problem(raw: dict) -> str:
    """The one problem of a configuration, in one line."""
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    (line,) = error.value.problems
    assert line.isprintable()
    return line


def unfolded(raw: dict) -> list[config.Variant]:
    return [variant for variant in config.variants(config.load(raw)) if variant.experiment == "one"]


def test_the_configuration_that_is_spoiled_here_is_right():
    assert len(config.variants(config.load(RAW))) == 2


# --- files ------------------------------------------------------------------------------------------------------------


def bomb(level: str, first: str, levels: int) -> str:
    """Each level holds the one before several times: `levels` lines that unfold to more than any memory."""
    lines = [f"  a0: &a0 {first}"]
    lines += [f"  a{n}: &a{n} {level.format(*[f'*a{n - 1}'] * 10)}" for n in range(1, levels)]
    return "x:\n" + "\n".join(lines) + "\n"


LISTS = bomb("[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}]", "[z, z]", 15)
MAPPINGS = bomb("{{a: {}, b: {}, c: {}}}", "{a: z}", 40)
TEXTS = bomb("[{}, {}, {}, {}]", "z" * 10_000, 6)

BROKEN = {
    "a tag of Python": ("a: 1\nb: !!python/object/apply:os.system [exit]\n", r"line 2: broken YAML: .*python/object"),
    "no boolean": ("a: 1\nb: !!bool perhaps\n", r"line 2: broken YAML: 'perhaps' is no bool"),
    "no time": ("a: !!timestamp noon\n", r"line 1: broken YAML: 'noon' is no timestamp"),
    "no integer": ("a: !!int ''\n", r"line 1: broken YAML: '' is no int"),
    "an integer of 5,000 digits": (f"a: {'1' * 5000}\n", r"line 1: broken YAML: '1+ is no int"),
    "no date": ("a: 2020-13-45\n", r"line 1: broken YAML: '2020-13-45' is no timestamp"),
    "no mapping": ("a: !!map text\n", r"line 1: broken YAML: a mapping belongs here"),
    "code": ("__use_yte__: true\n", r": __use_yte__ runs code"),
    "deep": ("a: " + "[" * 300 + "]" * 300, r": is nested more than 100 deep"),
    "very deep": ("a: " + "[" * 30_000 + "]" * 30_000, r": broken YAML"),
    "a mapping within itself": ("a: &a {b: *a}\n", r": is nested more than 100 deep, or within itself"),
    "lists of lists of lists": (LISTS, r": unfolds to more than 1,000,000"),
    "mappings of mappings of mappings": (MAPPINGS, r": unfolds to more than 1,000,000"),
    "long texts many times": (TEXTS, r": unfolds to more than 1,000,000"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_no_configuration_is_written_in_is_one_line(case, tmp_path):
    content, pattern = BROKEN[case]
    path = tmp_path / "overlay.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=pattern) as error:
        config.read_yaml(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()


@on_linux
@pytest.mark.parametrize("text", [LISTS, MAPPINGS, TEXTS], ids=["lists", "mappings", "texts"])
def test_a_bomb_that_another_reader_let_pass_is_refused(text):
    """Snakemake reads overlays before this package is asked."""
    raw = yaml.safe_load(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert problem(raw) == "config: unfolds to more than 1,000,000 parts and letters; write less, or fewer aliases"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 300 * 2**10  # KiB


def test_aliases_as_the_notebook_uses_them_are_no_bomb():
    config.load(config.read_yaml(ROOT / "config.yaml"))


# --- numbers ----------------------------------------------------------------------------------------------------------

NUMBERS = {
    "more steps than anybody waits for": ("experiments__one__training__steps", 1e30, "exceeded maximum size"),
    "more members than memory": ("experiments__one__training__members", 10**9, "less than or equal to 100000"),
    "wider than memory": ("experiments__one__model__widths", [10**9], "less than or equal to 100000"),
    "more threads than cores": ("experiments__one__training__threads", 10**6, "less than or equal to 1024"),
    "more steps than a day has": ("experiments__one__training__steps", 10**10, "less than or equal to 1000000000"),
    "400 digits": ("experiments__one__training__steps", 10**400, r"less than .*, not 10+\.\.\.$"),
    "a seed of 65 bits": ("experiments__one__training__seed_offset", 2**64, "less than 4294967296"),
    "beyond single precision": ("experiments__one__training__learning_rate", 1e300, "less than .* 10{30}, not 1e"),
    "true for a number": ("experiments__one__training__steps", True, "give a number, not True"),
    "false for a number": ("datasets__waves__noise", False, "give a number, not False"),
    "true in a list": ("datasets__waves__frequencies", [1, True], "give a number, not True"),
    "nan": ("experiments__one__training__learning_rate", float("nan"), "finite number, not nan"),
    "inf": ("experiments__one__training__learning_rate", float("inf"), "finite number, not inf"),
    "-inf": ("datasets__waves__interval", [float("-inf"), 1], "finite number, not -inf"),
    "nan as text": ("experiments__one__training__learning_rate", "nan", "finite number, not 'nan'"),
    "negative": ("experiments__one__training__learning_rate", -1e-3, "greater than 0, not -0.001"),
    "zero": ("experiments__one__training__steps", 0, "greater than 0, not 0"),
    "half a step": ("experiments__one__training__steps", 0.5, "valid integer"),
    "no frequency": ("experiments__one__decomposition__fft", {"frequencies": []}, "at least 1 item"),
    "no sample": ("datasets__digits__limit", 0, "greater than 0, not 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_is_none_or_out_of_bounds_is_one_line(case):
    path, value, what = NUMBERS[case]
    line = problem(changed(**{path: value}))
    assert line.startswith(path.replace("__", "."))
    assert re.search(what, line), line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"experiments__one__record": {"split": "test"}, "datasets__waves__test_samples": 4},
            "experiments.one.record.split: frequency 2 is not below the Nyquist frequency 2 of the 4 test samples of"
            " 'waves'; raise test_samples",
        ),
        (
            {"experiments__one__record": {"split": "test"}, "datasets__waves__test_samples": 0},
            "experiments.one.record.split: frequency 2 is not below the Nyquist frequency 0 of the 0 test samples of"
            " 'waves'; raise test_samples",
        ),
        (
            {"experiments__one__decomposition": {"fft": {"frequencies": [1, 17]}}},
            "experiments.one.decomposition.fft.frequencies: 17 is beyond the Nyquist frequency 16 of the 32 train"
            " samples of 'waves'; lower it",
        ),
        (
            {"experiments__theory__decomposition": {"ntk": {"modes": [16]}}},
            "experiments.theory.decomposition.ntk.modes: 16 is beyond 15, what 32 samples on the circle allow;"
            " lower it",
        ),
        (
            {"experiments__one__record": {"split": "all"}},
            "experiments.one.record.split: fft needs train or test, not all",
        ),
        (
            {"experiments__one__sweep": {"dataset": ["waves", "few"]},
             "datasets__few": {"kind": "sines", "frequencies": [3], "samples": 6}},
            "datasets.few: frequency 3 is not below the Nyquist frequency 3 of 6 samples on [0, 1); raise samples or"
            " lower the frequency",
        ),
    ],
    ids=["of the target in the test part", "no test part", "followed", "mode on the circle", "two grids", "in a sweep"],
)  # fmt: skip
def test_a_frequency_that_the_samples_cannot_tell_is_refused_with_the_limit(change, line):
    assert problem(changed(**change)) == line


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = ["../x", "/etc/passwd", "a/b", "..", ".", "", " ", "-rf", "x" * 300, "{dataset}", "a$(reboot)", "a;b", "a'b",
         'a"b', "a*b", "a\\b", "a\nb", "a\x00b", "é", "CON:", "~", "a b"]  # fmt: skip


@pytest.mark.parametrize("table", ["datasets", "experiments", "figures"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_of_results_or_is_none_is_refused(table, name):
    raw = copy.deepcopy(RAW)
    raw[table][name] = next(iter(RAW[table].values()))
    line = problem(raw)
    assert line.startswith(f"{table}.")
    assert line.endswith("is no name; use letters, digits, '_', '+' and '-', 100 at most")


@pytest.mark.parametrize("value", ["../x", "/x", "a b", "a;b", "{w}", "*", "x" * 300])
def test_a_point_of_a_sweep_that_is_no_file_name_is_refused(value):
    raw = changed(experiments__one__sweep={"dataset": [value]}, **{"datasets__waves": RAW["datasets"]["waves"]})
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    assert any("give the values names" in line for line in error.value.problems)
    with pytest.raises(ConfigError) as error:
        config.load(changed(experiments__one__sweep={"training": {value: {"steps": 5}}}))
    assert any("is no name" in line for line in error.value.problems)


@pytest.mark.parametrize("table", ["datasets", "experiments", "figures"])
def test_names_that_differ_in_case_alone_are_refused(table):
    """On a disk that ignores case they would be one file."""
    raw = copy.deepcopy(RAW)
    name, entry = next(iter(RAW[table].items()))
    raw[table][name.upper()] = entry
    assert problem(raw) == (
        f"{table}: '{name.upper()}' and '{name}' differ in case alone, which some file systems ignore; rename one"
    )


@pytest.mark.parametrize(
    ("sweep", "pattern"),
    [
        ({"training.learning_rate": [0.1, "1e-1"]}, r"two variants are called 'learning_rate~0\.1'"),
        ({"training": {"Fast": {"steps": 5}, "fast": {"steps": 6}}}, r"'training~Fast' and 'training~fast' differ in"),
        ({"training": {"a": {"steps": 5}, "b": {"steps": 5}}}, r"'training~a' and 'training~b' are the same; drop one"),
        ({"training": {"a": {"steps": 5}, "b": {"steps": 6}}, "training.steps": [7]}, r"are the same; drop one"),
        ({"sweep": [{}]}, r"a sweep cannot sweep itself"),
        ({"sweep.model.activation": ["relu", "tanh"]}, r"a sweep cannot sweep itself"),
        ({"training.seed_offset": list(range(10_001))}, r"unfolds to 10,001 variants; 10,000 at most"),
        ({f"training.{key}": list(range(1, 400)) for key in ("steps", "members", "seed_offset", "batch_size")},
         r"unfolds to 25,344,958,401 variants"),
    ],
    ids=["one value, written twice", "case", "the same recipe", "one axis hides another", "itself", "within itself",
         "many", "a product"],
)  # fmt: skip
def test_a_sweep_whose_names_would_not_say_what_was_done_is_refused(sweep, pattern):
    line = problem(changed(experiments__one__sweep=sweep))
    assert line.startswith("experiments.one.sweep")
    assert re.search(pattern, line), line


def test_every_value_of_a_sweep_reaches_its_variant_in_whatever_order_the_axes_stand():
    axes = {"model.widths": [[4], [6]], "model": {"plain": {}, "residual": {"kind": "mlp", "activation": "sin"}}}
    for sweep in (axes, dict(reversed(axes.items()))):
        for variant in unfolded(changed(experiments__one__sweep=sweep)):
            assert ("widths~4" in variant.name) == (variant.model["widths"] == [4])
            assert ("residual" in variant.name) == (variant.model["activation"] == "sin")
    raw = changed(experiments__one__sweep={"decomposition.fft.threshold": [0.1, 0.3]})
    assert [variant.decomposition["fft"]["threshold"] for variant in unfolded(raw)] == [0.1, 0.3]
    raw["experiments"]["one"] |= {"dataset": "digits", "decomposition": {"projection": {}}}
    raw["experiments"]["one"]["sweep"] = {"decomposition.filtering.null_draws": [30, 40]}
    raw["figures"] = {}
    assert [variant.decomposition["filtering"]["null_draws"] for variant in unfolded(raw)] == [30, 40]


# --- parts of one's own -----------------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The folder of a package of the user's own."""
    folder = tmp_path / "own_package"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "own_package"]:
        del sys.modules[name]


@pytest.mark.parametrize("text", ["raise SystemExit(3)\n", "import sys\nsys.exit()\n", "raise ValueError('a\\nb')\n"])
def test_a_package_that_ends_the_process_at_import_is_one_line(mine, text):
    (mine / "__init__.py").write_text(text)
    (mine / "parts.py").write_text("def data():\n    pass\n")
    line = problem(changed(datasets__own={"kind": "own_package.parts:data"}))
    assert line == (
        "datasets.own.kind: cannot find module 'own_package.parts'; put it beside the Snakefile, or install it"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [("raise SystemExit(3)\n", "SystemExit: 3"), ("import nowhere\n", "ModuleNotFoundError: No module")],
)
def test_a_module_that_ends_the_process_at_import_is_one_line_of_its_job(mine, text, why):
    (mine / "parts.py").write_text(f"def data():\n    pass\n\n\n{text}")
    assert config.load(changed(datasets__own={"kind": "own_package.parts:data"}))
    with pytest.raises(UserError, match=rf"^cannot import 'own_package\.parts:data': {why}"):
        parts.load("own_package.parts:data")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 5000, "a\x00b", "/proc/1/root/x", ""])
def test_a_folder_that_cannot_be_is_one_without_files(path):
    assert not files.is_present("fashion_mnist", path)


# --- the workflow -----------------------------------------------------------------------------------------------------

PREAMBLE = ("Using workflow specific profile", "Config file config.yaml is extended")


def told(project, *arguments: str, overlays=()) -> list[str]:
    """What Snakemake says, without a traceback, when it will not start."""
    done = project.snakemake("--dry-run", "figures", *arguments, overlays=overlays)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said, said
    assert not (project / "results").exists()
    return [line for line in said.splitlines() if line and not line.startswith(PREAMBLE)]


@pytest.mark.workflow
def test_the_workflow_refuses_a_bomb_or_code_in_its_configuration_in_one_line(project):
    for content in (MAPPINGS, f"__use_yte__: true\n?open('{project}', 'w'): 1\n"):
        (project / "config.yaml").write_text(content)
        (line,) = told(project)
        assert line.startswith("config.yaml"), line


@pytest.mark.workflow
def test_the_workflow_refuses_overlays_that_snakemake_lets_pass(project):
    (line,) = told(project, overlays=[*project.overlay("figures: {a: {kind: claims}}\nfigures: {}\n")])
    assert re.fullmatch(r"overlay\.yaml, line 2: broken YAML: key 'figures' is given twice", line)
    (line,) = told(project, overlays=[*project.overlay(LISTS)])
    assert line.startswith("overlay.yaml: unfolds to more than")


UNREADABLE = {
    "binary": (bytes(range(256)), "broken YAML"),
    "a tag": (b"a: 1\nb: !!python/name:os.system\n", "line 2: broken YAML"),
    "missing": (None, "No such file"),
}


@pytest.mark.workflow
def test_overlays_that_snakemake_cannot_read_start_nothing_and_the_documented_command_says_where(project):
    """Snakemake reads overlays before anything of ours runs: the first words are its own."""
    for content, what in UNREADABLE.values():
        path = project / "overlay.yaml"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        done = project.snakemake("--dry-run", "figures", overlays=["overlay.yaml"])
        assert done.returncode == 1, done.stdout + done.stderr
        assert not (project / "results").exists()
        check = subprocess.run(
            [sys.executable, "-m", "fpkit.cli", "check", "config.yaml", "overlay.yaml"],
            cwd=project.folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        (line,) = check.stderr.splitlines()
        assert check.returncode == 1
        assert line.startswith("overlay.yaml")
        assert what in line


# --- files of the user's that are called like modules -----------------------------------------------------------------

# Imported by Python itself, by Snakemake, by the package, or by its scripts.
TAKEN = (
    "random",
    "types",
    "platform",
    "yaml",
    "numpy",
    "torch",
    "xarray",
    "zarr",
    "snakemake",
    "pickle",
    "job",
    "fpkit",
)
WAVES = """
from mine import phase
import numpy as np
import xarray as xr


def waves():
    x = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
    parts = {"train": x, "test": x[:0]}
    variables = {f"x_{part}": ((f"sample_{part}", "feature"), x) for part, x in parts.items()}
    variables |= {f"y_{part}": ((f"sample_{part}", "output"), np.sin(3 * x + phase)) for part, x in parts.items()}
    return xr.Dataset(variables, coords={"position_train": ("sample_train", np.arange(16) / 16)})
"""


@pytest.mark.parametrize("elsewhere", [False, True], ids=["beside the Snakefile", "in the working directory"])
def test_a_file_of_the_users_called_like_a_module_takes_the_place_of_none(small, tmp_path, elsewhere):
    """...and files beside it, which the user's own parts import, are found all the same."""
    folder = tmp_path / "work" if elsewhere else small.folder
    folder.mkdir(exist_ok=True)
    for name in TAKEN:
        (folder / f"{name}.py").write_text("raise ImportError('a file of the user was imported')\n")
    (folder / "mine.py").write_text("phase = 0.5\n")
    (folder / "parts_of_mine.py").write_text(WAVES)
    configuration = (small / "config.yaml").read_text()
    sines = "{kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}"
    assert sines in configuration
    (folder / "config.yaml").write_text(configuration.replace(sines, "{kind: 'parts_of_mine:waves'}"))
    where = ("--directory", str(folder)) if elsewhere else ()
    small.make("results/spectra/short/base/fft.nc" if elsewhere else "figures", *where, overlays=())
    with xr.open_dataset(folder / "results/datasets/sines.nc") as dataset:
        np.testing.assert_allclose(dataset.y_train, np.sin(3 * dataset.x_train + 0.5), rtol=1e-6)


def test_a_part_that_stands_behind_a_module_is_told_in_one_line(small):
    (small / "random.py").write_text("def waves():\n    pass\n")
    (small / "mine.yaml").write_text("datasets: {sines: null, more: {kind: 'random:waves'}}")
    done = small.snakemake("--dry-run", "figures", overlays=["mine.yaml"])
    assert done.returncode == 1
    line = (
        rf"^datasets\.more\.kind: .*random\.py defines no 'waves'; rename {small / 'random.py'}, which is called like"
    )
    assert re.search(line, done.stderr, re.MULTILINE), done.stderr
    assert "Traceback" not in done.stderr
