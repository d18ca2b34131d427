"""The grid of a sweep: its points, their names, and an experiment with a point laid over it."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping
from typing import Any

from fpkit.config.overlays import laid_over, without_nulls

# The key of an experiment below which the keys of its data set are swept: `dataset.seed`.
DATASET = "dataset."


def points(sweep: Mapping[str, list | dict]) -> list[tuple[str, dict[str, str], dict[str, Any]]]:
    """Of every point of the sweep its name, and by dotted key the labels and the values."""
    result = []
    for name, point in zip(_names(sweep), itertools.product(*map(_labelled, sweep.values())), strict=True):
        labels = {key: label for key, (label, _) in zip(sweep, point, strict=True)}
        result.append((name, labels, {key: value for key, (_, value) in zip(sweep, point, strict=True)}))
    return result


def pooled(sweep: Mapping[str, list | dict], axis: str | None) -> dict[str, str]:
    """Of each point its name, and that of all that differ from it along the axis alone: `noise~0.1+seed~*`."""
    return dict(zip(_names(sweep), _names(sweep, starred=axis), strict=True))


def derived_name(dataset: str, labels: Mapping[str, str]) -> str:
    """Of a data set with keys laid over it (`seed`, `options.x`), of which these are the labels: `waves+seed~3`.

    By the alphabet of keys, so that all experiments that make the same call it the same.
    """
    return "+".join([dataset, *(f"{key.removeprefix('options.')}~{labels[key]}" for key in sorted(labels))])


def named_one(dataset: str) -> tuple[str, list[str]]:
    """The entry that a data set was derived from, and the rest of its name: `waves`, [`seed~3`].

    Not every plus parts two axes: `noise~1e+2`, and neither the names of entries nor labels have a tilde.
    """
    first, *rest = re.split(r"\+(?=[^+~]+~)", dataset)
    return first, rest


def _names(sweep: Mapping[str, list | dict], starred: str | None = None) -> list[str]:
    """The name of every point; with a star for the values of one axis."""
    keys = list(sweep)
    short = [key.rsplit(".", 1)[-1] for key in keys]
    titles = [last if short.count(last) == 1 else key for key, last in zip(keys, short, strict=True)]
    axes = [
        [f"{title}~{'*' if key == starred else label}" for label, _ in _labelled(sweep[key])]
        for key, title in zip(keys, titles, strict=True)
    ]
    return ["+".join(point) or "base" for point in itertools.product(*axes)]


def _labelled(values: list | dict) -> list[tuple[str, Any]]:
    """(label, value) of each value of an axis."""
    return list(values.items()) if isinstance(values, dict) else [(_slug(value), value) for value in values]


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
