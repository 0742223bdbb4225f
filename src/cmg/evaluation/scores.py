"""The one form of a number over seeds or folds, and how far its mean can be trusted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

LEVEL = 0.95
"""Of every confidence interval."""


@dataclass(frozen=True)
class Score:
    """A number over seeds or folds, such as the accuracy of one direction in percent.

    Attributes:
        mean: Over them.
        std: Sample standard deviation over them; 0 for a single one.
        n: How many.
        paper: What the paper has in its place, or None.
        values: One each; empty where only mean and spread were kept.
    """

    mean: float
    std: float
    n: int
    paper: float | None = None
    values: tuple[float, ...] = ()

    def __repr__(self) -> str:
        """Mean ± deviation (n)."""
        spread = f" ± {self.std:.4g}" if self.n > 1 else ""
        paper = "" if self.paper is None else f", paper {self.paper:g}"
        return f"Score({self.mean:.4g}{spread}, n={self.n}{paper})"

    @classmethod
    def of(cls, values: Sequence[float], paper: float | None = None) -> Score:
        """Mean and spread."""
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(statistics.fmean(values), spread, len(values), paper, tuple(values))

    @classmethod
    def fixed(cls, value: float, n: int) -> Score:
        """A number that is the same for `n` seeds."""
        return cls(value, 0.0, n, values=(value,) * n)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high end of the 95 % t-interval of the mean; None for a single value."""
        if self.n < 2:
            return None
        half = half_width(self.std, self.n)
        return self.mean - half, self.mean + half

    def enough(self, half: float) -> int:
        """The fewest values whose interval, at this spread, reaches `half` to either side."""
        few, many = 1, 2
        while half_width(self.std, many) > half:
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if half_width(self.std, middle) <= half else (middle, many)
        return many


def half_width(std: float, n: int) -> float:
    """Half of the 95 % t-interval of a mean of `n` values of a sample deviation, n >= 2."""
    return t_quantile(n - 1) * std / math.sqrt(n)


@lru_cache
def t_quantile(degrees: int) -> float:
    """What Student's t of so many degrees of freedom exceeds to either side in 5 % of cases."""
    low, high = 0.0, 16.0  # 12.7 of a single degree is the largest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, degrees) < LEVEL else (low, middle)
    return high


def t_within(t: float, degrees: int) -> float:
    """Probability that Student's t lies between -t and t (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term = total = cosine if odd else 1.0
    for k in range(1 + odd, degrees - 1, 2):
        term *= cosine**2 * k / (k + 1)
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if degrees > 1 else 0.0))


ScoreMap = dict[str, Score]
"""Score per direction "audio->video"."""


def merged(several: Sequence[ScoreMap]) -> ScoreMap:
    """The seeds of several tables together."""
    values: dict[str, list[float]] = {}
    for table in several:
        for direction, score in table.items():
            values.setdefault(direction, []).extend(score.values)
    return {direction: Score.of(found) for direction, found in values.items()}


def mean_of(scores: Sequence[Score]) -> Score:
    """Mean and mean spread of several directions of as many seeds; at least one."""
    mean, std = (sum(x) / len(scores) for x in ([s.mean for s in scores], [s.std for s in scores]))
    return replace(scores[0], mean=mean, std=std, paper=None, values=())


def plain(scores: Any, *more: str) -> Any:
    """Scores as JSON values, at any depth of dicts: mean, std, n and what `more` names."""
    if isinstance(scores, Score):
        return {key: getattr(scores, key) for key in ("mean", "std", "n", *more)}
    return {name: plain(value, *more) for name, value in scores.items()}
