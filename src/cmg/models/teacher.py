"""Teachers: copies of the content encoders that follow them slowly (He et al., CVPR 2020)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class Teacher(nn.Module):
    """A copy of encoders, without gradient or dropout, whose weights are a moving average.

    Args:
        tokens: Token LSTMs by modality.
        semantic: Semantic encoders by modality.
        momentum: Share of itself that it keeps in a step.
    """

    tokens: nn.ModuleDict
    semantic: nn.ModuleDict

    def __init__(self, tokens: nn.ModuleDict, semantic: nn.ModuleDict, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.tokens, self.semantic = deepcopy((tokens, semantic))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Teacher:
        """It stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, tokens: nn.ModuleDict, semantic: nn.ModuleDict) -> None:
        """Move towards the encoders."""
        students = nn.ModuleList([tokens, semantic]).parameters()
        for own, student in zip(self.parameters(), students, strict=True):
            own.lerp_(student, 1.0 - self.momentum)
