"""From the maps of four stages to one mask of the picture's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

DILATIONS = (3, 6, 12, 18)


class MultiDilation(nn.Module):
    """The sum of four 3x3 convolutions with dilations 3, 6, 12 and 18 [as coded].

    Args:
        width: Channels of the stage.
        channels: Channels to make.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=d, dilation=d) for d in DILATIONS
        )
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.normal_(conv.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] -> [N, channels, H, W]."""
        return torch.stack([conv(x) for conv in self.convs]).sum(0)


class ResidualUnit(nn.Module):
    """conv(relu(conv(relu(x)))) + relu(x); the skip is rectified too [as coded].

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        x = functional.relu(x)
        return torch.as_tensor(self.second(functional.relu(self.first(x)))) + x


class Fusion(nn.Module):
    """Joins the maps of the stages, from the deepest up, doubling the size each time.

    Args:
        channels: C of every stage.
        stages: How many.
    """

    def __init__(self, channels: int, stages: int) -> None:
        super().__init__()
        self.skips = nn.ModuleList(ResidualUnit(channels) for _ in range(stages - 1))
        self.blocks = nn.ModuleList(ResidualUnit(channels) for _ in range(stages))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the stages, the largest [N, C, H, W] first -> [N, C, 2 H, 2 W].

        Every map is about half as large as the one before; odd sizes are rounded up.
        """
        height, width = maps[0].shape[2:]
        sizes = [(2 * height, 2 * width), *((x.shape[2], x.shape[3]) for x in maps)]
        out = torch.as_tensor(self.blocks[-1](maps[-1]))
        for level in range(len(maps) - 2, -1, -1):
            out = self.skips[level](maps[level]) + _resized(out, sizes[level + 1], True)
            out = self.blocks[level](out)
        return _resized(out, sizes[0], True)


class MaskHead(nn.Module):
    """One logit per pixel, at twice the size.

    Args:
        channels: C of the fused map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, max(1, channels // 2), 3, padding=1)
        self.second = nn.Conv2d(max(1, channels // 2), 32, 3, padding=1)
        self.last = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, 2 H, 2 W]."""
        x = _resized(self.first(x), (2 * x.shape[2], 2 * x.shape[3]), False)
        return torch.as_tensor(self.last(functional.relu(self.second(x))))[:, 0]


def _resized(x: Tensor, size: tuple[int, int], corners: bool) -> Tensor:
    return functional.interpolate(x, size, mode="bilinear", align_corners=corners)
