"""Temporal encoders: per-step features to the semantic space, [B, T, C] -> [B, T, D]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cmg.options import Options


class TemporalOptions(Options):
    """How steps become semantic features.

    Attributes:
        kind: ``transformer`` mixes the steps of a clip by self-attention (published);
            ``mlp`` treats each step on its own, which keeps per-step labels sharp.
        layers: Transformer layers; 2 in the paper.
        heads: Attention heads; 4 in the paper.
        hidden: Feed-forward width (transformer) or hidden width (mlp); 1024 in the paper.
        dropout: 0.1 in the paper.
        skip: A linear map beside the MLP, added before its LayerNorm; mlp only.
        input_dropout: Share of the input features that are dropped in training; 0 in the paper.
        shared: Whether modalities share the attention and the feed-forward of all layers; each has
            LayerNorms and a linear map of its input of its own; transformer only.
    """

    kind: Literal["transformer", "mlp"] = "transformer"
    layers: int = Field(2, ge=1, le=1000)
    heads: int = Field(4, ge=1)
    hidden: int = Field(1024, ge=1)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    skip: bool = False
    input_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    shared: bool = False

    @model_validator(mode="after")
    def _of_its_kind(self) -> TemporalOptions:
        if self.skip and self.kind != "mlp":
            raise ValueError("skip is an option of kind mlp; a transformer has its own")
        if self.shared and self.kind != "transformer":
            raise ValueError(
                "shared is an option of kind transformer; set model.temporal.kind=transformer, "
                "or leave it out"
            )
        return self


class TransformerBlock(nn.Module):
    """Linear, then post-norm Transformer layers without positions (METHOD section 2).

    Args:
        in_width: C.
        width: D.
        options: Layers, heads, feed-forward width and dropout.
    """

    def __init__(self, in_width: int, width: int, options: TemporalOptions) -> None:
        super().__init__()
        self.drop = nn.Dropout(options.input_dropout)
        self.input = nn.Linear(in_width, width)
        layer = nn.TransformerEncoderLayer(
            width, options.heads, options.hidden, options.dropout, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode steps in the context of their clip.

        Args:
            x: [B, T, C].
            mask: Steps that exist, bool [B, T]; None if all do.

        Returns:
            [B, T, D]; what stands at steps that do not exist means nothing.
        """
        padding = None
        if mask is not None:
            # Attention over no key at all is NaN: a clip without any step attends to its padding.
            padding = ~mask & mask.any(1, keepdim=True)
        encoded: Tensor = self.layers(self.input(self.drop(x)), src_key_padding_mask=padding)
        return encoded


def share_layers(blocks: Sequence[TransformerBlock]) -> None:
    """Have blocks share the attention and feed-forward of their layers, not their LayerNorms.

    As in the modality-shared Transformer of MS-CLIP (You et al., ECCV 2022).
    """
    for block in blocks[1:]:
        for own, common in zip(block.layers.layers, blocks[0].layers.layers, strict=True):
            for part in ("self_attn", "linear1", "linear2"):
                setattr(own, part, getattr(common, part))


class GatedProjection(nn.Module):
    """Two linear layers with gated linear units, each step on its own (Spoken Moments, section 4).

    Args:
        width: D, of input and output; there 4096 wide, here as wide as what it reads.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        gate = nn.GLU(-1)
        self.layers = nn.Sequential(
            nn.Linear(width, 2 * width), gate, nn.Linear(width, 2 * width), gate
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return torch.as_tensor(self.layers(x))


class StepMLP(nn.Module):
    """Two linear layers and a LayerNorm, each step on its own.

    Args:
        in_width: C.
        width: D.
        options: Hidden width, dropout, and whether a linear map goes beside the two layers.
    """

    def __init__(self, in_width: int, width: int, options: TemporalOptions) -> None:
        super().__init__()
        self.drop = nn.Dropout(options.input_dropout)
        self.layers = nn.Sequential(
            nn.Linear(in_width, options.hidden),
            nn.GELU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, width),
            nn.LayerNorm(width),
        )
        self.skip = nn.Linear(in_width, width) if options.skip else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode each step, [B, T, C] -> [B, T, D]; `mask` is not needed."""
        x = self.drop(x)
        if self.skip is None:
            return torch.as_tensor(self.layers(x))
        encoded: Tensor = self.layers[-1](self.layers[:-1](x) + self.skip(x))
        return encoded


class TokenLSTM(nn.Module):
    """Two-layer bidirectional LSTM that reads tokens in context (METHOD section 1).

    Args:
        in_width: C of a token vector.
        hidden: Width per direction; the output has twice that.
    """

    def __init__(self, in_width: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_width, hidden, 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Read the tokens.

        Args:
            x: [B, T, C].
            lengths: CPU int64 [B] of tokens to read; None reads all T, padding included, as coded.

        Returns:
            [B, T, 2 * hidden]; zero behind the last token.
        """
        if lengths is None:
            read: Tensor = self.lstm(x)[0]
            return read
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.clamp_min(1), batch_first=True, enforce_sorted=False
        )
        out, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return torch.as_tensor(out)


def build_temporal(in_width: int, width: int, options: TemporalOptions) -> nn.Module:
    """The temporal encoder `options` name."""
    kinds = {"transformer": TransformerBlock, "mlp": StepMLP}
    return kinds[options.kind](in_width, width, options)
