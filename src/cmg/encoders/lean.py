"""The lean private path of maps: 4 % of the published operations (docs/lean.md).

The published path has 3x3 convolutions of up to 2048 channels at every position. This one reads
3x3 patches once, keeps a quarter of the width, and mixes channels only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmg.encoders.patches import SIDE, TakePatches


def lean_width(width: int) -> int:
    """Width of the lean detail of a modality whose declared detail width is `width`."""
    return max(1, width // 4)


class ChannelBlock(nn.Module):
    """y = relu(x + W2 relu(W1 x)).

    Args:
        width: In and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> the same."""
        return torch.relu(x + self.outer(torch.relu(self.inner(x))))


class LeanMapDetail(nn.Module):
    """One patch layer and a channel block per map.

    Args:
        shape: (H, W, C) of a map.
        width: S as declared; the detail has :func:`lean_width` of it.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, own = shape[2], lean_width(width)
        self.patches = nn.Linear(SIDE**2 * channels, own)
        self.block = ChannelBlock(own)
        self.private = nn.Sequential(nn.Linear(own, own), nn.ReLU(), nn.Linear(own, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode maps.

        Args:
            x: [B, T, H, W, C].

        Returns:
            The detail [B, T, h, w, S/4], and what CLUB sees of it, [B, T, C].
        """
        maps = x.flatten(0, 1)
        if torch.is_autocast_enabled(x.device.type):
            maps = maps.to(torch.get_autocast_dtype(x.device.type))  # before nine copies are made
        patches: Tensor = TakePatches.apply(maps)  # type: ignore[no-untyped-call]
        found = self.block(torch.relu(self.patches(patches)))
        detail = found.view(*x.shape[:2], *found.shape[1:])
        return detail, self.private(detail.mean((2, 3)))
