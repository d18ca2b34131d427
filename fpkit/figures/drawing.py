"""Each figure as a function of spectra, of what it shows, with the look that figures have in `config.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.animation import Animation
from matplotlib.figure import Figure
from pydantic import ValidationError

from fpkit.config.figures import FIGURES, Style
from fpkit.config.problems import ConfigError, line
from fpkit.errors import UserError
from fpkit.figures import style


class Drawn(Protocol):
    """A figure as a function."""

    def __call__(self, spectra: Any, **look: Any) -> Figure | Animation:
        """A figure of spectra: see `function_of`."""


@cache
def function_of(name: str) -> Drawn:
    """The figure of this name as a function of what it shows.

    Its argument `spectra`: what a measure gives, or several of these, each a row or a mark of its own; a table of a
    figure that shows one. `width_mm`, `font_size` (pt) and `colormap` as in `config.yaml`.

    Raises AttributeError where no figure of a configuration is called so.
    """
    if name not in FIGURES:
        raise AttributeError(f"{name}: no kind of figure; there are {', '.join(FIGURES)}")
    kind = FIGURES[name]

    def function(
        spectra: xr.Dataset | Sequence[xr.Dataset],
        width_mm: float = 180,
        font_size: float = 8,
        colormap: str = "cividis",
    ) -> Figure | Animation:
        try:
            look = Style(width_mm=width_mm, font_size=font_size, colormap=colormap)
        except ValidationError as error:
            raise ConfigError([line(one, Style, f"figures.{name}.") for one in error.errors()]) from error
        shown = [spectra] if isinstance(spectra, xr.Dataset) else spectra
        _check(name, shown)
        with style.context(**look.model_dump()):
            drawn = import_module(f"fpkit.figures.kinds.{name}").draw(shown)
        if isinstance(drawn, Figure):
            plt.close(drawn)  # a notebook would show it twice
        return drawn

    function.__name__ = function.__qualname__ = name
    function.__module__ = "fpkit.figures"
    function.__doc__ = (
        f"{kind.shows}\n\n{kind.look}\n\nArgs:\n    spectra: of {' or '.join(kind.measures) or 'a table'}."
    )
    return function


def _check(name: str, shown: Any) -> None:
    """Raises UserError for what the figure does not show."""
    kind = FIGURES[name]
    if not kind.measures:
        if not isinstance(shown, pd.DataFrame):
            raise UserError(f"figures.{name}: shows the table of {name}, as pandas reads it, not spectra")
        return
    what = f"figures.{name}: shows spectra of {' or '.join(kind.measures)}"
    if not isinstance(shown, Sequence) or not shown or not all(isinstance(one, xr.Dataset) for one in shown):
        raise UserError(f"{what}; give some, or several of them")
    for spectra in shown:
        measure = spectra.attrs.get("measure")
        if measure not in kind.measures:
            raise UserError(f"{what}, not of {measure}")
        recipe = style.recipe(spectra)
        if lacking := [key for key in kind.of_model if key not in recipe.get("model", {})]:
            raise UserError(f"figures.{name}: needs networks with model.{lacking[0]}, these have none; draw another")
        if kind.of_predictions and "basis" in recipe.get("record", {}):
            raise UserError(f"figures.{name}: shows predictions, and coefficients were recorded; draw another figure")
        lacking = [array for array in kind.needs if array not in spectra and array not in spectra.coords]
        if lacking:
            raise UserError(f"figures.{name}: needs {lacking[0]}, which these spectra lack; draw another figure")
