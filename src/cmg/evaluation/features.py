"""What heads read: codes, vectors, or either drawn anew with dropout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.decoders.heads import ReadBy
from cmg.evaluation.encoding import FrozenEncoder, read_by
from cmg.evaluation.stack import HeadStack, whole_clips
from cmg.process import seeded
from cmg.training.seeding import derived_seed

READ_AT_ONCE = 512
"""Clips that are read at once where vectors have to be made of them."""


@dataclass(frozen=True)
class CodeFeatures:
    """Clips as codes.

    Attributes:
        table: Code vectors, [K, D].
        codes: int64 [N, T]; -1 at steps that do not exist. Every clip has its first step.
    """

    table: Tensor
    codes: Tensor

    @property
    def mask(self) -> Tensor:
        """Steps that exist, bool [N, T]."""
        return self.codes >= 0

    @property
    def width(self) -> int:
        """D."""
        return self.table.shape[1]

    def pick(self, chosen: Tensor, seed: int, step: int) -> Tensor:
        """Codes of some clips, int64 [B, T], none of them -1; the same at every step."""
        return whole_clips(self.codes[chosen])

    def read(self, head: HeadStack) -> Tensor:
        """Logits [N, ...] of a stack of one head."""
        table = self.table.to(head.hidden.dtype)
        return head.of_codes(table, whole_clips(self.codes)[None])[0]


@dataclass(frozen=True)
class VectorFeatures:
    """Clips as vectors.

    Attributes:
        vectors: [N, T, D].
        mask: Steps that exist, bool [N, T].
        table: None; there are no codes.
    """

    vectors: Tensor
    mask: Tensor
    table: None = None

    @property
    def width(self) -> int:
        """D."""
        return self.vectors.shape[2]

    def pick(self, chosen: Tensor, seed: int, step: int) -> Tensor:
        """Vectors of some clips, [B, T, D]; the same at every step."""
        return self.vectors[chosen]

    def read(self, head: HeadStack) -> Tensor:
        """Logits [N, ...] of a stack of one head."""
        dtype = head.hidden.dtype
        parts = []
        for start in range(0, len(self.mask), READ_AT_ONCE):
            some = slice(start, start + READ_AT_ONCE)
            parts.append(head.of_vectors(self.vectors[None, some].to(dtype), self.mask[None, some]))
        return torch.cat(parts, 1)[0]


@dataclass(frozen=True)
class NoisyFeatures:
    """Clips that are encoded anew for every batch, with the encoder's dropout on [as coded].

    Attributes:
        encoder: Of the modality.
        inputs: What its temporal encoder reads, [N, T, C]; no dropout comes before it.
        lengths: Steps of each clip, int64 [N].
        by: What heads read.
        table: Code vectors, [K, D], on the model's device, where clips are given as codes.
        columns: Dimensions of code vectors that are read; None for all.
    """

    encoder: FrozenEncoder
    inputs: Tensor
    lengths: Tensor
    by: ReadBy
    table: Tensor | None
    columns: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """Steps that exist, bool [N, T]."""
        steps = torch.arange(self.inputs.shape[1])
        return (steps[None] < self.lengths[:, None]).to(self.encoder.model.device)

    @property
    def width(self) -> int:
        """Of what a head reads of a step."""
        if self.table is not None:
            return self.table.shape[1]
        return self.pick(torch.zeros(1, dtype=torch.int64), 0, 0).shape[2]

    def pick(self, chosen: Tensor, seed: int, step: int) -> Tensor:
        """Some clips; a pure function of its arguments.

        Args:
            chosen: Clips, int64 [B].
            seed: Of the head that reads them.
            step: Number of the training step.

        Returns:
            Codes, int64 [B, T], none of them -1; without a table vectors, [B, T, D].
        """
        encoder, model = self.encoder, self.encoder.model
        chosen = chosen.cpu()
        lengths = self.lengths[chosen]
        with seeded(derived_seed(seed, f"dropout/{encoder.modality}", step), model.device):
            z = encoder.semantic(self.inputs[chosen].to(model.device), lengths, dropout=True)
        codes = encoder.codes(z, lengths)
        if self.table is not None:
            return whole_clips(codes)
        return read_by(model, encoder.modality, codes, z, self.by, columns=self.columns)


Features = CodeFeatures | VectorFeatures | NoisyFeatures
Readable = CodeFeatures | VectorFeatures


def compacted(several: list[CodeFeatures]) -> list[CodeFeatures]:
    """The same clips over the codes that occur in any of them.

    Heads are applied to whole tables, so a table without idle codes is cheaper.

    Args:
        several: Of one table.
    """
    used = torch.unique(torch.cat([f.codes.flatten() for f in several]))
    used = used[used >= 0]
    place = torch.full((several[0].table.shape[0] + 1,), -1, device=used.device)
    place[used] = torch.arange(len(used), device=used.device)
    table = several[0].table[used]
    return [CodeFeatures(table, place[f.codes]) for f in several]  # -1 takes the last place
