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
    """Share of clips whose largest score, of equal ones the first, is of their class, 0..1.

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


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of every ranking: the mean, over what is relevant, of precision there.

    Ties count against the ranking, as in recall at k and in the rank of a clip: among equal scores
    what is relevant comes last. Scores that are all equal so have the lowest value there is.

    Args:
        scores: [M, N], larger is better.
        relevant: Bool [M, N].

    Returns:
        Float64 [M], 0..1; NaN where nothing is relevant.
    """
    # Sort by relevance first, then stably by score.
    first = relevant.to(torch.int8).argsort(dim=1, stable=True)
    order = scores.gather(1, first).argsort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, first).gather(1, order).double()
    places = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    precision = hits.cumsum(1) / places
    return (precision * hits).sum(1) / hits.sum(1)


def mean_average_precision(scores: Tensor, relevant: Tensor) -> float:
    """Mean over the classes that occur of the average precision, one class against the rest.

    Args:
        scores: [N, C].
        relevant: Bool [N, C].

    Returns:
        0..1; 0 where no class occurs.
    """
    found = average_precision(scores.T, relevant.T)
    known = found[relevant.any(0)]
    return float(known.mean()) if len(known) else 0.0
