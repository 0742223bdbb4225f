"""Temporal pixel-wise attention between a query and the pixels of a clip (TPAVI).

The query has one vector per frame, which stands for all H W pixels of that frame: among the P
columns of the attention matrix only T differ. All modes are computed from those T columns, so the
P x P matrix is never made; self-attention makes it only in the ``concatenate`` mode, a block of
rows at a time.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Mode = Literal["dot", "embedded", "gaussian", "concatenate"]

ROWS_AT_ONCE = 1024
"""Rows of the ``concatenate`` matrix that are held at a time."""


class PixelAttention(nn.Module):
    """TPAVI: every pixel gathers what agrees with the query, over all frames.

    With x the pixels, a the query (or x itself), theta, phi and g linear maps to `inner` channels::

        dot          y = theta(x) phi(a)^T g(x) / P
        embedded     y = softmax(theta(x) phi(a)^T) g(x)
        gaussian     y = softmax(x a^T) g(x), no theta and phi, inner = C
        concatenate  y = relu(w [theta(x), phi(a)] + b) g(x) / P
        z            = LayerNorm(BatchNorm(W y) + x)

    The scale of the BatchNorm starts at zero, so that a new block only normalizes x [as coded].
    Source: METHOD of AVSBench as used for segmentation in the paper.

    Args:
        channels: C of the pixels.
        query_width: D of the query; None for self-attention.
        mode: One of the four.
        inner: Channels of theta, phi and g; default half of `channels`.
    """

    def __init__(
        self,
        channels: int,
        query_width: int | None = 256,
        mode: Mode = "dot",
        inner: int | None = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        inner = channels if mode == "gaussian" else inner or max(1, channels // 2)
        self.align = None if query_width is None else nn.Linear(query_width, channels)
        self.g = nn.Linear(channels, inner)
        plain = mode == "gaussian"
        self.theta = nn.Identity() if plain else nn.Linear(channels, inner)
        self.phi = nn.Identity() if plain else nn.Linear(channels, inner)
        self.pair = nn.Linear(2 * inner, 1) if mode == "concatenate" else None
        self.out = nn.Linear(inner, channels)
        self.out_norm = nn.BatchNorm1d(channels)
        nn.init.zeros_(self.out_norm.weight)
        nn.init.zeros_(self.out_norm.bias)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, query: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: Pixels [B, C, T, H, W].
            query: [B, T, D]; None for self-attention.

        Returns:
            z [B, C, T, H, W], and the query brought to the pixels' channels [B, T, C].

        Raises:
            ValueError: a query where there is self-attention, none where there is not, or one of
                another number of steps than x has frames.
        """
        pixels = x.flatten(2).transpose(1, 2)  # [B, P, C]
        aligned = self._aligned(query, x.shape[2])
        values = self.g(pixels)
        if aligned is None:
            keys, repeats = self.phi(pixels), 1
        else:
            keys, repeats = self.phi(aligned), x.shape[3] * x.shape[4]
            # A frame's pixels share a column, so only the sum of their values matters.
            values = values.unflatten(1, (x.shape[2], repeats)).sum(2)
        y = self.out(self._gather(self.theta(pixels), keys, values, repeats))
        y = self.out_norm(y.flatten(0, 1)).view_as(pixels)
        z = self.norm(y + pixels).transpose(1, 2).reshape(x.shape)
        return z, aligned

    def _aligned(self, query: Tensor | None, frames: int) -> Tensor | None:
        if (query is None) != (self.align is None):
            wants = "no query" if self.align is None else "a query"
            raise ValueError(f"this attention takes {wants}")
        if query is None or self.align is None:
            return None
        if query.shape[1] != frames:
            raise ValueError(f"a query of {query.shape[1]} steps for {frames} frames")
        return torch.as_tensor(self.align(query))

    def _gather(self, theta: Tensor, keys: Tensor, values: Tensor, repeats: int) -> Tensor:
        """Weighted sum of the values for every pixel, [B, P, inner].

        Args:
            theta: [B, P, inner].
            keys: [B, J, inner], each standing for `repeats` columns.
            values: [B, J, inner], sums over those columns.
            repeats: Columns per key.
        """
        columns = keys.shape[1] * repeats
        if self.mode == "dot":
            return theta @ (keys.transpose(1, 2) @ values) / columns
        if self.pair is not None:
            return self._paired(theta, keys, values) / columns
        return functional.scaled_dot_product_attention(theta, keys, values / repeats, scale=1.0)

    def _paired(self, theta: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        assert self.pair is not None
        of_theta, of_phi = self.pair.weight[0].chunk(2)
        columns = (keys @ of_phi + self.pair.bias)[:, None]  # [B, 1, J]
        rows = (theta @ of_theta)[..., None]  # [B, P, 1]
        blocks = torch.split(rows, ROWS_AT_ONCE, 1)
        return torch.cat([functional.relu(block + columns) @ values for block in blocks], 1)
