"""The grid of a sweep: its points, their names, and an experiment with a point laid over it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

from fpkit.config.overlays import laid_over, without_nulls


def points(sweep: Mapping[str, list | dict]) -> list[tuple[str, dict[str, Any]]]:
    """(name, {dotted key: value}) of every point of the sweep."""
    keys = list(sweep)
    short = [key.rsplit(".", 1)[-1] for key in keys]
    titles = [last if short.count(last) == 1 else key for key, last in zip(keys, short, strict=True)]
    axes = [
        list(values.items()) if isinstance(values, dict) else [(_slug(value), value) for value in values]
        for values in sweep.values()
    ]
    return [
        (
            "+".join(f"{title}~{label}" for title, (label, _) in zip(titles, point, strict=True)) or "base",
            {key: value for key, (_, value) in zip(keys, point, strict=True)},
        )
        for point in itertools.product(*axes)
    ]


def _slug(value: Any) -> str:
    """A value as part of a file name: `0.001`, `relu`, `64-64`, also where YAML read 1e-3 as text."""
    if isinstance(value, list):
        return "-".join(_slug(item) for item in value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def lay_over(experiment: dict, point: dict[str, Any]) -> dict:
    """The experiment with the point's values at their dotted keys; `model` comes before `model.widths`, its `kind`
    before both: another one starts from its own defaults.
    """
    result = copy.deepcopy(experiment)
    for key, value in sorted(point.items(), key=lambda item: (item[0].count("."), not item[0].endswith(".kind"))):
        *parents, last = key.split(".")
        node = result
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):  # which its validation tells
                break
        else:
            if last == "kind" and value != node.get("kind"):
                node.clear()
            node[last] = laid_over(node.get(last), value, tagged="options" not in parents)
    return without_nulls(result)
