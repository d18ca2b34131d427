"""Measures, each a function of a run or of plain arrays: `fpkit.measures.graph(run)`. See `fpkit.measures.taking`."""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules


def __getattr__(name: str):
    # When asked for, by name: what computes one measure depends on no other, and waits for no configuration.
    if name == "mean_frequency":
        return import_module("fpkit.measures.smoothness").mean_frequency
    if name.startswith("_") or find_spec(f"fpkit.measures.kinds.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("fpkit.measures.taking").function_of(name)


def __dir__() -> list[str]:
    kinds = import_module("fpkit.measures.kinds").__path__
    return [*globals(), "mean_frequency", *(module.name for module in iter_modules(kinds))]
