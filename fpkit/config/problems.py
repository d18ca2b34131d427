"""A problem as one line: the place, what is wrong, what is allowed and the nearest match."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any

from pydantic import BaseModel

from fpkit.errors import UserError


class ConfigError(UserError):
    """What is wrong with a configuration: `problems`, one line each, naming the place and the remedy."""

    def __init__(self, problems: list[str]):
        # A line break within a name of the user's must not break the line.
        self.problems = ["".join(char if char.isprintable() else ascii(char)[1:-1] for char in p) for p in problems]
        super().__init__("\n".join(self.problems))


def line(problem: dict, root: type[BaseModel], prefix: str = "") -> str:
    """One pydantic error as `path: what is wrong; did you mean ...? allowed: ...`."""
    kind, given = problem["type"], problem["input"]
    # Pydantic's mark of a key that is wrong itself, behind it; an unknown one may be called so.
    of_a_key = kind != "extra_forbidden" and problem["loc"][-1:] == ("[key]",)
    location, schema_node = _path(root, problem["loc"][:-1] if of_a_key else problem["loc"])
    where = prefix + ".".join(location) if location else prefix.rstrip(".") or "config"
    if kind == "extra_forbidden":
        return f"{where}: {unknown('key', location[-1], keys(*schema_node))}"
    if kind == "missing":
        return f"{where}: is missing; give it"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"]) or [problem["ctx"]["expected"]]
        return f"{where}: {unknown('', given, allowed)}"
    if kind == "unknown_part":
        return f"{where}: {unknown('', given, problem['ctx']['allowed'])}"
    if kind == "union_tag_invalid":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected_tags"].replace("'own'", "'package.module:name'"))
        return f"{where}.kind: {unknown('', problem['ctx']['tag'], allowed)}"
    if kind == "union_tag_not_found":
        return f"{where}.kind: is missing; say which kind"
    if of_a_key:
        return f"{where}: {given!r} is no name; use letters, digits, '_', '+' and '-', 100 at most"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where}: {message}" + ("" if kind == "value_error" else f", not {_shown(given)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(what: str, given: Any, allowed) -> str:
    allowed = [str(option) for option in allowed]
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what + ' ' if what else ''}{given!r}{hint} (allowed: {', '.join(allowed) or 'none'})"


@cache
def _schema(root: type[BaseModel]) -> dict:
    return root.model_json_schema()


def _path(root: type[BaseModel], loc: tuple) -> tuple[list[str], tuple[dict, dict]]:
    """A pydantic location without the union tags in it, and the schema node of the last part's parent."""
    schema = _schema(root)
    node, parent, shown = schema, schema, []
    for part in loc:
        options = _options(schema, node)
        tagged = [option for option in options if _tag(option) == part]
        if tagged:
            node = tagged[0]
            continue
        if len(options) > 1 and not any(_child(option, part) for option in options):
            continue  # pydantic names the branch of a plain union (`list[float]`, `float`): no key of the user's
        shown.append(str(part) or "''")
        parent = next((option for option in options if _child(option, part)), options[0])
        node = _child(parent, part) or {}
    return shown, (schema, parent)


def node(root: type[BaseModel], parts: list[str]) -> tuple[dict, dict | None]:
    """The root's schema and the node at dotted `parts` in any branch of its unions, or None."""
    schema = _schema(root)
    nodes = [schema]
    for part in parts:
        nodes = [
            child for node in nodes for option in _options(schema, node) if (child := _child(option, part)) is not None
        ]
    return schema, {"anyOf": nodes} if nodes else None


def _options(schema: dict, node: dict) -> list[dict]:
    """The concrete branches of a schema node, references followed."""
    if "$ref" in node:
        return _options(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    branches = node.get("oneOf") or node.get("anyOf")
    return [option for branch in branches for option in _options(schema, branch)] if branches else [node]


def _child(node: dict, part: Any) -> dict | None:
    if isinstance(part, int):
        return node.get("items") or (node["prefixItems"][part] if part < len(node.get("prefixItems", [])) else None)
    if part in node.get("properties", {}):
        return node["properties"][part]
    if not node or node.get("additionalProperties") is True:
        return {}  # anything, and whatever is below it
    extra = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    return extra if isinstance(extra, dict) else None


def _tag(node: dict) -> str | None:
    kind = node.get("properties", {}).get("kind", {})
    # An experiment has no kind; it is told by the name of its class.
    return kind.get("const", "own" if kind and "enum" not in kind else node.get("title"))


def keys(schema: dict, node: dict) -> list[str]:
    """The keys a user may write in any branch of a schema node."""
    return list(dict.fromkeys(key for option in _options(schema, node) for key in option.get("properties", {})))
