"""What was read in spoken words: accuracies with their small samples."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmg.evaluation.scores import Score
from cmg.files import replace_file
from cmg.voices.sources import SOURCES

RESULTS = "voices.json"
SYNTHETIC = "synthetic"
"""Source of the embedded set's held-out voices, read as the recordings are."""
TOGETHER = {
    "all recorded": tuple(s.name for s in SOURCES if s.origin == "recorded"),
    "all unknown": tuple(s.name for s in SOURCES if s.origin == "unknown"),
}
"""Sources that are also reported together: by whether people are known to have recorded them."""


@dataclass(frozen=True)
class Row:
    """What heads of one kind read.

    Attributes:
        audio: Features of the words.
        variant: Of the pre-training; ``no codebook`` for a head on the features themselves.
        head: Modality the head was trained on.
        said: By source, the digit read in every word, one list per seed.
    """

    audio: str
    variant: str
    head: str
    said: dict[str, list[list[int]]]


@dataclass(frozen=True)
class VoiceResults:
    """Words read by several models and heads.

    Attributes:
        rows: What each kind of head read.
        truth: By source, the digit of every word.
    """

    rows: list[Row]
    truth: dict[str, list[int]]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The sources, and those of :data:`TOGETHER` that are all there, by name."""
        single = {source: (source,) for source in self.truth}
        return single | {n: m for n, m in TOGETHER.items() if set(m) <= set(self.truth)}

    def count(self, group: str) -> int:
        """Words of a group."""
        return sum(len(self.truth[source]) for source in self.groups()[group])

    def accuracy(self, row: Row, group: str) -> Score:
        """Accuracy in percent over the words of a group, mean and deviation over seeds."""
        sources = self.groups()[group]
        right = [
            sum(
                said == digit
                for source in sources
                for said, digit in zip(row.said[source][seed], self.truth[source], strict=True)
            )
            for seed in range(len(row.said[sources[0]]))
        ]
        return Score.of([100.0 * n / self.count(group) for n in right])

    def misread(self, row: Row) -> dict[str, dict[str, int]]:
        """By recorded source, how many seeds read a digit as another: ``{"5 as 9": 1}``."""
        found: dict[str, dict[str, int]] = {}
        for source, seeds in row.said.items():
            for said in seeds if source != SYNTHETIC else ():
                for digit, read in zip(self.truth[source], said, strict=True):
                    if digit != read:
                        errors = found.setdefault(source, {})
                        errors[f"{digit} as {read}"] = errors.get(f"{digit} as {read}", 0) + 1
        return found

    def row(self, audio: str, variant: str = "trained", head: str = "video") -> Row:
        """The row of some features, variant and head."""
        wanted = (audio, variant, head)
        return next(r for r in self.rows if (r.audio, r.variant, r.head) == wanted)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON: every digit read, and the accuracies with their intervals."""
        return {
            "truth": self.truth,
            "rows": [
                asdict(row) | {"accuracy": self._accuracies(row), "misread": self.misread(row)}
                for row in self.rows
            ],
        }

    def _accuracies(self, row: Row) -> dict[str, Any]:
        told = {}
        for group in self.groups():
            score, count = self.accuracy(row, group), self.count(group)
            told[group] = asdict(score) | {
                "words": count,
                "interval": list(wilson_interval(score.mean, count)),
            }
        return told

    def save(self, out: Path) -> None:
        """Write the results to a folder."""
        replace_file(out / RESULTS, (json.dumps(self.as_dict(), indent=1) + "\n").encode())


def wilson_interval(percent: float, words: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent.

    Seeds read the same words, so they do not make the sample larger.

    Args:
        percent: Share found, 0 to 100.
        words: Words it was found on.
    """
    z, p = 1.959964, percent / 100
    center = (p + z * z / (2 * words)) / (1 + z * z / words)
    half = z * math.sqrt(p * (1 - p) / words + (z / (2 * words)) ** 2) / (1 + z * z / words)
    return max(0.0, 100 * (center - half)), min(100.0, 100 * (center + half))
