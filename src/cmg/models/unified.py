"""The unified model: per-modality encoders and decoders around one quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cmg.codebook.kinds import build_quantizer
from cmg.codebook.quantizer import quantizers
from cmg.decoders.reconstruction import build_decoder
from cmg.encoders.detail import build_detail
from cmg.encoders.spatial import SpatialPool
from cmg.encoders.temporal import (
    GatedProjection,
    TokenLSTM,
    TransformerBlock,
    build_temporal,
    share_layers,
)
from cmg.errors import ConfigError, DataError, ModalityError, did_you_mean
from cmg.files import StrPath
from cmg.masking import ALL_STEPS, Drawn, at_steps
from cmg.models.options import ModelOptions
from cmg.models.pretrained import Pretrained
from cmg.models.saving import save_model
from cmg.models.second import SecondLayer, first_modalities
from cmg.models.teacher import Teacher
from cmg.precision import no_autocast
from cmg.process import seeded
from cmg.tensors import tensor_of
from cmg.types import Batch, Encoded, Kind, Modality, Quantized, Steps


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
        return self.content(x if self.pool is None else self.pool(x), mask)

    def content(self, pooled: Tensor, mask: Tensor | None) -> Tensor:
        """What stands behind the pooling, [B, T, C] -> z [B, T, D]."""
        semantic: Tensor = self.temporal(pooled, mask)
        return semantic if self.head is None else torch.as_tensor(self.head(semantic))


class UnifiedModel(Pretrained, nn.Module):
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

    def __repr__(self) -> str:
        """What it is, in a few lines; ``print(model.describe())`` has every module."""
        kinds = ", ".join(
            f"{m.name} ({m.kind.value} {'×'.join(map(str, m.shape))})"
            for m in self.modalities.values()
        )
        book = f"{self.options.codebook.kind} codebook, {self.size} codes"
        count = sum(p.numel() for p in self.parameters())
        return (
            f"UnifiedModel: {kinds}\n"
            f"  {book if self.size else 'no codes'}, width {self.options.width}\n"
            f"  {count:,} parameters on {self.device}; describe() tells every module"
        )

    def describe(self) -> str:
        """Every module, as torch prints them."""
        return super().__repr__()

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
        maps, tail = (options.map_detail, options.toom_cook_from), options.map_tail
        book, two = options.codebook, options.second
        of_book = quantizers[book.kind].part.vector_width(options.width, names, book)
        content = of_book if two is None else options.width
        narrow = options.width if options.narrow_content and content > options.width else None
        divided = {m.name for m in first_modalities(modalities, two)}
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
                if m.name in divided:
                    self.detail[m.name] = build_detail(m, in_width, *maps, tail)
                    self.decoder[m.name] = build_decoder(m, content, in_width, *maps, narrow, tail)
            self.second, given = None, options.width
            if two is not None:
                common = (options.width, options.temporal, options.mask_tokens)
                self.second = SecondLayer(modalities, two, *common)
                given = self.second.features_width
            self.codebook = build_quantizer(names, given, book)
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
        if (two := self.second) is not None:
            parts["encoder"] += [two.project, two.semantic, two.detail]
            parts["decoder"].append(two.decoder)
        if next(self.codebook.parameters(), None) is not None:
            parts["codebook"] = [self.codebook]
        return parts

    # ---- the training step's view ------------------------------------------------------------

    def represent(
        self,
        batch: Batch | Mapping[str, Any],
        detail: bool = True,
        taught: bool = False,
        drawn: Drawn = ALL_STEPS,
    ) -> Encoded:
        """Continuous features of a batch: semantic content and private detail per modality.

        Args:
            batch: Any subset of the model's modalities, on the model's device; a batch, or plain
                tensors [B, T, *shape] per modality.
            detail: Whether the private detail is wanted; if not, the record has none.
            taught: Whether the features of the teachers are.
            drawn: The steps whose detail is wanted.

        Returns:
            Features in the model's dtype, also under autocast.

        Raises:
            ModalityError: an unknown modality or a wrong shape or dtype.
            DataError: nothing to encode, or modalities of different B or T.
        """
        batch = self.checked(batch)
        first = self._first(batch, detail or self._reads_private, drawn)
        if taught:
            first.taught = self._taught(batch, batch.steps)
        if self.second is None:
            return first
        with no_autocast(self.device.type):
            both: Encoded = self.second(first)
        return both

    def _first(self, batch: Batch, detail: bool, drawn: Drawn = ALL_STEPS) -> Encoded:
        """The only layer of a batch, or the first of two."""
        inputs, semantic = self._content(batch, batch.steps)
        specific, private = {}, {}
        for m in [m for m in inputs if m in self.detail] if detail else ():
            read = self._gated(m, at_steps(inputs[m], drawn.get(m)))
            own, seen = self._private(self.detail, m, read)
            specific[m], private[m] = own.to(self.dtype), seen.to(self.dtype)
        return Encoded(inputs, semantic, specific, private, batch.steps, drawn=drawn)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What codes are looked up of a checked batch, [B, T, D] per modality, in any mode."""
        if self.second is None:
            return self._content(batch, batch.steps)[1]
        return self.second.per_step(self._first(batch, self._reads_private))

    @property
    def _reads_private(self) -> bool:
        return self.second is not None and self.second.reads == "private"

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
        """What one decoder makes of any content [B, T, D] and the detail, at the steps of that."""
        content = at_steps(content, encoded.drawn.get(modality))
        rebuilt = self._private(self.decoder, modality, content, encoded.detail[modality])
        return torch.as_tensor(rebuilt.to(self.dtype))

    def private(self, m: str, x: Tensor) -> Tensor:
        """What CLUB sees of the detail of a modality's inputs, as in `Encoded`."""
        return torch.as_tensor(self._private(self.detail, m, self._gated(m, x))[1]).to(self.dtype)

    def _gated(self, m: str, x: Tensor) -> Tensor:
        """What the detail encoder of a modality reads of its inputs."""
        pool = getattr(self.semantic[m], "pool", None)
        if pool is None or self.options.map_detail != "normalized":
            return x
        return torch.as_tensor(pool.gated(x))

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
            return self.features(batch)
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
