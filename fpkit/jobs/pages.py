"""HTML pages of the report, from jinja2 templates: whatever is filled in is escaped."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str | Path, **values) -> str:
    """The page that a template makes of `values`; what it extends and includes lies beside it.

    Templates have two filters of their own: `data_uri` puts the file at a path into the page, `yaml` writes an entry as
    `config.yaml` would. Raises jinja2.UndefinedError where the template asks for what is not among the values.
    """
    template = Path(template)
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"data_uri": _data_uri, "yaml": _yaml}
    return environment.get_template(template.name).render(values)


def _data_uri(path: str | Path) -> str:
    kind, _ = mimetypes.guess_type(path)
    return f"data:{kind};base64,{b64encode(Path(path).read_bytes()).decode()}"


def _yaml(entry: object) -> str:
    return yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=110)
