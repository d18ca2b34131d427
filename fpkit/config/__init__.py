"""The configuration: what `config.yaml` may say, checked before any job starts.

`load` turns the parsed YAML into a `Config`, or raises `ConfigError` with *every* problem, one line each; `variants`
unfolds its sweeps. What the folder's modules hold beyond these names is their own.
"""

from importlib import import_module

_HOME = {
    "read_yaml": "reading",
    "merged": "overlays",
    "load": "checks",
    "ConfigError": "problems",
    "Config": "schema",
    "plain": "schema",
    "json_schema": "schema",
    "Variant": "sweeps",
    "variants": "sweeps",
    "pooled": "sweeps",
    "MEASURES": "measures",
    "STATISTICS": "statistics",
    "FIGURES": "figures",
    "measures_of": "claims",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    # When asked for: whoever takes one module (the statistics, say) does not wait for the others.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
