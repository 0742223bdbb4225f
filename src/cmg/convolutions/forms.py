"""Which form of convolution is used where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from cmg.convolutions.layers import Layer, padding_of
from cmg.convolutions.taps import Taps
from cmg.convolutions.toom_cook import LARGEST, ToomCook, points_needed

TAPS_FROM = 64
"""Channels from which bfloat16 takes windows in place; narrower maps cost little either way."""

TOOM_COOK_FROM = 128
"""Channels from which float32 takes Toom-Cook's form, by the table in benchmarks/README.md."""

LEAN_FROM = 320
"""Channels C of maps from which a lean path with a narrow tail takes the fast forms however narrow
its layers are; read off the table of C = 320, 512 and 1280 in benchmarks/README.md."""

FEWEST = 32
"""Frames from which they are used: each call lays out the weights anew."""


class Form(Protocol):
    """How maps are laid out and convolved."""

    def enter(self, maps: Tensor) -> Tensor:
        """[N, H, W, C] -> the form's layout, channels last."""

    def leave(self, x: Tensor) -> Tensor:
        """The form's layout -> [N, H, W, C]."""

    def convolve(self, layer: Layer, x: Tensor) -> Tensor:
        """Apply a 1x1 or 3x3 convolution, transposed or not."""


class Library:
    """The library's convolutions, for GPUs, float64 and narrow maps."""

    def enter(self, maps: Tensor) -> Tensor:
        """[N, H, W, C] -> the same."""
        return maps

    def leave(self, x: Tensor) -> Tensor:
        """The same."""
        return x

    def convolve(self, layer: Layer, x: Tensor) -> Tensor:
        """Apply any convolution."""
        found: Tensor = layer(x.movedim(-1, 1))
        return found.movedim(1, -1)


def form_for(maps: Tensor, layers: Sequence[Layer], toom_cook_from: int = TOOM_COOK_FROM) -> Form:
    """The fast form for maps [N, H, W, C] that pass through `layers` one after the other.

    On a CPU: :class:`Taps` under bfloat16 autocast, :class:`ToomCook` in float32 where all maps
    are small enough; the library's own otherwise, and where any layer is too narrow.

    Args:
        maps: The input.
        layers: In order.
        toom_cook_from: Channels from which Toom-Cook is used; 0 takes it, and under bfloat16
            :class:`Taps`, however few there are.
    """
    if maps.device.type != "cpu" or maps.shape[0] < FEWEST:
        return Library()
    narrowest = min(min(layer.in_channels, layer.out_channels) for layer in layers)
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16:
        return Taps() if narrowest >= TAPS_FROM or not toom_cook_from else Library()
    small = maps.dtype == torch.float32 and most_points(maps.shape[1:3], layers) <= LARGEST
    return ToomCook() if small and narrowest >= toom_cook_from else Library()


def most_points(size: Sequence[int], layers: Sequence[Layer]) -> int:
    """Points per axis that Toom-Cook needs for maps of `size` (H, W), at most over the layers."""
    most = 0
    sizes = list(size)
    for layer in layers:
        if layer.kernel_size == (1, 1):
            continue
        transposed = isinstance(layer, torch.nn.ConvTranspose2d)
        for i, padding in enumerate(padding_of(layer)):
            most = max(most, points_needed(sizes[i], padding, transposed))
            sizes[i] += 2 - 2 * padding if transposed else 2 * padding - 2
    return most
