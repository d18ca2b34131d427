"""Parts of the user's own: a model, activation, algorithm, loss or data set, named by its path `package.module:name`.

`problem` and `source_file` look without importing, so that a workflow can be planned fast; `load` imports.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from fpkit.errors import UserError

PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


def is_own(name: str) -> bool:
    """Whether `name` is a dotted path, and not the name of something in the package."""
    return re.fullmatch(PATTERN, name) is not None


def source_file(path: str) -> Path:
    """The file that defines `package.module:name`.

    Raises:
        UserError: no such module, no Python in it, or it defines no such name.
    """
    module, _, name = path.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit):  # the packages above it are imported, and may fail in any way
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(f"cannot find module {module!r}; put it beside the Snakefile, or install it")
    file = Path(spec.origin)
    try:
        missing = file.suffix == ".py" and name not in _names(file)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{file} is no Python: {error}") from error
    if missing:
        raise UserError(f"{file} defines no {name!r}{_hidden(module, file)}")
    return file


def load(path: str) -> Any:
    """The object at `package.module:name`.

    Raises:
        UserError: it cannot be imported, or is not there.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # the user's module may fail in any way
        why = " ".join(f"{type(error).__name__}: {error}".split())  # in one line
        raise UserError(f"cannot import {path!r}: {why}") from error


def _hidden(module: str, found: Path) -> str:
    """What to do where a file of the user's stands behind an installed module of its name."""
    places = [Path(folder, *module.split(".")).with_suffix(".py") for folder in sys.path]
    others = [place for place in places if place.is_file() and place != found]
    return f"; rename {others[-1]}, which is called like it and comes last" if others else ""


def _names(file: Path) -> set[str]:
    """Names bound at the top level of a module."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
