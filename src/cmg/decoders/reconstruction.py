"""Decoders: quantized content and private detail back to the feature (METHOD section 5.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmg.convolutions.forms import TOOM_COOK_FROM
from cmg.encoders.detail import (
    MapLayers,
    MapPath,
    MapTail,
    ResidualBlock,
    convolution_padding,
    forms_from,
    map_detail_width,
    map_tail_width,
)
from cmg.types import Kind, Modality


def content_layers(width: int, out_width: int, narrow: int | None) -> nn.Module:
    """The linear map of content; two in a row where there is a width to pass through [as coded]."""
    if narrow is None:
        return nn.Linear(width, out_width)
    return nn.Sequential(nn.Linear(width, narrow), nn.Linear(narrow, out_width))


class VectorDecoder(nn.Module):
    """Linear over [projected content, detail].

    Args:
        width: D.
        detail_width: S.
        out_width: C of the feature.
        narrow: See :func:`content_layers`.
    """

    def __init__(
        self, width: int, detail_width: int, out_width: int, narrow: int | None = None
    ) -> None:
        super().__init__()
        self.content = content_layers(width, detail_width, narrow)
        self.output = nn.Linear(2 * detail_width, out_width)

    def forward(self, content: Tensor, detail: Tensor) -> Tensor:
        """[B, T, D] and [B, T, S] -> [B, T, C]."""
        rebuilt: Tensor = self.output(torch.cat([self.content(content), detail], -1))
        return rebuilt


def tail_layers(width: int, tail: int, channels: int, padding: tuple[int, int]) -> list[nn.Module]:
    """The last layers of a decoder of maps: from `width` channels through `tail` to C."""
    wider = nn.ConvTranspose2d(width, tail, 3, padding=padding)
    return [wider, nn.ReLU(), nn.ConvTranspose2d(tail, channels, 1)]


class MapDecoder(nn.Module):
    """Transposed convolutions over [content at every position, detail].

    Args:
        width: D.
        detail_width: S.
        shape: (H, W, C) of a map.
        toom_cook_from: See :func:`cmg.convolutions.form_for`.
        narrow: See :func:`content_layers`.
        tail: Channels between the last two layers; None is C.
    """

    def __init__(
        self,
        width: int,
        detail_width: int,
        shape: tuple[int, int, int],
        toom_cook_from: int = TOOM_COOK_FROM,
        narrow: int | None = None,
        tail: int | None = None,
    ) -> None:
        super().__init__()
        height, wide, channels = shape
        padding = (convolution_padding(height), convolution_padding(wide))
        half = max(1, detail_width // 2)
        spread = narrow or width
        self.content = content_layers(width, spread, narrow)
        first = nn.ConvTranspose2d(spread + detail_width, half, 3, padding=padding)
        layers = [first, ResidualBlock(half), *tail_layers(half, channels, channels, padding)]
        if tail is not None and tail != channels:
            # A full tail has been drawn, so that all other weights of a seed are the same.
            with torch.random.fork_rng(devices=[]):
                layers[2:] = tail_layers(half, tail, channels, padding)
        self.convolutions = MapLayers(*layers, toom_cook_from=toom_cook_from)

    def forward(self, content: Tensor, detail: Tensor) -> Tensor:
        """[B, T, D] and [B, T, h, w, S] -> [B, T, H, W, C]."""
        spread = self.content(content)[:, :, None, None].expand(*detail.shape[:4], -1)
        maps: Tensor = self.convolutions(torch.cat([spread, detail], -1).flatten(0, 1))
        return maps.reshape(*detail.shape[:2], *maps.shape[1:])


def build_decoder(
    modality: Modality,
    width: int,
    out_width: int,
    of_maps: MapPath = "published",
    toom_cook_from: int = TOOM_COOK_FROM,
    narrow: int | None = None,
    map_tail: MapTail = "full",
) -> nn.Module:
    """The decoder of a modality.

    Args:
        modality: What is rebuilt.
        width: D.
        out_width: Of its vectors, or of the token LSTM.
        of_maps: The form for maps.
        toom_cook_from: See :func:`cmg.convolutions.form_for`.
        narrow: See :func:`content_layers`.
        map_tail: The end of a lean decoder.
    """
    if modality.kind is Kind.MAPS:
        height, wide, channels = modality.shape
        detail_width = map_detail_width(modality.detail_width, of_maps)
        lean = of_maps == "lean" and map_tail == "narrow"
        tail = map_tail_width(channels, detail_width) if lean else None
        shape = (height, wide, channels)
        toom_cook_from = forms_from(channels, of_maps, map_tail, toom_cook_from)
        return MapDecoder(width, detail_width, shape, toom_cook_from, narrow, tail)
    return VectorDecoder(width, modality.detail_width, out_width, narrow)
