"""What every form needs to know of a convolution layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

Layer = nn.Conv2d | nn.ConvTranspose2d


def padding_of(layer: Layer) -> tuple[int, int]:
    """Padding along height and width, as numbers."""
    padding = layer.padding
    assert not isinstance(padding, str)  # the layers are built with numbers
    height, width = padding
    return int(height), int(width)


def pointwise(layer: Layer, x: Tensor) -> Tensor:
    """A 1x1 convolution as a matrix product, channels last in and out."""
    weight = layer.weight.flatten(1)
    if isinstance(layer, nn.ConvTranspose2d):
        weight = weight.T
    return F.linear(x, weight, layer.bias)
