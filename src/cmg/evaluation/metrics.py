"""Metrics of frozen-codebook tasks, as pure functions (METHOD section 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MicroScores:
    """Precision and recall over all cells of a batch, as fractions.

    Attributes:
        precision: Of the predicted cells, the share that is true; 0 with no prediction.
        recall: Of the true cells, the share that was predicted; 0 with no prediction, NaN with
            predictions but no true cell (0 / 0, as published).
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean; 0 where both are 0, NaN where recall is."""
        return f1_score(self.precision, self.recall)


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean of precision and recall; 0 where both are 0 (the release divides by 0)."""
    total = precision + recall
    return 0.0 if total == 0.0 else 2.0 * precision * recall / total


def micro_scores(probabilities: Tensor, targets: Tensor, threshold: float = 0.5) -> MicroScores:
    """Micro precision and recall of multi-label predictions, background column included.

    Args:
        probabilities: After the sigmoid, [..., C].
        targets: 0 or 1, [..., C].
        threshold: A cell is predicted if its probability is strictly larger.

    Returns:
        Precision and recall over all cells.
    """
    predicted, true = probabilities > threshold, targets > 0
    positives, hits = int(predicted.sum()), int((predicted & true).sum())
    if positives == 0:
        return MicroScores(0.0, 0.0)
    relevant = int(true.sum())
    return MicroScores(hits / positives, hits / relevant if relevant else math.nan)


def top1_accuracy(scores: Tensor, classes: Tensor) -> float:
    """Share of the clips whose largest score is that of their class, 0..1.

    Args:
        scores: [B, C].
        classes: int64 [B].
    """
    return int((scores.argmax(-1) == classes).sum()) / max(1, classes.numel())
