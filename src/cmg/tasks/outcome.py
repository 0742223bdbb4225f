"""What a benchmark found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from cmg.data.manifest import ClipRow
from cmg.evaluation.frozen import Protocol
from cmg.evaluation.scores import Score, plain
from cmg.tasks.benchmark import Benchmark
from cmg.tasks.paper import PaperTable

Figures = dict[str, dict[str, Score]]
"""Score per direction "video->audio" and metric."""


@dataclass(frozen=True)
class Predictions:
    """What the heads of one direction said.

    Attributes:
        rows: The clips, N of them.
        truth: int64 [N], or 0 and 1 per step and class [N, T, C], -1 at steps that do not count.
        probabilities: By seed, float32 [N, C] or [N, T, C].
        epochs: By seed, the epoch whose head this is.
    """

    rows: list[ClipRow]
    truth: Tensor
    probabilities: dict[int, Tensor]
    epochs: dict[int, int]


@dataclass
class Outcome:
    """One benchmark under one protocol.

    Attributes:
        benchmark: Which.
        protocol: Its protocol.
        headline: The metric that decided epochs.
        classes: Class names.
        figures: In percent.
        controls: Figures of each control, by name.
        counts: Clips per part and modality.
        leaks: Videos that are on two sides, see :mod:`cmg.tasks.run`.
        notes: How the figures came about.
        marks: A remark on a direction.
        paper: The paper's figures, also where ours are of another protocol.
        unlike: Why there are none; empty where there are.
        predictions: By direction.
        remarks: What has to be said before the figures.
    """

    benchmark: Benchmark
    protocol: Protocol
    headline: str
    classes: tuple[str, ...]
    figures: Figures
    controls: dict[str, Figures]
    counts: dict[str, dict[str, int]]
    leaks: list[dict[str, Any]]
    notes: tuple[str, ...]
    marks: dict[str, str]
    paper: PaperTable
    unlike: str = ""
    predictions: dict[str, Predictions] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Everything but figures and predictions, for JSON."""
        return {
            "headline": self.headline,
            "classes": list(self.classes),
            "counts": self.counts,
            "controls": plain(self.controls, "paper"),
            "values": {
                d: {metric: list(score.values) for metric, score in row.items()}
                for d, row in self.figures.items()
            },
            "epochs": {d: list(p.epochs.values()) for d, p in self.predictions.items()},
            "leaks": self.leaks,
            "notes": list(self.notes),
            "marks": self.marks,
            "remarks": self.remarks,
            "without_paper": self.unlike,
        }
