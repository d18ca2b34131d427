"""Configurations laid over one another, and what they take out by null."""

from __future__ import annotations

import copy
from typing import Any

# No configuration is nested deeper.
DEEPEST = 100


def merged(*layers: dict) -> dict:
    """Configurations laid over one another, the last on top: mappings merge, all else is replaced.

    A data set or a model of another `kind` takes the place of the one below, so that it starts from its own defaults.
    """
    result: dict = {}
    for layer in layers:
        for table, entries in layer.items():
            result[table] = laid_over(result.get(table), entries, tagged=table in ("datasets", "experiments"))
    return result


def laid_over(below: Any, above: Any, tagged: bool) -> Any:
    if not isinstance(above, dict):
        return copy.deepcopy(above)
    kinds = [node.get("kind") if isinstance(node, dict) else None for node in (below, above)]
    if not isinstance(below, dict) or (tagged and all(isinstance(kind, str) for kind in kinds) and len({*kinds}) > 1):
        below = {}
    changed = {key: laid_over(below.get(key), value, tagged and key != "options") for key, value in above.items()}
    return below | changed


def without_nulls(node: Any, levels: int = DEEPEST) -> Any:
    """An entry without the keys that are null, so many levels deep: by them an overlay brings back defaults, and takes
    out axes and points of a sweep. What a point lays over its experiment keeps its nulls until then, and what options
    of one's own say is for their function.
    """
    if not isinstance(node, dict) or levels == 0:
        return node
    below = {"options": 0, "sweep": 2}
    return {
        key: without_nulls(value, min(levels - 1, below.get(key, DEEPEST)))
        for key, value in node.items()
        if value is not None
    }


def without_null_entries(raw: dict) -> dict:
    """The same of a whole configuration, whose tables and entries may be null, too."""
    return {
        table: {name: without_nulls(entry) for name, entry in entries.items() if entry is not None}
        if isinstance(entries, dict)
        else entries
        for table, entries in raw.items()
        if entries is not None
    }
