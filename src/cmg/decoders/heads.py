"""Task heads on frozen quantized content (METHOD section 6)."""

from __future__ import annotations

from torch import Tensor, nn


class ClipHead(nn.Module):
    """Clip classification: Linear, maximum over time, Linear.

    Args:
        width: D.
        classes: Number of classes.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
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
        if mask is not None:
            hidden = hidden.masked_fill(~mask[..., None], -1e30)
        logits: Tensor = self.classifier(hidden.amax(1))
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
