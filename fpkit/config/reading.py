"""A YAML file as plain mappings, lists and values; what is broken in it is told with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fpkit.config.fields import EXPONENT
from fpkit.config.overlays import DEEPEST
from fpkit.config.problems import ConfigError

# A configuration of more parts and letters is a slip.
LARGEST = 10**6


def read_yaml(path: str | Path) -> dict:
    """The mapping in a YAML file.

    Raises ConfigError naming the file, and the line where it is broken or repeats a key.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).split("\n")[0] or type(error).__name__
        raise ConfigError([f"{path}{line}: broken YAML: {what}"]) from error
    if not isinstance(content, dict):
        raise ConfigError([f"{path}: holds no mapping; give datasets:, experiments:, claims:, figures:"])
    if "__use_yte__" in content:
        raise ConfigError([f"{path}: __use_yte__ runs code that stands in a configuration; leave it out"])
    check_extent(content, str(path))
    return _with_numbers(content)


def check_extent(content: Any, where: str) -> None:
    """Raises ConfigError where content unfolds to more than a configuration needs: by aliases to aliases, say."""
    left, pending = LARGEST, [(content, 0)]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, dict):
            inner = [*node, *node.values()]
        else:
            inner = node if isinstance(node, list | tuple | set) else ()
        left -= len(node) if isinstance(node, str | bytes) else len(inner)
        if left < 0:
            raise ConfigError(
                [f"{where}: unfolds to more than {LARGEST:,} parts and letters; write less, or fewer aliases"]
            )
        if depth > DEEPEST:
            raise ConfigError([f"{where}: is nested more than {DEEPEST} deep, or within itself; write it flatter"])
        pending += [(child, depth + 1) for child in inner]


class _Exponent(str):
    """A number that YAML 1.1 takes for text: `1e4`. Not everybody who asks for text (a name) wants it as a number."""


def _with_numbers(node: Any, options: bool = False) -> Any:
    """The same with each `_Exponent` as plain text; within options of one's own, which nobody here knows, as a number,
    an integer if it is one.
    """
    if isinstance(node, dict):
        return {str(key): _with_numbers(value, options or key == "options") for key, value in node.items()}
    if isinstance(node, list):
        return [_with_numbers(item, options) for item in node]
    if not isinstance(node, _Exponent):
        return node
    number = float(node)
    return (int(number) if number.is_integer() else number) if options else str(node)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silent overwriting: a key given twice in one mapping is an error."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # `!!bool x`, say
            what = f"{node.value!r:.60} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error

    def construct_mapping(self, node, deep=False):
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "a mapping belongs here", node.start_mark)
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain name", key_node.start_mark)
            if key_node.value in seen and key_node.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_UniqueKeyLoader.add_implicit_resolver("tag:fpkit,exponent", re.compile(rf"^(?:{EXPONENT})$"), list("-+.0123456789"))
_UniqueKeyLoader.add_constructor("tag:fpkit,exponent", lambda loader, node: _Exponent(loader.construct_scalar(node)))
