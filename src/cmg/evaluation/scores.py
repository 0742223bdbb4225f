"""The one form of a number over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Score:
    """A number over seeds, such as the accuracy of one direction in percent.

    Attributes:
        mean: Over seeds.
        std: Sample standard deviation over seeds; 0 for a single one.
        n: Seeds.
        paper: What the paper has in its place, or None.
        values: One per seed; empty where only mean and spread were kept.
    """

    mean: float
    std: float
    n: int
    paper: float | None = None
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float], paper: float | None = None) -> Score:
        """Mean and spread."""
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(statistics.fmean(values), spread, len(values), paper, tuple(values))

    @classmethod
    def fixed(cls, value: float, n: int) -> Score:
        """A number that is the same for `n` seeds."""
        return cls(value, 0.0, n, values=(value,) * n)


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
