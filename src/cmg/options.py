"""The base of every group of named options: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cmg.errors import ConfigError


class Options(BaseModel):
    """Named options. Unknown keys, wrong types and values out of range are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Group = TypeVar("Group", bound=Options)


def checked_options(group: type[Group], **values: Any) -> Group:
    """A group of options from values that a user gave.

    Raises:
        ConfigError: one is wrong; every problem on a line of its own.
    """
    try:
        return group.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(problems)) from error
