"""What two configurations differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cmg.config.schema import RunConfig


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


def changed_keys(a: RunConfig, b: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which two configurations differ, with both values.

    A group that one of them leaves out (null) counts as one key.
    """
    return dict(_changed(a.model_dump(mode="json"), b.model_dump(mode="json"), ""))


def _changed(a: Any, b: Any, key: str) -> list[tuple[str, tuple[Any, Any]]]:
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)):
        return [] if a == b else [(key, (a, b))]
    names = dict.fromkeys((*a, *b))
    prefix = f"{key}." if key else ""
    return [c for name in names for c in _changed(a.get(name), b.get(name), f"{prefix}{name}")]
