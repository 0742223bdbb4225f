"""Metrics of frozen-codebook tasks, as pure functions (METHOD section 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
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


def batch_averaged_scores(
    probabilities: Tensor, targets: Tensor, batch_size: int = 64
) -> MicroScores:
    """Micro precision and recall per batch, averaged with the batches' sizes as weights [as coded].

    So the figures depend on the batch size and on the order of the clips. The recall of a batch
    that is 0 / 0 counts as 0.

    Args:
        probabilities: After the sigmoid, [N, ...].
        targets: 0 or 1, [N, ...].
        batch_size: Clips per batch; 64 in the release, the last batch may be smaller.
    """
    precision = recall = 0.0
    for start in range(0, len(probabilities), batch_size):
        part = slice(start, start + batch_size)
        scores = micro_scores(probabilities[part], targets[part])
        weight = len(probabilities[part]) / len(probabilities)
        precision += weight * scores.precision
        recall += weight * (0.0 if math.isnan(scores.recall) else scores.recall)
    return MicroScores(precision, recall)


@dataclass(frozen=True)
class MacroScores:
    """Means over the classes that occur in the truth, as fractions; 0 / 0 counts as 0.

    Attributes:
        precision: Mean of the classes' precisions.
        recall: Mean of the classes' recalls.
        f1: Mean of the classes' F1, which is not the F1 of the two means.
    """

    precision: float
    recall: float
    f1: float


def macro_scores(predicted: Tensor, true: Tensor) -> MacroScores:
    """Precision, recall and F1 per class, averaged over the classes that occur.

    Args:
        predicted: Bool [N, C]; one-hot where every sample has one class.
        true: Bool [N, C].
    """
    occurs = true.any(0)
    predicted, true = predicted[:, occurs], true[:, occurs]
    hits = (predicted & true).sum(0).double()
    precision = hits / predicted.sum(0).clamp_min(1)
    recall = hits / true.sum(0).clamp_min(1)
    f1 = 2.0 * precision * recall / (precision + recall).clamp_min(1e-300)
    if not bool(occurs.any()):
        return MacroScores(0.0, 0.0, 0.0)
    return MacroScores(*(float(x.mean()) for x in (precision, recall, f1)))


def average_precision(scores: Tensor, relevant: Tensor) -> float:
    """Area below the precision-recall steps: sum over thresholds of (R_n - R_(n-1)) P_n.

    Equal scores are one threshold, so the order of ties does not matter.

    Args:
        scores: [N].
        relevant: Bool [N].

    Returns:
        0..1; NaN with nothing relevant.
    """
    total = int(relevant.sum())
    if total == 0:
        return math.nan
    ranked, order = scores.double().sort(descending=True)
    hits = relevant[order].double().cumsum(0)
    last = torch.cat([ranked[1:] != ranked[:-1], ranked.new_ones(1, dtype=torch.bool)])
    places = torch.arange(1, len(ranked) + 1, dtype=torch.float64, device=scores.device)[last]
    hits = hits[last]
    gained = torch.diff(hits, prepend=hits.new_zeros(1)) / total
    return float((gained * hits / places).sum())


def mean_average_precision(scores: Tensor, relevant: Tensor) -> float:
    """Mean over the classes that occur of the average precision, one class against the rest.

    Args:
        scores: [N, C].
        relevant: Bool [N, C].

    Returns:
        0..1; 0 where no class occurs.
    """
    found = [average_precision(scores[:, c], relevant[:, c]) for c in range(scores.shape[1])]
    known = [value for value in found if not math.isnan(value)]
    return sum(known) / len(known) if known else 0.0
