"""A measure's parameters as a caller gives them, outside of any configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fpkit.config import problems
from fpkit.config.measures import MEASURES, Measure


def parameters(name: str, given: Mapping[str, Any], content: str = "predictions") -> Measure:
    """The entry of a measure with what is given of its parameters, and its defaults for the rest.

    Args:
        content: what was recorded, `predictions` or `spectrum`: the nulls that are computed follow it.

    Raises:
        UserError: no such measure, or parameters that it does not have, a line for each.
    """
    if name not in MEASURES:
        raise problems.ConfigError([problems.unknown("measure", name, MEASURES)])
    entry = MEASURES[name]
    try:
        return entry.model_validate(dict(given)).settled(content)
    except ValidationError as error:
        raise problems.ConfigError([problems.line(one, entry, f"{name}.") for one in error.errors()]) from error
