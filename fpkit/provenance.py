"""Which code a job runs: hashes of a script and of every fpkit module that it imports, directly or not.

The hash is that of the syntax tree without docstrings: comments, layout and a touched file change nothing. A module's
C++ source beside it, of the same name, counts whole.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import grimp

from fpkit import parts

PACKAGE = Path(__file__).parent


@cache  # a workflow asks for every one of its jobs
def code_hashes(script: str | Path, *modules: str) -> tuple[str, ...]:
    """Sorted `path@hash` of `script`, of the fpkit modules it imports, of `modules`, and of all that these import.

    Args:
        modules: what the script imports by name at run time, which its text does not show: dotted names of fpkit
            modules, or a user's own parts (`package.module:name`), of which the one file counts.
    """
    graph = _import_graph()
    own = {module for module in modules if parts.is_own(module)}
    direct = set(modules) - own | _imported(Path(script), graph.modules)
    used = set().union(direct, *(graph.find_upstream_modules(module) for module in direct))
    used |= {".".join(module.split(".")[:depth]) for module in used for depth in range(1, module.count(".") + 1)}
    files = {module.replace(".", "/"): _file(module) for module in used}
    files |= {part: parts.source_file(part) for part in own}
    hashes = [f"{name}@{_hash(file)}" for name, file in {Path(script).name: Path(script), **files}.items()]
    return tuple(sorted(hashes))


@cache
def _import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("fpkit", cache_dir=None)


def _imported(script: Path, known: set[str]) -> set[str]:
    """The fpkit modules that a script imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & known


def _file(module: str) -> Path:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _hash(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    compiled = file.with_suffix(".cpp")
    code = ast.dump(tree).encode() + (compiled.read_bytes() if compiled.exists() else b"")
    return hashlib.sha256(code).hexdigest()[:12]
