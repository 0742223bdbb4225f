"""Encode every clip of a split once with the frozen model, each modality on its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.codebook.measures import CodeUsage, code_counts
from cmg.data.batches import Batches
from cmg.data.split import Split
from cmg.models.unified import UnifiedModel
from cmg.types import Batch


@dataclass(frozen=True)
class EncodedModality:
    """One modality of a split, frozen.

    Attributes:
        indices: Codes, int64 [N, T]; -1 at steps that do not exist.
        semantic: Continuous semantic features z, [N, T, D].
        codes: Code vectors, [N, T, D]; zero at steps that do not exist.
    """

    indices: Tensor
    semantic: Tensor
    codes: Tensor

    @property
    def mask(self) -> Tensor:
        """Steps that exist, bool [N, T]."""
        return self.indices >= 0

    @property
    def present(self) -> Tensor:
        """Clips that have the modality, bool [N]."""
        return self.mask.any(1)


@torch.no_grad()
def encode_split(
    model: UnifiedModel, split: Split, batch_size: int = 256, dropout: bool = False
) -> dict[str, EncodedModality]:
    """Encode a split.

    Args:
        model: Left untouched, codebook included.
        split: Whose clips, in its order.
        batch_size: Clips at a time.
        dropout: Encode in train mode, with dropout from torch's global generator [as coded].

    Returns:
        The model's modalities that the split has; every clip of the split has a row.

    Raises:
        ModalityError: the split has a modality in another shape than the model.
        DataError: the split has fewer than two clips.
    """
    names = [m for m in model.modalities if m in split.modalities]
    batches = Batches(split, batch_size, names, shuffle=False)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {m: [] for m in names}
    for index in range(len(batches)):
        batch = batches.at(0, index).to(model.device, model.dtype)
        encoded = frozen_semantics(model, batch, dropout)
        quantized = model.codebook.lookup(encoded, batch.steps)
        for m, z in encoded.items():
            mask = batch.steps.mask(m)
            codes = quantized.indices[m]
            codes = codes if mask is None else codes.masked_fill(~mask, -1)
            found[m].append((codes.cpu(), z.float().cpu()))
    table = torch.cat([model.codebook.codes, torch.zeros_like(model.codebook.codes[:1])])
    table = table.float().cpu()
    out = {}
    for m, parts in found.items():
        longest = max(z.shape[1] for _, z in parts)
        # Batches leave out clips that have none of the names; here every clip keeps its place.
        indices = torch.full((len(split), longest), -1)
        semantic = torch.zeros(len(split), longest, table.shape[1])
        indices[batches.clips] = torch.cat([pad_steps(codes, longest, -1) for codes, _ in parts])
        semantic[batches.clips] = torch.cat([pad_steps(z, longest, 0) for _, z in parts])
        out[m] = EncodedModality(indices, semantic, table[indices])  # -1 takes the zero row
    return out


def frozen_semantics(model: UnifiedModel, batch: Batch, dropout: bool) -> dict[str, Tensor]:
    """Semantic features in eval mode, or in train mode where `dropout` says so."""
    if not dropout:
        return model.semantics(batch)
    training = model.training
    try:
        return model.train().represent(batch).semantic
    finally:
        model.train(training)


def pad_steps(x: Tensor, length: int, value: int) -> Tensor:
    """[B, t, ...] -> [B, length, ...], filled with `value`."""
    missing = length - x.shape[1]
    if missing == 0:
        return x
    return torch.cat([x, x.new_full((x.shape[0], missing, *x.shape[2:]), value)], 1)


def code_usage(
    encoded: dict[str, EncodedModality], size: int, where: dict[str, Tensor] | None = None
) -> CodeUsage:
    """How a split uses the codebook.

    Args:
        encoded: See :func:`encode_split`.
        size: K.
        where: Count only these steps, bool [N, T] per modality; all existing steps if absent.
    """
    rows = []
    for m, one in encoded.items():
        mask = one.mask if where is None or m not in where else one.mask & where[m]
        rows.append(code_counts(one.indices.clamp_min(0), size, mask))
    return CodeUsage(torch.stack(rows), tuple(encoded))
