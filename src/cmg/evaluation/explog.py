"""ExpLog: the loss that official localization heads add to BCE, as coded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmg.precision import full_precision


@full_precision
def exp_log_loss(logits: Tensor, targets: Tensor, alpha: Tensor) -> Tensor:
    """Weighted cross-entropy: - mean over segments of sum_c y_c log_softmax_c exp(-alpha_c).

    As coded the softmax runs over all classes although several may be present in a segment, and
    nothing bounds alpha. The gradient of alpha is never positive, so training raises alpha and
    fades the term out; :class:`ExpLogLoss` keeps that.

    Args:
        logits: [..., C], background included; everything but the last axis is segments.
        targets: 0 or 1 per segment and class, [..., C].
        alpha: [C], or whatever the logits can be scaled with, e.g. [M, 1, 1, C] for M heads.

    Returns:
        A scalar.
    """
    weighted = targets * logits.log_softmax(-1) * torch.exp(-alpha)
    return -weighted.sum(-1).mean()


class ExpLogLoss(nn.Module):
    """:func:`exp_log_loss` with a learnable alpha per class.

    Args:
        classes: C, background included; 26 (AVVP) or 13 (AVE to AVVP) in the release.
        alpha: Start value; 0.1 as coded.
    """

    def __init__(self, classes: int, alpha: float = 0.1) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((classes,), alpha))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """[..., C] and [..., C] -> a scalar."""
        return exp_log_loss(logits, targets, self.alpha)
