"""What a section of the benchmarks finds: figures with their spread, and a table to print."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.timing import Timing

Spread = Literal["turns", "once", "exact"]


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        value: The median.
        low: Smallest of the turns.
        high: Largest of the turns.
        unit: Of all three.
        spread: Whether the range is over turns, the figure was measured once, or it is a count
            that is the same in every run.
    """

    value: float
    low: float
    high: float
    unit: str
    spread: Spread = "turns"

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> Figure:
        """The median of several turns; a single one was measured once."""
        spread: Spread = "turns" if len(values) > 1 else "once"
        return cls(statistics.median(values), min(values), max(values), unit, spread)

    @classmethod
    def count(cls, value: float, unit: str) -> Figure:
        """A count."""
        return cls(value, value, value, unit, "exact")

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Figure:
        """The figure that :meth:`as_dict` wrote."""
        low, high = told["min"], told["max"]
        return cls(told["value"], low, high, told["unit"], told["spread"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON; seven digits are more than any clock gives."""
        return {
            "value": short(self.value),
            "min": short(self.low),
            "max": short(self.high),
            "unit": self.unit,
            "spread": self.spread,
        }

    def told(self, digits: int = 3) -> str:
        """Value and range, without the unit."""
        if self.spread != "turns":
            return f"{self.value:.{digits}g}"
        return f"{self.value:.{digits}g} ({self.low:.{digits}g}–{self.high:.{digits}g})"


@dataclass(frozen=True)
class Section:
    """What a section found.

    Attributes:
        figures: By name; those of two runs are compared by it.
        text: Markdown for the reader.
        settings: Sizes that must agree for figures to be comparable.
    """

    figures: dict[str, Figure]
    text: str
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = {name: figure.as_dict() for name, figure in self.figures.items()}
        return {"settings": self.settings, "figures": figures}


def short(value: float) -> float:
    """A number with seven significant digits."""
    return float(f"{value:.7g}")


def timing_figures(name: str, timing: Timing) -> dict[str, Figure]:
    """Milliseconds of every variant, and how many times longer than the baseline it takes."""
    found = {}
    for variant, seconds in timing.seconds.items():
        found[f"{name}: {variant}"] = Figure.of([1e3 * s for s in seconds], "ms")
        if variant != timing.baseline:
            key = f"{name}: {variant} / {timing.baseline}"
            found[key] = Figure.of(timing.ratios(variant), "times")
    return found


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


RANGES = {
    "median_ms": ("min_ms", "max_ms", "ms"),
    "clips_per_s": ("min", "max", "clips/s"),
    "ratio": ("ratio_min", "ratio_max", "times"),
}
"""Keys of the older modules' JSON with the keys of their range, and the unit."""

APART = {"turns", *(key for low, high, _ in RANGES.values() for key in (low, high))}


def read_figures(tree: Mapping[str, Any], path: str = "") -> dict[str, Figure]:
    """The figures of a module that writes its own JSON, by the path of their keys.

    Args:
        tree: What the module wrote.
        path: Of `tree` in it.
    """
    found: dict[str, Figure] = {}
    for key, value in tree.items():
        name = f"{path}: {key}" if path else key
        if isinstance(value, Mapping):
            found |= read_figures(value, name)
        elif key in RANGES and RANGES[key][0] in tree:
            low, high, unit = RANGES[key]
            several = tree.get("turns", 2) > 1
            found[name] = Figure(value, tree[low], tree[high], unit, "turns" if several else "once")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key not in APART:
            found[name] = Figure(value, value, value, "", "once")
    return found
