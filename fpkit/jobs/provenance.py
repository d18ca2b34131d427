"""Which code a job runs: hashes of a script and of all that it imports, directly or not, and versions of libraries.

Files are followed through their imports as long as they are the package's or the user's own; what is installed counts
by its version. The hash is that of the syntax tree without docstrings, written down so that every Python writes the
same: comments, layout, a touched file and another Python change nothing. A module's C++ source beside it, of the same
name, counts whole, with what it includes of the files beside it. Nothing is imported for it. Imports by name at run
time (`importlib`) are not seen.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from fpkit.jobs import includes

PACKAGE = "fpkit"
# What the package computes with, by the name it is imported by. What it merely writes, draws or plans with is not.
COMPUTING = ("finufft", "numpy", "scipy", "sklearn", "torch")
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
INSTALLED = {"site-packages", "dist-packages"}
# Fields of a syntax tree that say nothing: they follow from the rest, or are how a text was spelled.
SILENT = {"ctx", "kind", "type_comment", "type_ignores"}
# Time and size of each file that was hashed, as it was before: one that has another now may have been edited since.
STATES: dict[Path, tuple[int, int]] = {}


@cache  # a workflow asks for every one of its jobs
def code_hashes(script: str | Path, *read: str) -> tuple[str, ...]:
    """Sorted `path@hash` of `script`, of what it imports, of what it has `read`, and of all that this imports;
    `name==version` of the libraries that the package computes with, and of all that the user's own code imports.

    Args:
        read: what the script reads at run time, which its text does not show: dotted names of fpkit modules, a user's
            own parts (`package.module:name`), or templates of pages (`folder/page.html.jinja`), which count whole.
    """
    script = Path(script)
    templates = [Path(name) for name in read if name.endswith(".jinja")]
    parts = {name.partition(":")[0] for name in read if not name.endswith(".jinja")}
    counted = {PACKAGE, *COMPUTING, *(part.partition(".")[0] for part in parts)}
    digest, imported = _source(script)
    found, seen = {f"{script.name}@{digest}", *(f"{one.name}@{_bytes_hash(one)}" for one in templates)}, set()
    waiting = [(name, PACKAGE) for name in (*_absolute(imported, ""), *parts)]
    while waiting:
        name, importer = waiting.pop()
        top, around = name.partition(".")[0], name.rpartition(".")[0]
        if (name, importer) in seen or top in sys.stdlib_module_names or (importer == PACKAGE and top not in counted):
            continue
        seen.add((name, importer))
        waiting += [(around, importer)] if around else []  # the packages around a module are imported with it
        spec = _spec(name)
        file = None if spec is None or spec.origin is None else Path(spec.origin)
        if file is None or not file.is_file():  # not installed, no module but a name in one, or a folder of modules
            continue
        if top == PACKAGE or not INSTALLED & set(file.parts):
            digest, imported = _source(file)
            found.add(f"{name.replace('.', '/')}@{digest}")
            inside = name if spec.submodule_search_locations else around
            waiting += [(other, top) for other in _absolute(imported, inside)]
        elif importer != PACKAGE or name in parts or top in COMPUTING:
            found.add(_version(top) or f"{top}@{_bytes_hash(file)}")
            if name in parts:  # installed from a folder, perhaps, over and over with one version
                found.add(f"{name.replace('.', '/')}@{_bytes_hash(file)}")
    return tuple(sorted(found))


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, found without importing the packages around it; None if it is nowhere."""
    package, _, _ = module.rpartition(".")
    if not package:
        try:
            return find_spec(module)
        except ValueError:  # in this process it is something else: `__main__`
            return None
    around = _spec(package)
    if around is None or around.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, around.submodule_search_locations)


@cache
def _version(module: str) -> str | None:
    """`distribution==version` of an installed module; None where nothing is known of it."""
    try:
        name = DISTRIBUTIONS.get(module, module)
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(module)  # slow, as it reads of all that is installed
        return f"{names[0]}=={metadata.version(names[0])}" if names else None


Import = tuple[int, str, tuple[str, ...]]
"""Levels up, module, names taken from it."""


def _absolute(imported: tuple[Import, ...], package: str) -> Iterator[str]:
    """Dotted names of whatever may be a module of what is imported, inside a package."""
    for level, module, names in imported:
        if level:
            around = package.rsplit(".", level - 1)[0] if level > 1 else package
            module = f"{around}.{module}" if module else around
        yield module
        yield from (f"{module}.{name}" for name in names if name != "*")


@cache
def _source(file: Path) -> tuple[str, tuple[Import, ...]]:
    """The hash of a file's code, and what it imports, anywhere in it; of compiled modules the bytes alone count."""
    if file.suffix not in SOURCE_SUFFIXES:
        return _bytes_hash(file), ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape is told when the module is imported
        try:
            tree = ast.parse(_content(file))
        except (SyntaxError, ValueError):  # told by whoever imports it
            return _bytes_hash(file), ()
    imported: list[Import] = []
    code = hashlib.sha256("".join(_written(tree, imported)).encode())
    compiled = file.with_suffix(".cpp")
    for source in includes.whole(compiled):
        code.update(_content(source))
    return code.hexdigest()[:12], tuple(imported)


def _bytes_hash(file: Path) -> str:
    return hashlib.sha256(_content(file)).hexdigest()[:12]


def _content(file: Path) -> bytes:
    found = file.stat()
    STATES.setdefault(file, (found.st_mtime_ns, found.st_size))
    return file.read_bytes()


def _written(tree: ast.AST, imported: list[Import]) -> Iterator[str]:
    """A syntax tree without docstrings as text, the same in every Python: what a later one knows and the code does not
    use is empty, and left out. Imports on the way are appended to `imported`.
    """
    waiting: list = [tree]
    while waiting:
        node = waiting.pop()
        if type(node) is str:
            yield node
        elif type(node) is list:
            waiting.append("]")
            waiting += [child if isinstance(child, ast.AST) else f" {child!a}" for child in reversed(node)]
            yield "["
        else:
            if isinstance(node, ast.Import):
                imported += [(0, alias.name, ()) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
            yield f"({type(node).__name__}"
            waiting.append(")")
            for field in _fields(type(node)):
                value = getattr(node, field, None)
                if field == "body" and isinstance(value, list) and _is_docstring(node, value):
                    value = value[1:]
                elif field == "values" and type(node) is ast.JoinedStr:
                    value = _joined(value)
                if value is None or value == []:
                    continue
                if not isinstance(value, ast.AST | list):
                    value = f"{type(value).__name__}:{value!a}"
                waiting += (value, f" {field}=")


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(sorted(set(kind._fields) - SILENT))


def _is_docstring(node: ast.AST, body: list[ast.stmt]) -> bool:
    return (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and bool(body)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string: Pythons differ in where they cut the text between two of its fields."""
    joined: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(joined[-1].value + value.value)
        elif not isinstance(value, ast.Constant) or value.value:
            joined.append(value)
    return joined
