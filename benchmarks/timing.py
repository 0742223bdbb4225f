"""Side-by-side timing: variants take turns, and ratios are taken turn by turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""``cpu`` is the process's CPU time: with one thread, what a busy machine disturbs least."""


@dataclass(frozen=True)
class Timing:
    """Seconds per turn of each variant, all variants taking turns.

    Attributes:
        seconds: Per variant, one number per turn.
        baseline: The variant that the others are compared with.
    """

    seconds: dict[str, list[float]]
    baseline: str

    def median(self, variant: str) -> float:
        """Median seconds of a variant."""
        return statistics.median(self.seconds[variant])

    def ratios(self, variant: str) -> list[float]:
        """How many times longer than the baseline a variant took, turn by turn."""
        pairs = zip(self.seconds[variant], self.seconds[self.baseline], strict=True)
        return [own / base for own, base in pairs]

    def as_dict(self) -> dict[str, Any]:
        """Medians, ratios and their spread, for JSON."""
        return {
            variant: {
                "median_ms": round(1e3 * self.median(variant), 4),
                "min_ms": round(1e3 * min(own), 4),
                "max_ms": round(1e3 * max(own), 4),
                "ratio": round(statistics.median(self.ratios(variant)), 3),
                "ratio_min": round(min(self.ratios(variant)), 3),
                "ratio_max": round(max(self.ratios(variant)), 3),
                "turns": len(own),
            }
            for variant, own in self.seconds.items()
        }


def side_by_side(
    variants: Mapping[str, Callable[[int], object]], turns: int, clock: str, warmup: int = 1
) -> Timing:
    """Time variants in turns, so that what else the machine does falls on all of them alike.

    Args:
        variants: Functions of the turn's number, the same for all variants of a turn; the first
            is the baseline.
        turns: Counted turns.
        clock: One of :data:`CLOCKS`.
        warmup: Turns before them.
    """
    now = CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warmup + turns):
        for name, run in variants.items():
            start = now()
            run(turn)
            if turn >= warmup:
                seconds[name].append(now() - start)
    return Timing(seconds, next(iter(variants)))


def table(title: str, timings: Mapping[str, Timing]) -> str:
    """A Markdown table: a row per measured thing, medians and the ratio to the baseline."""
    variants = list(next(iter(timings.values())).seconds)
    cells = [title, *(f"{v} ms" for v in variants)]
    cells += [f"{v} / {variants[0]} (range)" for v in variants[1:]]
    lines = ["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells)]
    for name, timing in timings.items():
        found = timing.as_dict()
        row = [name, *(f"{found[v]['median_ms']:.3g}" for v in variants)]
        row += [
            f"{found[v]['ratio']:.3g} ({found[v]['ratio_min']:.3g}–{found[v]['ratio_max']:.3g})"
            for v in variants[1:]
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
