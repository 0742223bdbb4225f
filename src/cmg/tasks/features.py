"""What heads read: codes, continuous features, or codes drawn anew with dropout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.evaluation.encoding import FrozenEncoder
from cmg.process import seeded
from cmg.tasks.stack import HeadStack, whole_clips
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
    """Clips as continuous features, without the codebook.

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
    """Clips whose codes are drawn anew for every batch, with the encoder's dropout on [as coded].

    Attributes:
        encoder: Of the modality.
        inputs: What its temporal encoder reads, [N, T, C]; no dropout comes before it.
        lengths: Steps of each clip, int64 [N].
        table: Code vectors, [K, D], on the model's device.
    """

    encoder: FrozenEncoder
    inputs: Tensor
    lengths: Tensor
    table: Tensor

    @property
    def mask(self) -> Tensor:
        """Steps that exist, bool [N, T]."""
        steps = torch.arange(self.inputs.shape[1])
        return (steps[None] < self.lengths[:, None]).to(self.table.device)

    @property
    def width(self) -> int:
        """D."""
        return self.table.shape[1]

    def pick(self, chosen: Tensor, seed: int, step: int) -> Tensor:
        """Codes of some clips, int64 [B, T], none of them -1; a pure function of its arguments.

        Args:
            chosen: Clips, int64 [B].
            seed: Of the head that reads them.
            step: Number of the training step.
        """
        device = self.encoder.model.device
        chosen = chosen.cpu()
        lengths = self.lengths[chosen]
        with seeded(derived_seed(seed, f"dropout/{self.encoder.modality}", step), device):
            z = self.encoder.semantic(self.inputs[chosen].to(device), lengths, dropout=True)
        return whole_clips(self.encoder.codes(z, lengths))


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
