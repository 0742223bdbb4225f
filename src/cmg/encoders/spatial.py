"""Spatial pooling of map sequences: [B, T, H, W, C] -> [B, T, C] (METHOD section 2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

SpatialPooling = Literal["sum", "attention"]


class SpatialPool(nn.Module):
    """Channel gate, then a weighted sum over positions.

    Args:
        channels: C.
        pooling: ``attention`` weighs positions by spatial attention, as intended by the paper;
            ``sum`` gives every position weight 1 [as coded: the softmax runs over an axis of size
            one]. Official checkpoints were trained with ``sum``, where the attention layers hold
            weights that never moved.
    """

    def __init__(self, channels: int, pooling: SpatialPooling) -> None:
        super().__init__()
        self.pooling = pooling
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.gate = nn.Sequential(
            nn.Linear(channels, narrow, bias=False),
            nn.ReLU(),
            nn.Linear(narrow, channels, bias=False),
            nn.Sigmoid(),
        )
        self.query = nn.Linear(channels, half)
        self.key = nn.Linear(channels, half)
        self.score = nn.Linear(half, 1)

    def gain(self, average: Tensor) -> Tensor:
        """The channel gate of maps whose positions have the mean `average`, [..., C]."""
        gate: Tensor = 1.0 + self.gate(average)
        return gate

    def gated(self, x: Tensor) -> Tensor:
        """Maps with their channels gated, [B, T, H, W, C] -> the same."""
        return x * self.gain(x.mean((2, 3), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Pool the positions of every map, [B, T, H, W, C] -> [B, T, C]."""
        x = x.flatten(2, 3)
        total = x.sum(2)
        average = total / x.shape[2]
        gate = self.gain(average)
        if self.pooling == "sum":
            return total * gate  # the gate is the same at every position
        gated = x * gate[:, :, None]
        query = torch.relu(self.query(average))[:, :, None]
        key = torch.relu(self.key(gated))
        weights: Tensor = torch.tanh(self.score(query * key)).softmax(2)
        return (weights * gated).sum(2)
