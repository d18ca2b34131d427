"""Parts of the user's own: found, looked into without being run, loaded, hashed; every mistake told in one line."""

import sys
from pathlib import Path

import pytest
import torch

from fpkit import parts
from fpkit.datasets import sines
from fpkit.errors import UserError
from fpkit.jobs import provenance
from fpkit.training import algorithms, losses, networks

SCRIPT = Path(__file__).parents[1] / "workflow/scripts/train.py"

SOURCE = '''"""A module of the user's."""
import math
from functools import partial as halved, reduce
import os.path

CONSTANT = 3
TYPED: int = 4
first = second = None


def function(x):
    """What it does."""
    inner = x  # and why
    return inner


class Class:
    method = 1
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The folder of a package `mine_parts`, importable, with a module `shapes`."""
    package = tmp_path / "mine_parts"
    package.mkdir()
    (package / "shapes.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "mine_parts"]:
        del sys.modules[name]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a:b", "a.b:c", "_a._b.c1:_d", "package.module:Class"])
def test_dotted_path_is_ones_own(name):
    assert parts.is_own(name)


@pytest.mark.parametrize(
    "name",
    ["relu", "", ":", "a:", ":b", "a.b", "a:b.c", "a:b:c", "1a:b", "a..b:c", ".a:b", "a.:b", "a-b:c", "a b:c", "a:b c",
     "../a:b", "a/b:c", "a:b\n"],
)  # fmt: skip
def test_anything_else_is_not(name):
    assert not parts.is_own(name)


# --- looking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["function", "Class", "CONSTANT", "TYPED", "first", "second", "halved", "reduce", "math"]
)
def test_file_of_whatever_is_bound_at_the_top_is_found_without_importing(mine, name):
    assert parts.source_file(f"mine_parts.shapes:{name}") == mine / "shapes.py"
    assert "mine_parts.shapes" not in sys.modules


@pytest.mark.parametrize("name", ["inner", "method", "partial", "functoin", "x"])
def test_name_that_the_file_does_not_bind_at_the_top_is_told(mine, name):
    with pytest.raises(UserError, match=rf"shapes\.py defines no '{name}'$"):
        parts.source_file(f"mine_parts.shapes:{name}")


@pytest.mark.parametrize("module", ["mine_parts.shape", "mine_prats.shapes", "mine_parts.shapes.deeper", "mine_parts"])
def test_module_that_is_not_there_is_told_with_the_remedy(mine, module):
    message = rf"^cannot find module '{module}'; put it beside the Snakefile, or install it$"
    with pytest.raises(UserError, match=message):
        parts.source_file(f"{module}:function")


@pytest.mark.parametrize("text", ["import nowhere_to_be_found\n", "1 / 0\n", "def broken(:\n"])
def test_broken_parent_package_is_told_as_a_module_that_cannot_be_found(mine, text):
    """Looking for a module imports the packages above it."""
    (mine / "__init__.py").write_text(text)
    with pytest.raises(UserError, match="cannot find module"):
        parts.source_file("mine_parts.shapes:function")


@pytest.mark.parametrize("text", ["def broken(:\n", "x = '\x00'\n"], ids=["syntax", "null byte"])
def test_file_that_is_no_python_is_told_in_one_line(mine, text):
    (mine / "shapes.py").write_text(text)
    with pytest.raises(UserError, match=r"shapes\.py") as error:
        parts.source_file("mine_parts.shapes:broken")
    assert "\n" not in str(error.value)


NESTED = """
import os.path as ways, sys
from math import *
try:
    import nowhere_to_be_found
except ImportError as error:
    def fallback(x):
        local = 1
        return local
else:
    del sys
if (walrus := 3) > 2:
    def under_if(x): return x
    async def later(x): return x
elif True:
    class UnderElif: inside = 1
else:
    under_else = lambda argument: argument
for turn, (left, *right) in [(1, (2, 3))]:
    looped = [item for item in "ab" if (kept := item)]
while False:
    whiled = 1
with open(__file__) as stream, open(__file__) as (other):
    withed: int = 1
    declared: int
match walrus:
    case {"key": captured, **others}: pass
    case [one, *rest] as everything: pass
first, second = 1, 2
gone = 1
del gone
"""
BOUND = ["ways", "fallback", "walrus", "under_if", "later", "UnderElif", "under_else", "turn", "left", "right",
         "looped", "kept", "whiled", "stream", "other", "withed", "captured", "others", "one", "rest", "everything",
         "first", "second", "nowhere_to_be_found"]  # fmt: skip
UNBOUND = ["os", "sys", "error", "local", "inside", "argument", "item", "declared", "gone", "x"]


@pytest.mark.parametrize("name", BOUND)
def test_a_name_bound_below_a_condition_or_a_loop_is_found_without_importing(mine, name):
    (mine / "nested.py").write_text(NESTED.replace("from math import *\n", ""))
    assert parts.source_file(f"mine_parts.nested:{name}") == mine / "nested.py"
    assert "mine_parts.nested" not in sys.modules


@pytest.mark.parametrize("name", UNBOUND)
def test_a_name_that_does_not_last_or_is_of_an_inner_scope_is_not(mine, name):
    (mine / "nested.py").write_text(NESTED.replace("from math import *\n", ""))
    with pytest.raises(UserError, match=rf"nested\.py defines no '{name}'$"):
        parts.source_file(f"mine_parts.nested:{name}")


@pytest.mark.parametrize(
    "text", ["from mine_parts.shapes import *\n", "def __getattr__(name): return name == 'function'\n"]
)
def test_what_only_running_a_module_can_tell_is_asked_of_it(mine, text):
    (mine / "stars.py").write_text(text + "here = 1\n")
    assert parts.source_file("mine_parts.stars:here") == mine / "stars.py"
    assert "mine_parts.stars" not in sys.modules
    assert parts.source_file("mine_parts.stars:function") == mine / "stars.py"
    if "import" in text:
        with pytest.raises(UserError, match=r"cannot import 'mine_parts\.stars:nothing': AttributeError"):
            parts.source_file("mine_parts.stars:nothing")


# --- loading ----------------------------------------------------------------------------------------------------------


def test_loaded_part_is_the_object_itself(mine):
    assert parts.load("mine_parts.shapes:function")(7) == 7
    assert parts.load("mine_parts.shapes:CONSTANT") == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mine_parts.shapes:nothing", r"AttributeError: .*nothing"),
        ("mine_parts.nothing:function", r"ModuleNotFoundError: No module named 'mine_parts\.nothing'"),
        ("mine_parts.broken:function", r"SyntaxError"),
        ("mine_parts.raising:function", r"ZeroDivisionError: division by zero"),
    ],
)
def test_part_that_cannot_be_loaded_is_told_in_one_line(mine, path, message):
    (mine / "broken.py").write_text("def function(:\n")
    (mine / "raising.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match=rf"^cannot import '{path}': {message}") as error:
        parts.load(path)
    assert "\n" not in str(error.value)


def test_error_of_several_lines_is_told_in_one(mine):
    (mine / "raising.py").write_text("raise RuntimeError('one line\\nand another')\n")
    with pytest.raises(UserError) as error:
        parts.load("mine_parts.raising:function")
    assert "\n" not in str(error.value)


def test_package_takes_its_own_parts_by_their_path(mine):
    (mine / "shapes.py").write_text(
        "import torch\n"
        "def bump(x):\n    return x * x\n"
        "def descend(parameters, learning_rate):\n    return torch.optim.SGD(parameters, lr=learning_rate)\n"
        "def worst(output, target):\n    return (output - target).abs().amax(dim=(1, 2))\n"
    )
    own = "mine_parts.shapes"
    options = {"activation": f"{own}:bump", "initialization": "he", "std": 0.1, "widths": [3]}
    network = networks.build("mlp", (2,), 1, **options)
    flat = torch.nn.Parameter(torch.cat([parameter.flatten() for parameter in network.initialize([0, 1])]))
    algorithm = algorithms.build(f"{own}:descend", flat, 0.5, 0.0, False)
    assert type(algorithm.optimizer).__name__ == "SGD"
    assert algorithm.optimizer.defaults["lr"] == 0.5
    assert losses.build(f"{own}:worst") is parts.load(f"{own}:worst")


# --- hashes -----------------------------------------------------------------------------------------------------------


def hashes(*modules: str) -> dict[str, str]:
    for function in (provenance.code_hashes, provenance._source, provenance._spec):
        function.cache_clear()  # as in a new process
    return dict(line.split("@") for line in provenance.code_hashes(SCRIPT, *modules) if "@" in line)


OWN, FILE = "mine_parts.shapes:function", "mine_parts/shapes"


def test_file_of_ones_own_part_counts_beside_the_code_of_the_package(mine):
    plain, with_own = hashes(), hashes(OWN)
    assert set(with_own) - set(plain) == {FILE}
    assert plain.items() <= with_own.items()


@pytest.mark.parametrize(
    ("old", "new"),
    [("CONSTANT = 3", "CONSTANT = 5"), ("return inner", "return inner + 1"), ("method = 1", "method = 2")],
)
def test_edit_of_the_file_changes_its_hash_alone(mine, old, new):
    before = hashes(OWN)
    (mine / "shapes.py").write_text(SOURCE.replace(old, new))
    after = hashes(OWN)
    assert {name for name in before if before[name] != after[name]} == {FILE}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# and why", "# and why not"),
        ('"""What it does."""', '"""What it does not."""'),
        ("CONSTANT = 3", "CONSTANT = (\n    3\n)"),
        ('"""A module of the user\'s."""', "# a comment"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(mine, old, new):
    before = hashes(OWN)
    assert old in SOURCE
    (mine / "shapes.py").write_text(SOURCE.replace(old, new))
    assert hashes(OWN) == before


def test_several_parts_of_ones_own_each_count(mine):
    (mine / "others.py").write_text("def part(x):\n    return x\n")
    found = hashes(OWN, "mine_parts.others:part", "mine_parts.shapes:Class")
    assert found[FILE] != found["mine_parts/others"]


def test_part_of_ones_own_may_lie_in_an_installed_package():
    assert parts.source_file("fpkit.datasets.sines:build") == Path(sines.__file__)
