"""Specific encoders: the modality's private detail beside its shared content (METHOD section 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cmg.convolutions.forms import LEAN_FROM, TOOM_COOK_FROM, Form, Library, form_for
from cmg.types import Kind, Modality

MapPath = Literal["lean", "published", "normalized"]
"""Forms of the private path of maps, detail encoder and decoder: lean; as wide as published; and
that with an encoder of two convolutions and batch norm, which reads the gated maps."""
MapTail = Literal["narrow", "full"]
"""Whether the last two layers of a lean decoder have as many channels as the maps between them."""

LEAN_DIVISOR = 8
"""How much narrower the lean path is: 4.5 % of the published operations (docs/lean.md)."""

LEAN_LEAST = 16
"""Channels that it keeps of a small model, whose maps could not be rebuilt from fewer."""


def map_detail_width(width: int, path: MapPath) -> int:
    """Channels of the detail of maps whose declared detail width S is `width`."""
    return min(width, max(LEAN_LEAST, width // LEAN_DIVISOR)) if path == "lean" else width


def map_tail_width(channels: int, width: int) -> int:
    """Channels between the last two layers of a decoder whose tail is narrow.

    Args:
        channels: C of the maps.
        width: Of the detail, as :func:`map_detail_width` has it.
    """
    return min(channels, max(map_detail_width(channels, "lean"), width // 2))


def forms_from(channels: int, path: MapPath, tail: MapTail, toom_cook_from: int) -> int:
    """What :func:`cmg.convolutions.form_for` is told of maps of C channels."""
    lean = path == "lean" and tail == "narrow"
    return 0 if lean and channels >= max(LEAN_FROM, toom_cook_from) else toom_cook_from


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

    def forward(self, x: Tensor, form: Form) -> Tensor:
        """Maps in the layout of `form` -> the same."""
        x = torch.relu(x)
        inner = torch.relu(form.convolve(self.spatial, x))
        return torch.relu(x + form.convolve(self.pointwise, inner))


class MapLayers(nn.Sequential):
    """Convolutions, ReLUs and residual blocks that maps pass through in the form that is fast.

    With a batch norm among them they take the library's.

    Args:
        layers: In order.
        toom_cook_from: See :func:`cmg.convolutions.form_for`.
    """

    def __init__(self, *layers: nn.Module, toom_cook_from: int = TOOM_COOK_FROM) -> None:
        super().__init__(*layers)
        self.toom_cook_from = toom_cook_from

    def forward(self, maps: Tensor) -> Tensor:
        """[N, H, W, C] -> [N, H', W', C']."""
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        layers = [layer for layer in self.modules() if isinstance(layer, kinds)]
        normalized = any(isinstance(layer, nn.BatchNorm2d) for layer in self)
        form = Library() if normalized else form_for(maps, layers, self.toom_cook_from)
        x = form.enter(maps)
        for layer in self:
            if isinstance(layer, ResidualBlock):
                x = layer(x, form)
            elif isinstance(layer, kinds):
                x = form.convolve(layer, x)
            elif isinstance(layer, nn.BatchNorm2d):
                x = layer(x.movedim(-1, 1)).movedim(1, -1)
            else:
                x = layer(x)
        return form.leave(x)


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
    """Three convolutions and a residual block per map; or two convolutions with batch norm.

    Batch norm takes its statistics over the frames and positions of a batch, those of padding
    included [as coded].

    Args:
        shape: (H, W, C) of a map.
        width: S.
        toom_cook_from: See :func:`cmg.convolutions.form_for`.
        normalized: Whether it is two convolutions with batch norm.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        toom_cook_from: int = TOOM_COOK_FROM,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        height, wide, channels = shape
        padding = (convolution_padding(height), convolution_padding(wide))
        half = max(1, width // 2)
        first = nn.Conv2d(channels, half, 3, padding=padding)
        second = nn.Conv2d(half, width, 3, padding=padding)
        if normalized:
            norms = nn.BatchNorm2d(half), nn.BatchNorm2d(width)
            layers = [first, norms[0], nn.ReLU(), second, norms[1], nn.ReLU()]
        else:
            last = [nn.Conv2d(width, width, 1), ResidualBlock(width)]
            layers = [first, nn.ReLU(), second, nn.ReLU(), *last]
        self.convolutions = MapLayers(*layers, toom_cook_from=toom_cook_from)
        self.private = nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode maps.

        Args:
            x: [B, T, H, W, C].

        Returns:
            The detail [B, T, h, w, S], and what CLUB sees of it, [B, T, C].
        """
        maps: Tensor = self.convolutions(x.flatten(0, 1))
        detail = maps.reshape(*x.shape[:2], *maps.shape[1:])
        return detail, self.private(detail.mean((2, 3)))


def build_detail(
    modality: Modality,
    in_width: int,
    of_maps: MapPath = "published",
    toom_cook_from: int = TOOM_COOK_FROM,
    map_tail: MapTail = "full",
) -> nn.Module:
    """The specific encoder of a modality.

    Args:
        modality: Whose detail it is.
        in_width: Channels of its vectors.
        of_maps: The form for maps.
        toom_cook_from: See :func:`cmg.convolutions.form_for`.
        map_tail: The end of a lean decoder, which tells where forms are chosen from.
    """
    if modality.kind is Kind.MAPS:
        height, width, channels = modality.shape
        own = map_detail_width(modality.detail_width, of_maps)
        normalized, shape = of_maps == "normalized", (height, width, channels)
        toom_cook_from = forms_from(channels, of_maps, map_tail, toom_cook_from)
        return MapDetail(shape, own, toom_cook_from, normalized)
    return VectorDetail(in_width, modality.detail_width)
