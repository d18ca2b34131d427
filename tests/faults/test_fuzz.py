"""Any configuration either validates and plans, or fails with a path and a reason: tried at random.

`FPKIT_FUZZ_EXAMPLES=5000 python -m pytest tests/faults/test_fuzz.py` looks deeper, at other examples each time.
"""

import copy
import datetime
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpkit import config, parts
from fpkit.config import ConfigError
from fpkit.datasets import files

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("FPKIT_FUZZ_EXAMPLES", 0))
# The same examples everywhere, unless more are asked for.
FUZZ = settings(
    max_examples=EXAMPLES or 250, derandomize=not EXAMPLES, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip


# --- configurations to start from -------------------------------------------------------------------------------------


def with_one(raw: dict, name: str) -> dict:
    """The configuration cut down to one experiment, what it needs and what is about it."""
    sweep = raw["experiments"][name].get("sweep", {})
    datasets = {raw["experiments"][name]["dataset"], *sweep.get("dataset", [])}
    claims = {key: claim for key, claim in raw["claims"].items() if claim["experiment"] == name}
    claims = {  # without the claims that they explain where those are about others
        key: {option: value for option, value in claim.items() if option != "explains" or value in claims}
        for key, claim in claims.items()
    }
    kept = {
        "datasets": {key: raw["datasets"][key] for key in sorted(datasets)},
        "experiments": {name: raw["experiments"][name]},
        "claims": claims,
        "figures": {key: figure for key, figure in raw["figures"].items() if figure.get("experiment") == name},
    }
    return copy.deepcopy(kept)


REAL = config.read_yaml(ROOT / "config.yaml")
SOURCES = [with_one(REAL, name) for name in REAL["experiments"]]
SOURCES += [config.merged(REAL, config.read_yaml(path)) for path in sorted((ROOT / "presets").glob("smoke.yaml"))]


def paths_of(node, prefix=()) -> list[tuple]:
    """The path of every key and list item."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in items for path in [(*prefix, key), *paths_of(value, (*prefix, key))]]


def at(raw, path: tuple):
    for key in path:
        raw = raw[key]
    return raw


KEYS = sorted({str(key) for path in paths_of(REAL) for key in path})
VALUES = sorted({at(REAL, path) for path in paths_of(REAL) if isinstance(at(REAL, path), str)})
EXTREMES = [
    None, True, False, 0, -1, 1, 2**31, 2**64, 10**30, 10**400, -0.0, 1e-320, 1e30, 1e308, float("nan"), float("inf"),
    "", " ", "nan", "-inf", "1e400", "yes", "../x", "/x", "x" * 300, "a\nb", "a\x00b", "\ud800", "{x}", "é",
    "~nobody/x", "os:system", "os.path:join", "no.such:thing", "fpkit.config:Config", [], {}, [[]], [{}], {"": None},
    {"kind": "mlp"}, list(range(200)), datetime.date(2020, 1, 1), {1: 2}, {None: None}, {True: 1}, {"a.b.c": 1}, [None],
]  # fmt: skip
scalars = (
    st.sampled_from(EXTREMES)
    | st.sampled_from(VALUES)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.booleans()
)
keys = st.sampled_from(KEYS) | st.text(max_size=5) | st.sampled_from(["../x", "sweep", "model.widths", "A", "a", ""])
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@st.composite
def mutants(draw) -> dict:
    """A real configuration after a few accidents: dropped, renamed, retyped, extreme, or a part in another's place."""
    raw = copy.deepcopy(draw(st.sampled_from(SOURCES), "source"))
    for _ in range(draw(st.integers(1, 4), "accidents")):
        paths = paths_of(raw)
        if not paths:
            break
        *parents, last = draw(st.sampled_from(paths), "path")
        node = at(raw, tuple(parents))
        accident = draw(st.sampled_from(["drop", "rename", "retype", "extreme", "splice", "add", "twice"]), "accident")
        if accident == "drop":
            del node[last]
        elif accident == "rename" and isinstance(node, dict):
            node[draw(keys, "key")] = node.pop(last)
        elif accident == "retype":
            wrap = draw(st.sampled_from([str, bool, lambda v: [v], lambda v: {"x": v}, as_a_part, list_of]))
            node[last] = wrap(node[last])
        elif accident == "splice":
            node[last] = copy.deepcopy(at(raw, draw(st.sampled_from(paths), "from")))
        elif accident == "add" and isinstance(node, dict):
            node[draw(keys, "key")] = copy.deepcopy(draw(trees, "value"))
        elif accident == "twice" and isinstance(node, dict):
            node[str(last).upper()] = copy.deepcopy(node[last])
        else:
            node[last] = copy.deepcopy(draw(trees, "value"))
    return raw


def as_a_part(value):
    return {"kind": "mlp", "options": value}


def list_of(value):
    return [value, value] if not isinstance(value, dict) else list(value.items())


# --- the property -----------------------------------------------------------------------------------------------------


def plans_or_tells(raw: dict) -> bool:
    """Load a configuration and plan it as the workflow does; whether that can be done. Nothing else may happen."""
    try:
        loaded = config.load(raw)
    except ConfigError as error:
        problems = error.problems
    else:
        problems = None
    if problems is not None:
        assert problems
        for line in problems:
            assert line.isprintable(), repr(line)
            assert re.match(r".+?: .", line), f"no path and reason: {line}"
        return False
    places = []
    for name, dataset in loaded.all_datasets.items():
        files.is_present(dataset.kind, getattr(dataset, "path", None))
        if parts.is_own(dataset.kind):
            assert parts.source_file(dataset.kind).exists()
        places.append(f"datasets/{name}.nc.partial")
    places += [f"report/animations/{name}.html" for name in loaded.figures]
    variants = config.variants(loaded)
    for variant in variants:
        assert variant.dataset in loaded.all_datasets
        assert variant.decomposition
        places.append(f"runs/{variant.experiment}/{variant.name}.partial")
        places += [f"spectra/{variant.experiment}/{variant.name}/{measure}.nc" for measure in variant.decomposition]
    for place in places:
        path = os.path.normpath(f"results/{place}")
        assert path == f"results/{place}", "it leads elsewhere"
        assert all(len(part.encode()) <= 255 for part in path.split("/")), path
        assert re.fullmatch(r"[\w.,+~/-]+", path, re.ASCII), path
    assert len({place.lower() for place in places}) == len(places)
    assert repr(config.variants(loaded)) == repr(variants)
    assert config.plain(config.load(config.plain(loaded))) == config.plain(loaded)
    return True


def test_every_configuration_to_start_from_plans():
    assert all(plans_or_tells(source) for source in SOURCES)


@FUZZ
@given(raw=mutants())
def test_a_real_configuration_after_a_few_accidents(raw):
    plans_or_tells(raw)


@FUZZ
@given(raw=st.dictionaries(st.sampled_from(list(config.Config.model_fields)) | keys, trees, max_size=5))
def test_a_random_tree(raw):
    plans_or_tells(raw)


@FUZZ
@given(
    sweep=st.dictionaries(
        st.sampled_from([key for key in KEYS if key not in config.Config.model_fields])
        | st.sampled_from(
            ["model.widths", "training.steps", "decomposition.fft.threshold", "record.split", "model.kind"]
        )
        | keys,
        st.lists(trees, max_size=3) | st.dictionaries(keys, trees, max_size=3),
        max_size=3,
    )
)
def test_a_random_sweep(sweep):
    raw = with_one(REAL, "synthetic")
    raw["experiments"]["synthetic"]["sweep"] = sweep
    plans_or_tells(raw)


# --- bytes ------------------------------------------------------------------------------------------------------------

TEXT = yaml.safe_dump(with_one(REAL, "activations")).encode()
TOKENS = [
    b"\t", b"\n", b"\r", b"\x00", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"- ", b": ", b"? ", b"[", b"]", b"{", b"}", b"#",
    b"&a ", b"*a", b"<<: *a", b"!!", b"!x ", b"!!python/object:os.system ", b"!!int ", b"!!float ", b"!!bool ",
    b"!!map ", b"!!timestamp ", b"!!binary ", b"!!set ", b"!!omap ", b"!!seq ", b"%YAML 9.9\n", b"---\n", b"...\n",
    b"'", b'"', b"=", b"|\n", b'"\\ud800"', b">-\n", b"0x", b"0o8", b"1e", b"1:60:60", b".nan", b".inf", b"2020-99-99",
    b"~", b"@", b"`", b"[" * 200, b"9" * 5000,
]  # fmt: skip


@FUZZ
@given(data=st.data())
def test_bytes_of_a_file(data, tmp_path_factory):
    content = TEXT
    for _ in range(data.draw(st.integers(0, 5), "accidents")):
        start = data.draw(st.integers(0, len(content)), "start")
        length = data.draw(st.integers(0, 30), "length")
        put = data.draw(st.sampled_from(TOKENS) | st.binary(max_size=6), "put")
        content = content[:start] + put + content[start + length :]
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(content)
    try:
        raw = config.read_yaml(path)
    except ConfigError as error:
        (line,) = error.problems
        assert line.isprintable()
        assert line.startswith(str(path))
    else:
        plans_or_tells(raw)


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("table", "entry"),
    [
        ("datasets", [1, 2]),
        ("experiments", {"synthetic": 3.5, "{experiment}": {"dataset": {}, "sweep": {"": [[]]}}}),
        ("figures", {"synthetic": {"kind": "order", "experiment": "synthetic"}}),
    ],
    ids=["a list of datasets", "a number and a wildcard", "nothing wrong"],
)
def test_the_workflow_says_the_same(table, entry, project):
    """What the library refuses, Snakemake refuses in the same words; what it takes, Snakemake plans."""
    raw = with_one(REAL, "synthetic") | {table: entry}
    (project / "config.yaml").write_text(yaml.safe_dump(raw))
    done = project.snakemake("--dry-run", "figures", overlays=())
    if plans_or_tells(raw):
        assert done.returncode == 0
        assert "rule train:" in done.stdout
    else:
        with pytest.raises(ConfigError) as error:
            config.load(raw)
        assert done.returncode == 1
        said = (done.stdout + done.stderr).splitlines()
        assert said[-len(error.value.problems) :] == error.value.problems
