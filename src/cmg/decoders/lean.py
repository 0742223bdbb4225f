"""The decoder of the lean private path of maps (:mod:`cmg.encoders.lean`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmg.encoders.lean import ChannelBlock, lean_width
from cmg.encoders.patches import SIDE, AddPatches


class LeanMapDecoder(nn.Module):
    """Content and detail of each patch -> a 3x3 patch of features; overlaps are summed.

    Args:
        width: D.
        detail_width: S as declared.
        shape: (H, W, C) of a map.
    """

    def __init__(self, width: int, detail_width: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size, own = shape[:2], lean_width(detail_width)
        self.content = nn.Linear(width, own)
        self.detail = nn.Linear(own, own)
        self.block = ChannelBlock(own)
        self.patches = nn.Linear(own, SIDE**2 * shape[2], bias=False)
        self.bias = nn.Parameter(torch.zeros(shape[2]))

    def forward(self, content: Tensor, detail: Tensor) -> Tensor:
        """[B, T, D] and [B, T, h, w, S/4] -> [B, T, H, W, C]."""
        spread = self.content(content)[:, :, None, None]
        found = self.block(torch.relu(spread + self.detail(detail)))
        patches = self.patches(found.flatten(0, 1))
        maps: Tensor = AddPatches.apply(patches, *self.size)  # type: ignore[no-untyped-call]
        return (maps + self.bias.to(maps.dtype)).view(*detail.shape[:2], *maps.shape[1:])
