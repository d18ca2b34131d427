"""Each measure as a function of a run, or of arrays, with the parameters and defaults that it has in `config.yaml`."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import xarray as xr

from fpkit.config import plain
from fpkit.config.measures import MEASURES
from fpkit.config.parameters import parameters
from fpkit.errors import UserError
from fpkit.measures.scheduler import scheduler
from fpkit.recording import runs
from fpkit.store.predictions import reading
from fpkit.xarrays import by_numpy


class Taken(Protocol):
    """A measure as a function."""

    def __call__(self, run: Any, x: Any = None, y: Any = None, *, steps: Any = None, **parameters: Any) -> xr.Dataset:
        """Spectra of a run, or of predictions at points x with targets y: see `function_of`."""


@cache
def function_of(name: str) -> Taken | None:
    """The measure of this name as a function; None if there is none."""
    if name not in MEASURES:
        return None

    def function(run: Any, x: Any = None, y: Any = None, *, steps: Any = None, **given: Any) -> xr.Dataset:
        return _take(name, run, x, y, steps, given)

    entry = MEASURES[name]
    function.__name__ = function.__qualname__ = name
    function.__module__ = "fpkit.measures"
    function.__doc__ = _documentation(name)
    head = [parameter for key, parameter in inspect.signature(function).parameters.items() if key != "given"]
    only = inspect.Parameter.KEYWORD_ONLY
    own = [
        inspect.Parameter(key, only, default=field.get_default(call_default_factory=True), annotation=field.annotation)
        for key, field in entry.model_fields.items()
    ]
    function.__signature__ = inspect.Signature([*head, *own], return_annotation=xr.Dataset)
    return function


def _documentation(name: str) -> str:
    entry = MEASURES[name]
    lines = [
        " ".join((entry.__doc__ or "").split()),
        "",
        "Args:",
        "    run: what `fpkit.open_run` gives; or predictions (step, sample, output) of one network, or (step, member,",
        "        sample, output) of several.",
        "    x: (sample, *feature), inputs of plain predictions.",
        "    y: (sample,) or (sample, output), targets of plain predictions; of a run, others than were recorded.",
        "    steps: (step,), of plain predictions: updates made before each; 0, 1, 2, ... where left out.",
        *(
            f"    {key}: {' '.join((field.description or '').split())} Default: {field.get_default()!r}."
            for key, field in entry.model_fields.items()
        ),
        "",
        "Returns:",
        f"    Spectra: see `fpkit.measures.kinds.{name}.decompose`.",
        "",
        "Raises:",
        "    fpkit.errors.UserError: what is given does not fit together, in one line.",
    ]
    return "\n".join(lines)


@by_numpy()
def _take(name: str, run: Any, x: Any, y: Any, steps: Any, given: dict[str, Any]) -> xr.Dataset:
    is_run = isinstance(run, xr.Dataset)
    if is_run and (x is not None or steps is not None):
        raise UserError(f"{name}: a run has points and steps of its own; give predictions, x and y, or a run")
    if not is_run and (x is None or y is None):
        raise UserError(f"{name}: predictions alone; give the inputs x and the targets y, too, or a run")
    if not is_run:
        run = runs.of_arrays(run, x, y, steps)
    elif y is not None:
        run = runs.with_targets(run, y)
    predictions, dataset, split = runs.measured_on(run)
    entry = MEASURES[name]
    if split not in entry.splits:
        # Recorded points are the training part, and all that there is.
        split = "all" if not dataset.sizes.get("sample_test") else split
    asked = parameters(name, given, "spectrum" if "coefficient" in predictions else "predictions")
    decompose = import_module(f"fpkit.measures.kinds.{name}").decompose
    with ExitStack() as opened:
        for store in run.attrs.get("stores", ()):
            opened.enter_context(reading(store))  # a damaged file of it is named
        opened.enter_context(scheduler(predictions, None, 1))
        spectra = decompose(predictions, dataset, split=split, **plain(asked))
    return spectra.assign_attrs(experiment=name, variant="base", dataset=dataset.attrs.get("name", "points"))
