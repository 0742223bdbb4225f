"""What two configurations differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cmg.config.schema import RunConfig

ABSENT = "absent"
"""Of a key that one of two configurations has no group for."""


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; groups are gone through, and lists are values."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def as_typed(value: Any) -> str:
    """A value as it is typed after ``key=``."""
    return value if isinstance(value, str) else json.dumps(value)


def differing(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The dotted keys that two configurations differ in, with the value of each."""
    a, b = (leaves(config.model_dump(mode="json")) for config in (one, other))
    keys = [*a, *(key for key in b if key not in a)]
    pairs = {key: (a.get(key, ABSENT), b.get(key, ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
