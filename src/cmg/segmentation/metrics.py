"""mIoU and F-measure of masks, as published and over a whole data set.

Shape legend: N frames, K thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cmg.precision import full_precision

THRESHOLDS = 255
BETA2 = 0.3
EPS = 1e-7


def thresholds() -> Tensor:
    """The published thresholds, float64 [K]: evenly spaced from 0 to 1 inclusive."""
    return torch.linspace(0, 1 - 1e-10, THRESHOLDS, dtype=torch.float64)


@full_precision
def ious(logits: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of every frame at probability 0.5, float64 [N].

    An empty true mask scores the share of pixels that are predicted empty [as coded].

    Args:
        logits: [N, H, W].
        masks: bool, or 0 and 1, [N, H, W].
    """
    predicted, true = (torch.sigmoid(logits) > 0.5).flatten(1), masks.bool().flatten(1)
    union = (predicted | true).sum(1).double()
    both = (predicted & true).sum(1).double()
    empty = ~true.any(1)
    pixels = true.shape[1]
    return torch.where(empty, (~predicted).sum(1) / (pixels + EPS), both / (union + EPS))


def precision_recall(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall of every frame at every threshold, float64 [N, K]; 0 / 0 is 0.

    Args:
        logits: [N, H, W].
        masks: bool, or 0 and 1, [N, H, W].
    """
    cuts = thresholds().to(logits.device)
    # How many thresholds a pixel reaches; counting pixels per number of them is one pass.
    reached = torch.bucketize(torch.sigmoid(logits.double()).flatten(1), cuts, right=True)
    true = masks.bool().flatten(1)
    found = _reaching(reached, torch.ones_like(true))
    hits = _reaching(reached, true)
    total = true.sum(1, keepdim=True).double()
    return _ratio(hits, found), _ratio(hits, total.expand_as(hits))


def f_curves(logits: Tensor, masks: Tensor) -> Tensor:
    """F of every frame at every threshold, float64 [N, K], with beta^2 = 0.3; 0 / 0 is 0."""
    precision, recall = precision_recall(logits, masks)
    return _ratio((1 + BETA2) * precision * recall, BETA2 * precision + recall)


def best_f(curves: Tensor) -> float:
    """The mean curve's largest value; 0 where there is no curve.

    Args:
        curves: Of frames whose mask is not empty, [N, K].
    """
    return float(curves.mean(0).max()) if len(curves) else 0.0


def _reaching(reached: Tensor, chosen: Tensor) -> Tensor:
    """Chosen pixels at or above every threshold, float64 [N, K]."""
    counts = torch.zeros(len(reached), THRESHOLDS + 1, dtype=torch.float64, device=reached.device)
    counts.scatter_add_(1, reached, chosen.double())
    return counts.flip(1).cumsum(1).flip(1)[:, 1:]


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b.clamp_min(1e-300), 0.0)


@dataclass(frozen=True)
class MaskScores:
    """Scores of masks, in percent.

    Attributes:
        miou: Mean over all frames.
        f_measure: Best threshold of the whole set; independent of the batches.
        published_miou: Mean over batches of the mean over a batch's frames.
        published_f: Mean over batches of the best threshold of each.
        frames: How many.
        empty: How many of them have an empty true mask; these do not count in F.
    """

    miou: float
    f_measure: float
    published_miou: float
    published_f: float
    frames: int
    empty: int


@dataclass
class MaskMeter:
    """Gathers frames batch by batch.

    Attributes:
        scores: IoU of every frame so far, by batch.
    """

    scores: list[Tensor] = field(default_factory=list)
    _best: list[float] = field(default_factory=list)
    _sum: Tensor = field(default_factory=lambda: torch.zeros(THRESHOLDS, dtype=torch.float64))
    _filled: int = 0

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Add the frames of a test batch.

        Args:
            logits: [N, H, W].
            masks: bool, or 0 and 1, [N, H, W].
        """
        self.scores.append(ious(logits, masks).cpu())
        filled = masks.bool().flatten(1).any(1)
        curves = f_curves(logits[filled], masks[filled]).cpu()
        self._best.append(best_f(curves))
        self._sum += curves.sum(0)
        self._filled += len(curves)

    def result(self) -> MaskScores:
        """Scores of all that was added.

        Raises:
            ValueError: nothing was.
        """
        if not self.scores:
            raise ValueError("no frame was added")
        each = torch.cat(self.scores)
        return MaskScores(
            100 * float(each.mean()),
            100 * float(self._sum.max()) / max(1, self._filled),
            100 * _mean(float(batch.mean()) for batch in self.scores),
            100 * _mean(self._best),
            len(each),
            len(each) - self._filled,
        )


def _mean(values: Iterable[float]) -> float:
    several = list(values)
    return sum(several) / len(several)
