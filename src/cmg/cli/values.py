"""What is typed: options of the form NAME=VALUE, lists of numbers, and names."""

from __future__ import annotations

import os
from collections.abc import Iterable

from cmg.errors import ConfigError


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """``["text=tokens"]`` as a mapping; a value is the text itself, spaces and all.

    Raises:
        ConfigError: one is of another form, or a name is there twice.
    """
    found: dict[str, str] = {}
    for item in given or []:
        before, _, value = item.partition("=")
        name = before.strip()
        if not (name and value.strip()):
            raise ConfigError(f"{option} {item!r} must read NAME=VALUE")
        if name in found:
            raise ConfigError(f"{option} {item!r}: {name} is already {found[name]!r}; give it once")
        found[name] = value
    return found


def numbers(given: Iterable[str] | None, option: str) -> dict[str, float]:
    """``["video=0.5"]`` as a mapping; see :func:`number`.

    Raises:
        ConfigError: one is of another form, or its value is no finite number.
    """
    found = {}
    for name, text in pairs(given, option).items():
        value = number(text)
        if value is None:
            raise ConfigError(f"{option} {name}={text}: not a number")
        found[name] = float(value)
    return found


def whole_numbers(given: str, option: str) -> tuple[int, ...]:
    """``"0,1"`` as numbers.

    Raises:
        ConfigError: one is none.
    """
    found = [number(part) for part in given.split(",") if part.strip()]
    whole = tuple(value for value in found if isinstance(value, int))
    if len(whole) < len(found):
        raise ConfigError(f"{option} {given!r}: whole numbers with commas between")
    return whole


def number(text: str) -> int | float | None:
    """A finite number, written as in a configuration; None for anything else."""
    from cmg.config.values import Plain

    value = Plain(text.strip()).core
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**63 else None


def typed_name(given: str) -> str:
    """A clip's id as it was typed, also where the locale says that UTF-8 is ASCII."""
    try:
        return os.fsencode(given).decode()
    except UnicodeError:
        return given
