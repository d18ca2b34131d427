"""The types that entries are made of: numbers and names as they may be written, the user's own parts, `Entry`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from fpkit import parts
from fpkit.errors import UserError

# What a file system takes as a name, with the endings that are put behind it.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$", max_length=100)]


def _number(value: Any) -> Any:
    """The number that was written, where YAML 1.1 read text (`1e4`, `5e-2`)."""
    if isinstance(value, bool):  # pydantic takes true for 1
        raise PydanticCustomError("boolean", "give a number")
    if isinstance(value, str) and re.fullmatch(EXPONENT, value):
        return float(value)
    return value


def _size(value: Any) -> Any:
    """The same of an integer out of a few, which pydantic takes by the letter."""
    value = _number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


EXPONENT = r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+"
# Numbers, as large as single precision and patience allow.
Number = BeforeValidator(_number)
Integer = Annotated[int, Number]
Real = Annotated[float, Number]
Finite = Annotated[float, Field(ge=-1e30, le=1e30), Number]
PositiveFloat = Annotated[float, Field(gt=0, le=1e30), Number]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1e30), Number]
Fraction = Annotated[float, Field(gt=0, le=1), Number]
PositiveInt = Annotated[int, Field(gt=0, le=10**9), Number]
NonNegativeInt = Annotated[int, Field(ge=0, le=10**9), Number]
Units = Annotated[int, Field(gt=0, le=10**5), Number]
FilterWidth = Annotated[float, Field(ge=1e-6, le=1e6), Number]
SEEDS = 2**32
Seed = Annotated[int, Field(ge=0, lt=SEEDS), Number]
Kernel = Annotated[Literal[3, 5, 7], BeforeValidator(_size)]
FilePath = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=4096)]


def _findable(path: str) -> str:
    try:
        parts.source_file(path)
    except UserError as error:
        raise ValueError(str(error)) from error
    return path


OwnPart = Annotated[str, AfterValidator(_findable)]


def one_of(*names: str):
    """A name from the package, or the path `package.module:name` of a part of the user's own."""

    def check(value: str) -> str:
        if value in names:
            return value
        if not parts.is_own(value):
            raise PydanticCustomError("unknown_part", "unknown", {"allowed": [*names, "package.module:name"]})
        return _findable(value)

    schema = {"anyOf": [{"enum": list(names)}, {"pattern": parts.PATTERN}]}
    return Annotated[str, AfterValidator(check), Field(json_schema_extra=schema)]


class Entry(BaseModel):
    """Base of every entry: an unknown key is an error, an entry never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def tagged(own: type, *entries: type):
    """One of the entries, by `kind`; a kind with a colon is one's own."""

    def tag(raw):
        kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
        return "own" if isinstance(kind, str) and parts.is_own(kind) else kind

    kinds = {entry.model_fields["kind"].annotation.__args__[0]: entry for entry in entries}
    union = Annotated[own, Tag("own")]
    for kind, entry in kinds.items():
        union = union | Annotated[entry, Tag(kind)]
    return Annotated[union, Discriminator(tag)]
