"""Parts of the user's own: a model, activation, algorithm, loss or data set, named by its path `package.module:name`.

`source_file` looks without importing where it can, so that a workflow can be planned fast; `load` imports.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fpkit.errors import UserError

PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


def is_own(name: str) -> bool:
    """Whether `name` is a dotted path, and not the name of something in the package."""
    return re.fullmatch(PATTERN, name) is not None


def own_of(model: dict, optimizer: str, loss: str) -> list[str]:
    """The user's own among the parts of a training, by their paths."""
    return [name for name in (model["kind"], model.get("activation"), optimizer, loss) if name and is_own(name)]


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
        bound = _Bound.of(file) if file.suffix == ".py" else None
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{file} is no Python: {error}") from error
    if bound and name not in bound.names:
        if not bound.open:
            raise UserError(f"{file} defines no {name!r}{_hidden(module, file)}")
        load(path)
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


@contextmanager
def blamed(*paths: str, needs: str = "", always: bool = False) -> Iterator[None]:
    """What is raised below by the code of one of these parts is told in one line, with the line of its file.

    Args:
        needs: what is asked of the part, to be told with it. always: blame the first one also for what was raised
            elsewhere: it was called with what belongs to it.

    Raises:
        UserError: instead, raised from it: a lack of memory is still known for one. The part's own are passed on.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's function may fail in any way
        frames = traceback.extract_tb(error.__traceback__)
        why = " ".join(f"{type(error).__name__}: {error}".split())
        for path in paths:
            file = str(source_file(path))
            lines = [frame.lineno for frame in frames if frame.filename == file]
            if lines or always:
                where = f" at {file}, line {lines[-1]}" if lines else ""
                raise UserError(f"{path} failed{where}: {why}" + (f"; {needs}" if needs else "")) from error
        raise


class _Bound(ast.NodeVisitor):
    """Names that a module binds outside of its functions and classes, whether or not its conditions are met.

    `open`: it may have others, which only running it can tell.
    """

    def __init__(self):
        self.names: set[str] = set()
        self.open = False

    @classmethod
    def of(cls, file: Path) -> _Bound:
        bound = cls()
        bound.visit(ast.parse(file.read_text(encoding="utf-8")))
        return bound

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.names.add(node.id)
        elif isinstance(node.ctx, ast.Del):
            self.names.discard(node.id)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.add(node.name)
        self.open |= node.name == "__getattr__"

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:  # else it is a remark
            self.visit(node.target)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Its names are its own."""

    def _comprehension(self, node: ast.AST) -> None:
        # Its names are its own, but for those of `:=`.
        self.names |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.open |= alias.name == "*"
            self.names.add(alias.asname or alias.name.split(".")[0])

    visit_Import = visit_ImportFrom = _import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        for part in node.body:  # `as` names nothing that lasts
            self.visit(part)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.names |= {node.name} - {None}
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.names |= {node.rest} - {None}
        self.generic_visit(node)
