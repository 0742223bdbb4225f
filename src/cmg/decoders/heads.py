"""Task heads on frozen quantized content (METHOD section 6)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cmg.masking import mean_over_time


class ClipHead(nn.Module):
    """Clip classification: Linear, pooling over time, Linear.

    Args:
        width: D.
        classes: Number of classes.
        pooling: ``max`` over time (published) or ``mean``, where a wrong code is outvoted.
    """

    def __init__(self, width: int, classes: int, pooling: Literal["max", "mean"] = "max") -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Classify clips.

        Args:
            x: [B, T, D].
            mask: Steps that exist, bool [B, T]; None if all do.

        Returns:
            Logits [B, classes].
        """
        hidden = self.linear(x)
        if self.pooling == "mean":
            pooled = mean_over_time(hidden, mask)
        elif mask is None:
            pooled = hidden.amax(1)
        else:
            lowest = torch.finfo(hidden.dtype).min
            pooled = hidden.masked_fill(~mask[..., None], lowest).amax(1)
        logits: Tensor = self.classifier(pooled)
        return logits


class StepHead(nn.Module):
    """Per-step localization: two Linear layers on every step.

    Args:
        width: D.
        classes: Number of classes, background included.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, D] -> logits [B, T, classes]; `mask` is not needed."""
        logits: Tensor = self.classifier(self.linear(x))
        return logits
