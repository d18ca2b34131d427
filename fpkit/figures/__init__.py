"""Figures, each a function of spectra: `fpkit.figures.order(spectra)`. See `fpkit.figures.drawing`."""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules


def __getattr__(name: str):
    # When asked for, by name: what draws one figure depends on no other, and waits for no configuration.
    if name.startswith("_") or find_spec(f"fpkit.figures.kinds.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("fpkit.figures.drawing").function_of(name)


def __dir__() -> list[str]:
    kinds = import_module("fpkit.figures.kinds").__path__
    return [*globals(), *(module.name for module in iter_modules(kinds))]
