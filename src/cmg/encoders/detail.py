"""Specific encoders: the modality's private detail beside its shared content (METHOD section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmg.types import Kind, Modality


def convolution_padding(size: int) -> int:
    """Padding of the two 3x3 convolutions along an axis of `size` positions.

    The published 7x7 maps shrink to 3x3 without padding. Axes too short for that (below 5) keep
    their size, so that maps from 1x1 on encode and reconstruct.
    """
    return 0 if size >= 5 else 1


class ResidualBlock(nn.Module):
    """y = relu(r + f(r)) with r = relu(x): as coded, the skip path carries relu(x), not x.

    Args:
        channels: Width in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, C, h, w]."""
        x = torch.relu(x)
        return torch.relu(x + self.pointwise(torch.relu(self.spatial(x))))


class VectorDetail(nn.Module):
    """relu(Linear) per step.

    Args:
        in_width: C.
        width: S.
    """

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, C] -> the detail [B, T, S], twice: CLUB sees the detail itself."""
        detail = torch.relu(self.linear(x))
        return detail, detail


class MapDetail(nn.Module):
    """Three convolutions and a residual block per map.

    Args:
        shape: (H, W, C) of a map.
        width: S.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        height, wide, channels = shape
        padding = (convolution_padding(height), convolution_padding(wide))
        half = max(1, width // 2)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, half, 3, padding=padding),
            nn.ReLU(),
            nn.Conv2d(half, width, 3, padding=padding),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            ResidualBlock(width),
        )
        self.private = nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode maps.

        Args:
            x: [B, T, H, W, C].

        Returns:
            The detail [B, T, h, w, S], and what CLUB sees of it, [B, T, C].
        """
        maps = self.convolutions(x.flatten(0, 1).movedim(-1, 1)).movedim(1, -1)
        detail = maps.unflatten(0, x.shape[:2])
        return detail, self.private(detail.mean((2, 3)))


def build_detail(modality: Modality, in_width: int) -> nn.Module:
    """The specific encoder of a modality whose vectors have `in_width` channels."""
    if modality.kind is Kind.MAPS:
        height, width, channels = modality.shape
        return MapDetail((height, width, channels), modality.detail_width)
    return VectorDetail(in_width, modality.detail_width)
