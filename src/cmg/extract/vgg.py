"""The stack of convolutions that VGG networks begin with, as torch keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

POOL = 0
"""Stands for a 2 x 2 max pool among the widths of :func:`features`."""


def features(widths: Sequence[int], channels: int) -> nn.Sequential:
    """Convolutions 3 x 3 with ReLU, and pools; modules are numbered as in published files.

    Args:
        widths: Of the convolutions, :data:`POOL` between them.
        channels: Of the input.
    """
    parts: list[nn.Module] = []
    for width in widths:
        if width == POOL:
            parts.append(nn.MaxPool2d(2))
        else:
            parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*parts)
