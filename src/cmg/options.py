"""The base of every group of named options: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from reprlib import Repr
from typing import Annotated, Any, TypeVar

from annotated_types import Le
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from cmg.errors import ConfigError

Name = Annotated[str, Field(min_length=1)]
"""A name or path; an empty one is the folder one happens to be in."""

MOST = 2**63 - 1
"""Largest whole number of an option without a limit of its own: sizes are int64 in torch."""

MOST_SEED = 2**64 - 2
"""Seeds are uint64 in torch; the next one is drawn from as well."""

WRITTEN = {
    "int_type": " (digits only, at most 20)",
    "float_type": " (e.g. 0.001 or 1e-3)",
    "bool_type": " (true or false)",
    "string_unicode": " (it is no UTF-8: rename it, or set PYTHONUTF8=1 where LC_ALL says ASCII)",
}
"""How a value of a type is written."""

ALTERNATIVE = ("constrained-", "literal[")
"""How pydantic begins what it adds to a key where one of several types is allowed."""

SHORT = Repr()
SHORT.maxstring = SHORT.maxother = 80


class Options(BaseModel):
    """Named options. Unknown keys, wrong types and values out of range are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def known_keys(cls) -> Mapping[str, Any]:
        """The type of every key; a group that is open to plugins asks its registry."""
        return {name: field.annotation for name, field in cls.model_fields.items()}

    @field_validator("*")
    @classmethod
    def _in_64_bits(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if any(isinstance(limit, Le) for limit in field.metadata):
            return value
        inner = value.values() if isinstance(value, Mapping) else value
        for number in inner if isinstance(value, tuple | Mapping) else (value,):
            if isinstance(number, int) and abs(number) > MOST:
                raise PydanticCustomError(
                    "beyond_64_bits", "Input should be at most {most}", {"most": MOST}
                )
        return value


def as_tuples(value: Any) -> Any:
    """Values of JSON as strict options take them: lists are tuples."""
    if isinstance(value, Mapping):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


Group = TypeVar("Group", bound=Options)


def checked_options(group: type[Group], **values: Any) -> Group:
    """A group of options from values that a user gave.

    Raises:
        ConfigError: one is wrong; every problem on a line of its own.
    """
    try:
        return group.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(problems(error))) from error


def problems(error: ValidationError, unknown: Callable[[str], str] | None = None) -> list[str]:
    """What is wrong with options: key, what is allowed, what was given.

    Args:
        error: Of pydantic.
        unknown: Says more of a key that does not exist.
    """
    found: list[tuple[str, str, str]] = []
    for item in error.errors():
        parts, kind, value = [str(part) for part in item["loc"]], item["type"], item["input"]
        own = [part for part in parts if not part.startswith(ALTERNATIVE)]
        key = ".".join(own)
        if kind == "extra_forbidden" and unknown is not None:
            found.append(("", unknown(key), ""))
            continue
        said = item["msg"].removeprefix("Value error, ") + WRITTEN.get(kind, "")
        if own != parts and found and found[-1][0] == key:
            said = f"{found.pop()[1]} or {said.removeprefix('Input should be ')}"
        shown = json.dumps(value) if isinstance(value, bool | None) else SHORT.repr(value)
        given = "" if kind in {"missing", "value_error"} else f", got {shown}"
        found.append((key, said, given))
    return [f"{key}: {said}{given}" if key else said for key, said, given in found]
