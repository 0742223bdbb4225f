"""Two results of ``python -m benchmarks``, figure by figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, markdown
from benchmarks.running import figures_of

MACHINE = ("processor", "instructions", "cores", "memory_gb")
"""What makes a machine another one, as far as time is concerned."""

HEAD = ("figure", "unit", "A", "B", "B / A", "")
SAME, ONCE = "same within the spread", "measured once"


class NotAResultError(Exception):
    """A file is no result; the message says which and why, in one line."""


def compare(a: Path, b: Path) -> tuple[str, int]:
    """What changed from `a` to `b`.

    Returns:
        Markdown, and an exit code: 1 if no section could be compared.

    Raises:
        NotAResultError: a file is missing or was not written by ``python -m benchmarks``.
    """
    first, second = read_result(a), read_result(b)
    lines = [f"A: {a} ({told_run(first)})", f"B: {b} ({told_run(second)})"]
    lines += other_machine(first["machine"], second["machine"])
    mine, others = first["sections"], second["sections"]
    refused = {
        name: why
        for name in [*mine, *(n for n in others if n not in mine)]
        if (why := not_comparable(mine.get(name), others.get(name))) is not None
    }
    names = [name for name in mine if name not in refused]
    left, right = figures_of(mine), figures_of(others)
    counts, rows, lone = [], [], []
    for name in names:
        for key in [*left[name], *(k for k in right[name] if k not in left[name])]:
            one, two = left[name].get(key), right[name].get(key)
            if one is None or two is None:
                lone.append(f"{name}: {key} (only in {'B' if one is None else 'A'})")
                continue
            row = compared(f"{name}: {key}", one, two)
            changed = row[-1] == "changed"
            (counts if changed else rows).append(row)
    if refused:
        told = [f"- {name}: {why}" for name, why in refused.items()]
        lines += ["", "Not compared:", "", *told]
    if counts:
        lines += ["", "Counts that changed:", "", markdown(HEAD, counts)]
    if rows:
        lines += ["", markdown(HEAD, rows)]
    if lone:
        lines += ["", "In one of them only:", "", *(f"- {told}" for told in lone)]
    if not names:
        lines += ["", "No section could be compared."]
    return "\n".join(lines), 0 if names else 1


def read_result(path: Path) -> dict[str, Any]:
    """A result.

    Raises:
        NotAResultError: it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotAResultError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotAResultError(f"{path} is not JSON: {error}") from error
    refusal = f"{path} was not written by `python -m benchmarks --json`: "
    if not isinstance(found, dict):
        raise NotAResultError(refusal + "it holds no object")
    for key in ("machine", "sections"):
        if not isinstance(found.get(key), dict):
            raise NotAResultError(refusal + f"it has no {key!r}")
    try:
        figures_of(found["sections"])
        for told in found["sections"].values():
            assert "error" in told or isinstance(told["settings"], dict)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise NotAResultError(refusal + "a section has no settings or figures") from error
    return found


def told_run(result: Mapping[str, Any]) -> str:
    """When and of which commit."""
    facts = result["machine"]
    return f"{result.get('date', 'no date')}, commit {facts.get('revision') or 'unknown'}"


def other_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What to know before times are compared."""
    lines = []
    differ = [f"{k} {a.get(k)} in A, {b.get(k)} in B" for k in MACHINE if a.get(k) != b.get(k)]
    if differ:
        lines += ["", "**Different machines**, so times compare the machines as well:"]
        lines += ["", *(f"- {told}" for told in differ)]
    software = [
        f"{name} {mine} in A, {other} in B"
        for name, mine, other in [
            ("Python", a.get("python"), b.get("python")),
            ("torch", a.get("packages", {}).get("torch"), b.get("packages", {}).get("torch")),
        ]
        if mine != other
    ]
    return lines + (["", "Different software: " + "; ".join(software)] if software else [])


def not_comparable(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str | None:
    """Why a section of two results cannot be compared; None if it can."""
    if a is None or b is None:
        return f"only in {'B' if a is None else 'A'}"
    for side, told in (("A", a), ("B", b)):
        if "error" in told:
            return f"failed in {side}"
    mine, others = a["settings"], b["settings"]
    differ = [
        f"{key} {mine.get(key, 'not set')} in A, {others.get(key, 'not set')} in B"
        for key in sorted({*mine, *others})
        if mine.get(key) != others.get(key)
    ]
    return "other settings: " + "; ".join(differ) if differ else None


def compared(name: str, a: Figure, b: Figure) -> list[str]:
    """A row of the table."""
    ratio = f"{b.value / a.value:.3g}" if a.value else "–"
    digits = 8 if "exact" in (a.spread, b.spread) else 3
    unit = a.unit if a.unit == b.unit else f"{a.unit}, {b.unit}"
    return [name, unit, a.told(digits), b.told(digits), ratio, verdict(a, b)]


def verdict(a: Figure, b: Figure) -> str:
    """Whether two figures differ."""
    if a.unit != b.unit:
        return "other unit"
    if "exact" in (a.spread, b.spread):
        return "same" if a.value == b.value else "changed"
    if a.low <= b.high and b.low <= a.high:
        return SAME
    if a.spread == b.spread == "once":
        return ONCE
    return "higher" if b.value > a.value else "lower"
