"""What heads are trained with, for M heads at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cmg.precision import full_precision


@full_precision
def clip_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy, the mean over the clips, summed over the heads.

    Args:
        logits: [M, B, C].
        classes: int64 [M, B].
    """
    total = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="sum")
    return total / logits.shape[1]


@full_precision
def step_loss(logits: Tensor, targets: Tensor, alpha: Tensor, mask: Tensor | None) -> Tensor:
    """BCE plus ExpLog, means over the steps that count, summed over the heads.

    Args:
        logits: [M, B, T, C].
        targets: 0 or 1, [M, B, T, C].
        alpha: ExpLog weights, [M, C].
        mask: Steps that count, bool [M, B, T]; None if all do.
    """
    if mask is None:
        return len(logits) * torch.stack(step_terms(logits, targets, alpha[:, None, None])).sum()
    total = logits.new_zeros(())
    for one, wanted, weights, counts in zip(logits, targets, alpha, mask, strict=True):
        total = total + torch.stack(step_terms(one[counts], wanted[counts], weights)).sum()
    return total


@full_precision
def step_terms(logits: Tensor, targets: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """BCE with logits, the mean over all cells, and ExpLog, the mean over all steps.

    Args:
        logits: [..., C].
        targets: 0 or 1, [..., C].
        alpha: ExpLog weights, [C], or whatever the logits can be scaled with.
    """
    bce = F.binary_cross_entropy_with_logits(logits, targets)
    return bce, exp_log_loss(logits, targets, alpha)


@full_precision
def exp_log_loss(logits: Tensor, targets: Tensor, alpha: Tensor) -> Tensor:
    """Weighted cross-entropy: - mean over segments of sum_c y_c log_softmax_c exp(-alpha_c).

    As coded the softmax runs over all classes although several may be present in a segment, and
    nothing bounds alpha. The gradient of alpha is never positive, so training raises alpha and
    fades the term out.

    Args:
        logits: [..., C], background included; everything but the last axis is segments.
        targets: 0 or 1 per segment and class, [..., C].
        alpha: [C], or whatever the logits can be scaled with, e.g. [M, 1, 1, C] for M heads.

    Returns:
        A scalar.
    """
    weighted = targets * logits.log_softmax(-1) * torch.exp(-alpha)
    return -weighted.sum(-1).mean()
