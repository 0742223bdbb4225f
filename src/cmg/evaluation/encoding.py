"""Encode clips once with the frozen model, each modality on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cmg.codebook.measures import CodeUsage
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.decoders.heads import ReadBy
from cmg.errors import ConfigError, DataError, ModalityError, did_you_mean
from cmg.masking import mean_over_time
from cmg.models.unified import SemanticEncoder, UnifiedModel, refuse_non_finite
from cmg.process import mode
from cmg.types import Batch, Encoded, Steps


@dataclass(frozen=True)
class EncodedModality:
    """One modality of a split, frozen.

    Attributes:
        indices: Codes, int64 [N, T], or [N, T, L] of a quantizer with levels; -1 at steps that do
            not exist. Without codes 0 at those that do.
        semantic: Continuous semantic features z, [N, T, D].
        codes: Code vectors, [N, T, D], without codes the features; zero at steps that do not
            exist.
    """

    indices: Tensor
    semantic: Tensor
    codes: Tensor

    @property
    def mask(self) -> Tensor:
        """Steps that exist, bool [N, T]."""
        return step_mask(self.indices)

    @property
    def present(self) -> Tensor:
        """Clips that have the modality, bool [N]."""
        return self.mask.any(1)


def step_mask(indices: Tensor) -> Tensor:
    """The steps that exist, bool [N, T], by indices [N, T] or [N, T, L]."""
    return (indices if indices.dim() == 2 else indices[..., 0]) >= 0


@torch.no_grad()
def encoded(
    model: UnifiedModel,
    batches: Iterable[Batch],
    where: Path,
    dropout: bool = False,
    done: Callable[[int], None] = lambda clips: None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """The loop that encodes: every batch to codes and semantic features, on the CPU.

    Args:
        model: Left untouched, codebook included.
        batches: Of one set of modalities.
        where: What they are of, for messages.
        dropout: Encode in train mode, with dropout from torch's global generator [as coded].
        done: Told the clips of each batch.

    Returns:
        Indices (see :class:`EncodedModality`) and float32 features per modality, in the batches'
        order, T the longest.

    Raises:
        DataError: a clip has NaN or infinite features.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for given in batches:
        batch = given.to(model.device, model.dtype).zero_padded()
        try:
            refuse_non_finite(batch)
        except DataError as error:
            raise DataError(f"{where}: {error}; extract that clip again") from error
        semantic = frozen_semantics(model, batch, dropout)
        for m, indices in step_codes(model, semantic, batch.steps).items():
            found.setdefault(m, []).append((indices.cpu(), semantic[m].float().cpu()))
        done(batch.steps.batch_size)
    return {
        m: (stacked([i for i, _ in parts], -1), stacked([z for _, z in parts], 0))
        for m, parts in found.items()
    }


def step_codes(
    model: UnifiedModel, semantic: Mapping[str, Tensor], steps: Steps
) -> dict[str, Tensor]:
    """Indices of semantic features, see :class:`EncodedModality`."""
    looked_up = model.codebook.lookup(semantic, steps).indices
    codes = {}
    for m, z in semantic.items():
        indices, mask = looked_up.get(m), steps.mask(m)
        if indices is None:
            indices = z.new_zeros(z.shape[:2], dtype=torch.int64)
        if mask is not None:
            indices = indices.masked_fill(~(mask if indices.dim() == 2 else mask[..., None]), -1)
        codes[m] = indices
    return codes


def frozen_semantics(model: UnifiedModel, batch: Batch, dropout: bool) -> dict[str, Tensor]:
    """Semantic features in eval mode, or in train mode where `dropout` says so."""
    if not dropout:
        return model.semantics(batch)
    with mode(model, training=True):
        return model.features(model.checked(batch))


@torch.no_grad()
def read_by(
    model: UnifiedModel,
    modality: str,
    indices: Tensor,
    semantic: Tensor,
    by: ReadBy,
    temperature: float = 1.0,
    columns: Tensor | None = None,
) -> Tensor:
    """What heads read of steps, zero at those that do not exist; on the features' device.

    Args:
        model: Whose codes they are.
        modality: Name of the modality.
        indices: See :class:`EncodedModality`.
        semantic: z, [N, T, D].
        by: Code vectors (without codes the features), the posterior, or the features.
        temperature: Of the posterior.
        columns: Dimensions of code vectors that are read, int64 [k]; None for all.

    Returns:
        [N, T, D], or [N, T, k]; [N, T, K] of a posterior, [N, T, L K] with levels.

    Raises:
        ConfigError: a posterior without codes.
    """
    codebook, mask = model.codebook, step_mask(indices).to(semantic.device)[..., None]
    if by == "continuous":
        return semantic
    if codebook.levels == 0 and by == "posterior":
        raise ConfigError("the model has no codes, so no posterior; say probe.features=continuous")
    if codebook.levels == 0:
        return semantic * mask
    if by == "codes":
        vectors = codebook.vectors(modality, indices.to(model.device)).to(semantic)
        return vectors if columns is None else vectors[..., columns.to(vectors.device)]
    z = semantic.to(model.device, model.dtype)
    return codebook.posterior(modality, z, temperature).flatten(2).to(semantic) * mask


@torch.no_grad()
def code_distances(
    model: UnifiedModel, modality: str, indices: Tensor, semantic: Tensor
) -> Tensor | None:
    """Mean square distance of a clip's steps to their codes, [N]; None without codes.

    Args:
        model: Whose codes they are.
        modality: Name of the modality.
        indices: See :class:`EncodedModality`.
        semantic: z, [N, T, D].
    """
    if model.codebook.levels == 0:
        return None
    codes = model.codebook.codes_of(modality, indices.clamp_min(0).to(model.device)).to(semantic)
    far = (semantic - codes).square().mean(-1, keepdim=True)
    return mean_over_time(far, step_mask(indices))[..., 0]


def encode_split(
    model: UnifiedModel, split: Clips, batch_size: int = 256, dropout: bool = False
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
    for m in names:
        check_shape(model, split, m)
    batches = Batches(split, batch_size, names, shuffle=False)
    out = {}
    found = encoded(model, batches.epoch(0), split.path, dropout)
    for m, (codes, z) in found.items():
        # Batches leave out clips that have none of the names; here every clip keeps its place.
        indices = codes.new_full((len(split), *codes.shape[1:]), -1)
        semantic = z.new_zeros((len(split), *z.shape[1:]))
        indices[batches.clips], semantic[batches.clips] = codes, z
        vectors = read_by(model, m, indices, semantic, "codes")
        out[m] = EncodedModality(indices, semantic, vectors)
    return out


def refuse_unknown(modality: str, names: Iterable[str], of: object = "the model") -> None:
    """Refuse a modality that something does not have.

    Raises:
        ModalityError: with the nearest name, and all that there are.
    """
    if modality not in names:
        raise ModalityError(f"{of} has no modality {modality!r}{did_you_mean(modality, names)}")


def check_shape(model: UnifiedModel, source: Clips, modality: str) -> None:
    """Compare what a source holds of a modality with what the model reads.

    Raises:
        ModalityError: one of them lacks the modality, or steps are of another shape.
    """
    refuse_unknown(modality, source.modalities, str(source.path))
    refuse_unknown(modality, model.modalities)
    stored, wanted = source.modalities[modality].shape, model.modalities[modality].shape
    if stored != wanted:
        raise ModalityError(
            f"{source.path}: modality {modality!r} has steps of shape {stored}, the model reads "
            f"{wanted}; give features like those it was trained on, or another --model"
        )


def pad_steps(x: Tensor, length: int, value: float) -> Tensor:
    """[B, t, ...] -> [B, length, ...]: cut, or filled with `value`."""
    missing = length - x.shape[1]
    if missing <= 0:
        return x[:, :length]
    return torch.cat([x, x.new_full((x.shape[0], missing, *x.shape[2:]), value)], 1)


def stacked(parts: Sequence[Tensor], fill: float) -> Tensor:
    """Batches one below the other, padded to the longest."""
    longest = max(x.shape[1] for x in parts)
    return torch.cat([pad_steps(x, longest, fill) for x in parts])


def code_usage(
    encoded: dict[str, EncodedModality], size: int, where: dict[str, Tensor] | None = None
) -> CodeUsage:
    """How a split uses the codebook; with levels the codes of all levels, one level after another.

    Args:
        encoded: See :func:`encode_split`.
        size: K; 0 without codes.
        where: Count only these steps, bool [N, T] per modality; all existing steps if absent.
    """
    valid: dict[str, Tensor | None] = {}
    for m, one in encoded.items():
        valid[m] = one.mask if where is None or m not in where else one.mask & where[m]
    return CodeUsage.of({m: one.indices for m, one in encoded.items()}, size, valid)


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
        refuse_unknown(modality, model.modalities)
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
            [B, T, C] in the model's dtype, on its device; with the private detail behind it where
            a second layer reads that.

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
        pooled = x if pool is None else torch.as_tensor(pool(x))
        if model.second is None or model.second.reads == "clips":
            return pooled
        return torch.cat([pooled, model.private(m, x)], -1)

    @torch.no_grad()
    def semantic(self, inputs: Tensor, lengths: Tensor, dropout: bool = False) -> Tensor:
        """Semantic features z [B, T, D].

        Args:
            inputs: Of :meth:`inputs`.
            lengths: Steps of each clip, int64 [B].
            dropout: Train mode, with dropout from torch's global generator [as coded].
        """
        m, model, steps = self.modality, self.model, self._steps(inputs, lengths)
        with mode(model, dropout):
            if model.second is None:
                return self._semantic.content(inputs, steps.mask(m)).to(model.dtype)
            private = {}
            if model.second.reads == "private":
                seen = model.modalities[m].private_width
                inputs, private[m] = inputs[..., :-seen], inputs[..., -seen:]
            z = self._semantic.content(inputs, steps.mask(m))
            return model.second.per_step(Encoded({}, {m: z}, {}, private, steps))[m]

    @torch.no_grad()
    def codes(self, semantic: Tensor, lengths: Tensor) -> Tensor:
        """Nearest codes, int64 [B, T] or [B, T, L]; -1 at steps that do not exist."""
        steps = self._steps(semantic, lengths)
        return step_codes(self.model, {self.modality: semantic}, steps)[self.modality]

    @property
    def _semantic(self) -> SemanticEncoder:
        part = self.model.semantic[self.modality]
        assert isinstance(part, SemanticEncoder)
        return part

    def _steps(self, x: Tensor, lengths: Tensor) -> Steps:
        return Steps(x.shape[0], x.shape[1], {self.modality: lengths}, x.device)
