"""The unified model: per-modality encoders and decoders around one quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cmg.codebook.codebook import CodebookOptions
from cmg.codebook.kinds import AnyQuantizerOptions, build_quantizer
from cmg.codebook.quantizer import quantizers
from cmg.convolutions.forms import TOOM_COOK_FROM
from cmg.decoders.reconstruction import build_decoder
from cmg.encoders.detail import MapPath, build_detail
from cmg.encoders.spatial import SpatialPool, SpatialPooling
from cmg.encoders.temporal import (
    GatedProjection,
    TemporalOptions,
    TokenLSTM,
    TransformerBlock,
    build_temporal,
    share_layers,
)
from cmg.errors import ConfigError, DataError, ModalityError, did_you_mean
from cmg.files import StrPath
from cmg.models.saving import save_model
from cmg.models.teacher import Teacher
from cmg.options import Options
from cmg.precision import no_autocast
from cmg.process import seeded
from cmg.tensors import tensor_of
from cmg.types import Batch, Encoded, Kind, Modality, Quantized, Steps


class ModelOptions(Options):
    """Everything about a model but its modalities.

    Attributes:
        width: D; 256 in the paper.
        temporal: How steps become semantic features.
        projection: What stands behind it in each modality: nothing, or a ``gated`` head whose
            output is the semantic feature: what is contrasted, and what heads read.
        spatial_pool: How map positions are pooled, see :class:`cmg.encoders.SpatialPool`.
        map_detail: Form of the private path of maps, which only reconstruction and CLUB use:
            ``published``, or ``lean``, an eighth as wide, at 5 % of the operations (docs/lean.md);
            or ``normalized``, two convolutions with batch norm over gated maps [as coded in a
            successor], decoded as published.
        toom_cook_from: Channels of its layers from which that path takes Toom-Cook's form on a
            CPU in float32; forms differ in speed and rounding (docs/speed.md).
        token_encoder: What reads tokens in context before the temporal encoder: ``lstm``, two
            layers in both directions (published), or ``none``.
        narrow_content: Whether decoders bring code vectors that are wider than D, as whole rows
            are, to D by a linear map of its own first [as coded].
        mask_tokens: Read only the tokens that exist. As coded, zero padding is read like words.
        codebook: The quantizer, by its ``kind``; see docs/quantizers.md.
        teacher: Momentum of a second copy of the encoders of content, which follows them and which
            terms learn from; 0 has none. Nothing else reads it.
    """

    width: int = Field(256, ge=1)
    temporal: TemporalOptions = TemporalOptions()
    projection: Literal["none", "gated"] = "none"
    spatial_pool: SpatialPooling = "sum"
    map_detail: MapPath = "lean"
    toom_cook_from: int = Field(TOOM_COOK_FROM, ge=1)
    token_encoder: Literal["lstm", "none"] = "lstm"
    mask_tokens: bool = True
    narrow_content: bool = False
    codebook: AnyQuantizerOptions = CodebookOptions()
    teacher: float = Field(0.0, ge=0.0, lt=1.0)


class SemanticEncoder(nn.Module):
    """Phi: pool space if there is any, then encode steps (METHOD section 2).

    Args:
        modality: What is encoded.
        in_width: Channels of a step after the token LSTM or the pooling.
        options: Temporal encoder and pooling.
    """

    def __init__(self, modality: Modality, in_width: int, options: ModelOptions) -> None:
        super().__init__()
        maps = modality.kind is Kind.MAPS
        self.pool = SpatialPool(modality.channels, options.spatial_pool) if maps else None
        self.temporal = build_temporal(in_width, options.width, options.temporal)
        self.head = GatedProjection(options.width) if options.projection == "gated" else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, *shape] -> z [B, T, D]."""
        pooled = x if self.pool is None else self.pool(x)
        semantic: Tensor = self.temporal(pooled, mask)
        return semantic if self.head is None else torch.as_tensor(self.head(semantic))


class UnifiedModel(nn.Module):
    """Encoders and decoders of any modalities around one quantizer, ``codebook``.

    The training step reads `represent` -> `quantize` -> `reconstruct`; users call `encode` and
    `decode`. No method but ``codebook.update`` changes state; in train mode the running averages of
    ``map_detail=normalized`` follow every `represent`.

    Args:
        modalities: Declarations; their order is that of the sequential codebook update.
        options: Widths and parts.
        seed: Of the initial weights.

    Raises:
        ConfigError: no modality, two of one name, a name that torch.nn has taken, or a width that
            attention heads or groups of codes do not divide.
    """

    def __init__(
        self, modalities: Sequence[Modality], options: ModelOptions, seed: int = 0
    ) -> None:
        super().__init__()
        names = [m.name for m in modalities]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"a model needs different modalities, got {names or 'none'}")
        taken = [name for name in names if hasattr(nn.ModuleDict(), name)]
        if taken:
            raise ConfigError(f"modality name {taken[0]!r} is taken by torch.nn; choose another")
        if options.temporal.kind == "transformer" and options.width % options.temporal.heads:
            raise ConfigError(
                f"model.width = {options.width} is not a multiple of "
                f"model.temporal.heads = {options.temporal.heads}"
            )
        self.modalities = {m.name: m for m in modalities}
        self.options = options
        self.recompute_maps = False  # set for training: recompute rather than keep activations
        of_maps = (options.map_detail, options.toom_cook_from)
        book = options.codebook
        content = quantizers[book.kind].part.vector_width(options.width, names, book)
        narrow = options.width if options.narrow_content and content > options.width else None
        with seeded(seed):
            self.tokens = nn.ModuleDict()
            self.semantic = nn.ModuleDict()
            self.detail = nn.ModuleDict()
            self.decoder = nn.ModuleDict()
            for m in modalities:
                in_width = m.channels
                if m.kind is Kind.TOKENS and options.token_encoder == "lstm":
                    self.tokens[m.name] = TokenLSTM(m.channels, m.token_hidden)
                    in_width = 2 * m.token_hidden
                self.semantic[m.name] = SemanticEncoder(m, in_width, options)
                self.detail[m.name] = build_detail(m, in_width, *of_maps)
                self.decoder[m.name] = build_decoder(m, content, in_width, *of_maps, narrow)
            self.codebook = build_quantizer(names, options.width, book)
        if options.temporal.shared:
            blocks = (encoder.temporal for encoder in self.semantic.values())
            share_layers([x for x in blocks if isinstance(x, TransformerBlock)])
        momentum = options.teacher
        self.teacher = Teacher(self.tokens, self.semantic, momentum) if momentum else None

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of weights and codes."""
        return next(self.semantic.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device of weights and codes."""
        return next(self.semantic.parameters()).device

    def parts(self) -> dict[str, list[nn.Module]]:
        """The parts whose gradients are clipped on their own in the published recipe."""
        parts: dict[str, list[nn.Module]] = {"encoder": [self.semantic, self.detail]}
        if len(self.tokens):
            parts["tokens"] = [self.tokens]
        parts["decoder"] = [self.decoder]
        if next(self.codebook.parameters(), None) is not None:
            parts["codebook"] = [self.codebook]
        return parts

    # ---- the training step's view ------------------------------------------------------------

    def represent(
        self, batch: Batch | Mapping[str, Any], detail: bool = True, taught: bool = False
    ) -> Encoded:
        """Continuous features of a batch: semantic content and private detail per modality.

        Args:
            batch: Any subset of the model's modalities, on the model's device; a batch, or plain
                tensors [B, T, *shape] per modality.
            detail: Whether the private detail is wanted; if not, the record has none.
            taught: Whether the features of the teachers are.

        Returns:
            Features in the model's dtype, also under autocast.

        Raises:
            ModalityError: an unknown modality or a wrong shape or dtype.
            DataError: nothing to encode, or modalities of different B or T.
        """
        batch = self.checked(batch)
        steps = batch.steps
        inputs, semantic = self._content(batch, steps)
        specific, private = {}, {}
        for m, x in inputs.items() if detail else ():
            own, seen = self._private(self.detail, m, self._gated(m, x))
            specific[m], private[m] = own.to(self.dtype), seen.to(self.dtype)
        teachers = self._taught(batch, steps) if taught else {}
        return Encoded(inputs, semantic, specific, private, steps, teachers)

    @torch.no_grad()
    def _taught(self, batch: Batch, steps: Steps) -> dict[str, Tensor]:
        """Features of the teachers."""
        assert self.teacher is not None
        return self._content(batch, steps, self.teacher)[1]

    def follow(self) -> None:
        """Have the teachers, if there are any, follow the encoders; after a step."""
        if self.teacher is not None:
            self.teacher.follow(self.tokens, self.semantic)

    def quantize(self, encoded: Encoded) -> Quantized:
        """Nearest codes of the semantic features; the codebook is left untouched."""
        return self.codebook.lookup(encoded.semantic, encoded.steps)

    def reconstruct(self, encoded: Encoded, quantized: Quantized) -> dict[str, Tensor]:
        """Rebuild `encoded.inputs` from codes and detail, per modality."""
        return {m: self.rebuild(encoded, m, quantized.vectors[m]) for m in encoded.detail}

    def rebuild(self, encoded: Encoded, modality: str, content: Tensor) -> Tensor:
        """What one decoder makes of any content [B, T, D] and the modality's own detail."""
        rebuilt = self._private(self.decoder, modality, content, encoded.detail[modality])
        return torch.as_tensor(rebuilt.to(self.dtype))

    def _gated(self, m: str, x: Tensor) -> Tensor:
        """What the detail encoder of a modality reads of its inputs."""
        pool = getattr(self.semantic[m], "pool", None)
        if pool is None or self.options.map_detail != "normalized":
            return x
        gated: Tensor = pool.gated(x)
        return gated

    def _private(self, parts: nn.ModuleDict, m: str, *inputs: Tensor) -> Any:
        """A detail encoder or decoder; that of maps is big enough to be computed twice."""
        if self.recompute_maps and self.modalities[m].kind is Kind.MAPS:
            return checkpoint(parts[m], *inputs, use_reentrant=False)
        return parts[m](*inputs)

    @property
    def size(self) -> int:
        """K, the number of codes (of a level)."""
        return self.codebook.size

    def checked(self, batch: Batch | Mapping[str, Any]) -> Batch:
        """A batch, or plain tensors as one, of the model's modalities; see :meth:`represent`."""
        batch = batch if isinstance(batch, Batch) else Batch(dict(batch))
        batch.check(self.modalities)
        return batch

    # ---- the user's view ---------------------------------------------------------------------

    @torch.no_grad()
    def semantics(self, batch: Batch | Mapping[str, Any]) -> dict[str, Tensor]:
        """Semantic features z [B, T, D] per modality, in eval mode; the model is left untouched.

        Args:
            batch: See :meth:`represent`; on any device.
        """
        batch = self.checked(batch).to(self.device, self.dtype)
        training = self.training
        self.eval()
        try:
            return self._content(batch, batch.steps)[1]
        finally:
            self.train(training)

    def encode(self, batch: Batch | Mapping[str, Any]) -> dict[str, Tensor]:
        """Codes of a batch, each modality on its own; the model is left untouched.

        Args:
            batch: A batch, or plain tensors [B, T, *shape] per modality.

        Returns:
            int64 [B, T] per modality, or [B, T, L] of a quantizer with levels or groups; -1 at
            steps that do not exist.

        Raises:
            ConfigError: a model without codes.
            ModalityError: an unknown modality or a wrong shape or dtype.
            DataError: NaN or infinite features, nothing to encode, or modalities of different B
                or T.
        """
        self.codebook.need_codes("encode", "its features are what semantics() returns")
        batch = self.checked(batch).to(self.device, self.dtype).zero_padded()
        refuse_non_finite(batch)
        quantized = self.codebook.lookup(self.semantics(batch), batch.steps)
        masks = {m: batch.steps.mask(m) for m in quantized.indices}
        return {m: masked_codes(x, masks[m]) for m, x in quantized.indices.items()}

    def save(self, path: StrPath, overwrite: bool = False) -> None:
        """Write the model to a folder, which :func:`cmg.load` and every command read.

        Args:
            path: The folder.
            overwrite: Replace a model that lies there.

        Raises:
            CheckpointError: it cannot be written, or something lies there; that is untouched.
            NonFiniteError: a weight is NaN or infinite; nothing is written.
        """
        save_model(path, self, list(self.modalities.values()), self.options, overwrite)

    def decode(self, codes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What heads are given of code indices; the inverse of looking them up.

        Args:
            codes: int64 [B, T] per modality, or [B, T, L]; -1 gives the zero vector.

        Returns:
            [B, T, D] per modality; M D wide where heads are given rows of a tied codebook.

        Raises:
            ConfigError: a model without codes, or with another number of levels.
            ModalityError: an unknown modality.
            DataError: indices that are no whole numbers, or lie outside the codebook.
        """
        vectors = {}
        for m, given in codes.items():
            if m not in self.modalities:
                raise ModalityError(f"unknown modality {m!r}{did_you_mean(m, self.modalities)}")
            indices = tensor_of(given).to(self.device)
            self.codebook.check_indices(m, indices)
            if indices.is_floating_point() or indices.dtype == torch.bool:
                raise DataError(f"codes of {m!r} have dtype {indices.dtype}; give int64 indices")
            if indices.numel() and not -1 <= int(indices.min()) <= int(indices.max()) < self.size:
                raise DataError(f"codes of {m!r} must lie in -1 .. {self.size - 1}")
            vectors[m] = self.codebook.vectors(m, indices)
        return vectors

    def _content(
        self, batch: Batch, steps: Steps, teacher: Teacher | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs (token LSTM applied) and semantic features z, per modality; or a teacher's.

        In full precision also under autocast: codes are chosen by small differences, and this path
        has 1 % of the operations of a published step.
        """
        inputs, semantic, of = {}, {}, teacher or self
        masked = self.options.mask_tokens and not steps.complete
        with no_autocast(self.device.type):
            for m, x in batch.features.items():
                inputs[m] = x
                if m in of.tokens:
                    inputs[m] = of.tokens[m](x, steps.length_of(m) if masked else None)
                semantic[m] = of.semantic[m](inputs[m], steps.mask(m))
        return inputs, semantic


def masked_codes(indices: Tensor, mask: Tensor | None) -> Tensor:
    """Indices [B, T] or [B, T, L], -1 at steps that do not exist (bool [B, T]; None: all do)."""
    if mask is None:
        return indices
    mask = mask.to(indices.device)
    return indices.masked_fill(~mask.view(*mask.shape, *[1] * (indices.dim() - mask.dim())), -1)


def refuse_non_finite(batch: Batch) -> None:
    """Refuse NaN and infinite features, whose codes would mean nothing.

    Raises:
        DataError: naming modality, clip and step.
    """
    for m, x in batch.features.items():
        finite = x.flatten(2).isfinite().all(2)
        if not bool(finite.all()):
            clip, step = (~finite).nonzero()[0].tolist()
            name = f"{batch.ids[clip]!r}" if batch.ids else f"number {clip}"
            raise DataError(
                f"modality {m!r} has NaN or infinite features: clip {name}, step {step}"
            )
