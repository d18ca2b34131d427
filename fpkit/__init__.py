"""fpkit measures in which order a neural network learns the frequencies of its target."""

from importlib import import_module

__version__ = "0.2.0"

# Loaded when asked for, by name: jobs, and the code that is compared for them, depend on what they use alone.
_HOME = {"Recorder": "recording.recorder", "open_run": "recording.runs", "judge": "claims.judging"}
__all__ = ["Recorder", "figures", "judge", "keras", "lightning", "measures", "open_run", "transformers"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOME:
        return getattr(import_module(f"fpkit.{_HOME[name]}"), name)
    return import_module(f"fpkit.{name}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
