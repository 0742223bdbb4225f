"""What is typed: options of the form NAME=VALUE that may be given several times, and names."""

from __future__ import annotations

import os
from collections.abc import Iterable

from cmg.errors import ConfigError


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """``["text=tokens"]`` as a mapping.

    Raises:
        ConfigError: one is of another form.
    """
    found = {}
    for item in given or []:
        name, sign, value = item.partition("=")
        if not (name.strip() and sign and value.strip()):
            raise ConfigError(f"{option} {item!r} must read NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def numbers(given: Iterable[str] | None, option: str) -> dict[str, float]:
    """``["video=0.5"]`` as a mapping.

    Raises:
        ConfigError: one is of another form, or its value is no number.
    """
    found = {}
    for name, value in pairs(given, option).items():
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ConfigError(f"{option} {name}={value}: not a number") from error
    return found


def typed_name(given: str) -> str:
    """A clip's id as it was typed, also where the locale says that UTF-8 is ASCII."""
    try:
        return os.fsencode(given).decode()
    except UnicodeError:
        return given
