"""Encode every clip of a split once with the frozen model, each modality on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.codebook.measures import CodeUsage, code_counts
from cmg.data.batches import Batches
from cmg.data.source import Split
from cmg.errors import ModalityError, did_you_mean
from cmg.models.unified import SemanticEncoder, UnifiedModel, refuse_non_finite
from cmg.types import Batch, Steps


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
        DataError: the split has fewer than two clips, or a clip has NaN or infinite features.
    """
    names = [m for m in model.modalities if m in split.modalities]
    check_shapes(model, split)
    batches = Batches(split, batch_size, names, shuffle=False)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {m: [] for m in names}
    for index in range(len(batches)):
        batch = batches.at(0, index).to(model.device, model.dtype).zero_padded()
        refuse_non_finite(batch)
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


def check_shapes(model: UnifiedModel, split: Split) -> None:
    """Compare what a store holds with what a model reads, where both have a modality.

    Raises:
        ModalityError: a modality has steps of another shape.
    """
    for m, stored in split.modalities.items():
        if m in model.modalities and stored.shape != model.modalities[m].shape:
            raise ModalityError(
                f"{split.store.path}: modality {m!r} has steps of shape {stored.shape}, the model "
                f"reads {model.modalities[m].shape}; give a store of the features that it was "
                "trained on, or another --model"
            )


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


class FrozenEncoder:
    """One modality of a frozen model, in two halves around the only place with dropout.

    What comes before the temporal encoder (token LSTM, pooling of maps) has no dropout, so it is
    the same in every epoch; encoding again with dropout starts from there.

    Args:
        model: Left untouched; its mode is put back after every call.
        modality: One of its modalities.

    Raises:
        ModalityError: the model lacks the modality.
    """

    def __init__(self, model: UnifiedModel, modality: str) -> None:
        if modality not in model.modalities:
            raise ModalityError(
                f"the model has no modality {modality!r}{did_you_mean(modality, model.modalities)}"
            )
        self.model = model
        self.modality = modality

    @torch.no_grad()
    def inputs(self, features: Tensor, lengths: Tensor, ids: Sequence[str] = ()) -> Tensor:
        """What the temporal encoder reads.

        Args:
            features: [B, T, *shape], any dtype.
            lengths: Steps of each clip, int64 [B].
            ids: Of the clips, for messages.

        Returns:
            [B, T, C] in the model's dtype, on its device.

        Raises:
            ModalityError: features of another shape than the model's.
            DataError: NaN or infinite features.
        """
        model, m = self.model, self.modality
        batch = Batch({m: features}, {m: lengths}, ids).to(model.device, model.dtype)
        batch.check(model.modalities)
        batch = batch.zero_padded()
        refuse_non_finite(batch)
        x = batch.features[m]
        if m in model.tokens:
            masked = model.options.mask_tokens and not batch.steps.complete
            x = model.tokens[m](x, lengths if masked else None).to(model.dtype)
        pool = self._semantic.pool
        return x if pool is None else torch.as_tensor(pool(x))

    @torch.no_grad()
    def semantic(self, inputs: Tensor, lengths: Tensor, dropout: bool = False) -> Tensor:
        """Semantic features z [B, T, D].

        Args:
            inputs: Of :meth:`inputs`.
            lengths: Steps of each clip, int64 [B].
            dropout: Train mode, with dropout from torch's global generator [as coded].
        """
        temporal = self._semantic.temporal
        training = temporal.training
        temporal.train(dropout)
        try:
            mask = self._steps(inputs, lengths).mask(self.modality)
            return torch.as_tensor(temporal(inputs, mask)).to(self.model.dtype)
        finally:
            temporal.train(training)

    @torch.no_grad()
    def codes(self, semantic: Tensor, lengths: Tensor) -> Tensor:
        """Nearest codes, int64 [B, T]; -1 at steps that do not exist."""
        steps = self._steps(semantic, lengths)
        found = self.model.codebook.lookup({self.modality: semantic}, steps).indices[self.modality]
        mask = steps.mask(self.modality)
        return found if mask is None else found.masked_fill(~mask, -1)

    @property
    def _semantic(self) -> SemanticEncoder:
        part = self.model.semantic[self.modality]
        assert isinstance(part, SemanticEncoder)
        return part

    def _steps(self, x: Tensor, lengths: Tensor) -> Steps:
        return Steps(x.shape[0], x.shape[1], {self.modality: lengths}, x.device)
