"""Overlapping 3x3 patches at every second position, as plain copies around a matrix product.

7x7 maps have 3x3 patches. Axes whose length is even, or 1, are taken as one longer, with zeros.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE, STRIDE = 3, 2


def patches_along(size: int) -> int:
    """Patches along an axis of `size` positions; n of them cover 2n + 1."""
    return max(1, size // STRIDE)


def take_patches(maps: Tensor) -> Tensor:
    """Maps [N, H, W, C] -> patches [N, h, w, 9C], rows of a patch first."""
    height, width = maps.shape[1:3]
    h, w = patches_along(height), patches_along(width)
    below, beside = STRIDE * h + 1 - height, STRIDE * w + 1 - width
    if below or beside:
        maps = F.pad(maps, (0, 0, 0, beside, 0, below))
    return torch.cat([maps[:, rows, columns] for rows, columns in places(h, w)], -1)


def add_patches(patches: Tensor, height: int, width: int) -> Tensor:
    """The adjoint of :func:`take_patches`: overlaps are summed, [N, h, w, 9C] -> [N, H, W, C]."""
    n, h, w, channels = patches.shape
    grown = patches.new_zeros(n, STRIDE * h + 1, STRIDE * w + 1, channels // SIDE**2)
    for (rows, columns), part in zip(places(h, w), patches.chunk(SIDE**2, -1), strict=True):
        grown[:, rows, columns] += part
    return grown[:, :height, :width]


def places(h: int, w: int) -> list[tuple[slice, slice]]:
    """Where in the map the nine positions of all patches lie."""
    return [
        (slice(i, i + STRIDE * h - 1, STRIDE), slice(j, j + STRIDE * w - 1, STRIDE))
        for i in range(SIDE)
        for j in range(SIDE)
    ]


class TakePatches(torch.autograd.Function):
    """:func:`take_patches`, whose gradient is one :func:`add_patches`."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        """Maps -> patches."""
        ctx.size = maps.shape[1:3]
        return take_patches(maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Of patches -> of maps."""
        return add_patches(gradients[0], *ctx.size)


class AddPatches(torch.autograd.Function):
    """:func:`add_patches`, whose gradient is one :func:`take_patches`."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, height: int, width: int) -> Tensor:
        """Patches -> maps."""
        return add_patches(patches, height, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Of maps -> of patches."""
        return take_patches(gradients[0]), None, None
