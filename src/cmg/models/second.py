"""A second layer of content and detail, over what the first one has made of a batch.

    reads=private   what the first layer calls private of a step is divided again (SRCID)
    reads=clips     the mean of a clip's content is divided: coarse beside fine (FCID)

docs/methods/srcid.md and docs/methods/fcid.md have the equations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from cmg.codebook.continuous import Continuous
from cmg.codebook.levels import LeveledCodebook
from cmg.codebook.quantizer import Quantizer
from cmg.decoders.reconstruction import VectorDecoder
from cmg.encoders.detail import VectorDetail
from cmg.encoders.temporal import TemporalOptions, build_temporal
from cmg.errors import ConfigError
from cmg.masking import mean_over_time
from cmg.options import Options
from cmg.types import Encoded, Kind, Modality, Quantized, Steps

Reads = Literal["private", "clips"]
Layer = tuple[Encoded, Quantized, Quantizer]
"""What objectives read of a layer."""


class SecondLayerOptions(Options):
    """What a second layer divides into content and detail.

    Attributes:
        reads: ``private``: of every step what the first layer calls private. Each layer has codes
            of its own, and heads are given both, 2 D wide: ``codebook.kind=product`` with
            ``groups=2``. Or ``clips``: the mean of a clip's content. Then the first layer has no
            codes, and is divided for modalities whose steps are moments alone; the second has them
            for all, and tokens have codes of whole clips only.
    """

    reads: Reads


def first_modalities(
    modalities: Iterable[Modality], second: SecondLayerOptions | None
) -> list[Modality]:
    """The modalities that the first layer divides: without tokens where the second reads clips."""
    clips = second is not None and second.reads == "clips"
    return [m for m in modalities if not clips or m.kind is not Kind.TOKENS]


def second_modalities(
    modalities: Sequence[Modality], second: SecondLayerOptions | None, width: int
) -> list[Modality]:
    """The declarations of what the second layer divides, which are vectors (or tokens, as before).

    Args:
        modalities: Of the model.
        second: The layer; without one there is nothing.
        width: D of the first one's content.
    """
    if second is None:
        return []
    widths = {m.name: m.private_width if second.reads == "private" else width for m in modalities}
    kinds = {m.name: Kind.TOKENS if m.kind is Kind.TOKENS else Kind.VECTORS for m in modalities}
    return [Modality(name=m, kind=kinds[m], shape=(w,), detail_width=w) for m, w in widths.items()]


class SecondLayer(nn.Module):
    """Content, detail and decoder of every modality, once more.

    Args:
        modalities: Of the model.
        options: What is read.
        width: D, of the content of either layer.
        temporal: Of the content, where steps are read; of clips it is relu(Linear).
        mask_tokens: Whether the mean of a clip is over the tokens that exist, or padding as well.

    Raises:
        ConfigError: clips are to be read of modalities that are all tokens, or of which none is.
    """

    def __init__(
        self,
        modalities: Sequence[Modality],
        options: SecondLayerOptions,
        width: int,
        temporal: TemporalOptions,
        mask_tokens: bool = True,
    ) -> None:
        super().__init__()
        self.reads, self.width, self.mask_tokens = options.reads, width, mask_tokens
        self.tokens = [m.name for m in modalities if m.kind is Kind.TOKENS]
        self.project, self.semantic = nn.ModuleDict(), nn.ModuleDict()
        self.detail, self.decoder = nn.ModuleDict(), nn.ModuleDict()
        clips = self.reads == "clips"
        if clips and len(self.tokens) in (0, len(modalities)):
            raise ConfigError(
                "model.second.reads=clips (as in FCID) needs text, a modality of tokens, beside "
                f"one of moments; here are {', '.join(f'{m.name} ({m.kind})' for m in modalities)}:"
                " take data with both, or another method (`cmg presets list`)"
            )
        shared: dict[bool, str] = {}
        for m in second_modalities(modalities, options, width):
            (w,), name = m.shape, m.name
            self.decoder[name] = VectorDecoder(width, w, w)
            # Moments share the division of clips; so do tokens among themselves.
            like = shared.setdefault(m.kind is Kind.TOKENS, name)
            if clips and like != name:
                for part in (self.project, self.semantic, self.detail):
                    part[name] = part[like]
                continue
            if clips:
                self.project[name] = nn.Linear(width, width)
                self.semantic[name] = nn.Sequential(nn.Linear(width, width), nn.ReLU())
            else:
                self.semantic[name] = build_temporal(w, width, temporal)
            self.detail[name] = VectorDetail(w, w)
        self.continuous = Continuous([m.name for m in modalities], width)

    @property
    def features_width(self) -> int:
        """Width of what the codebook is given."""
        return self.width * (2 if self.reads == "private" else 1)

    def forward(self, first: Encoded) -> Encoded:
        """Both layers of a batch: what the codebook is given, and the layers' own records.

        Args:
            first: With private detail where that is read.
        """
        if self.reads == "private":
            inputs, steps, content = first.private, first.steps, self.of_private(first)
        else:
            means = {m: mean_over_time(z, self.mask(first, m)) for m, z in first.semantic.items()}
            inputs = {m: self.project[m](mean)[:, None] for m, mean in means.items()}
            steps = of_clips(first.steps)
            content = {m: self.semantic[m](h) for m, h in inputs.items()}
        detail = {m: self.detail[m](h)[0] for m, h in inputs.items()}
        second = Encoded(dict(inputs), content, detail, detail, steps)
        if self.reads == "private":
            whole = side_by_side(first.semantic, content)
            return replace(first, semantic=whole, layers=(first, second))
        return replace(second, layers=(self.of_moments(first), second))

    def per_step(self, first: Encoded) -> dict[str, Tensor]:
        """What codes are looked up of when a model is used, [B, T, features_width] per modality.

        Of clips a moment is taken for a clip of one step, and every token is given its clip's.
        """
        if self.reads == "private":
            return side_by_side(first.semantic, self.of_private(first))
        found = {}
        for m, z in first.semantic.items():
            if m in self.tokens:
                mean = mean_over_time(z, self.mask(first, m))[:, None]
                found[m] = self.semantic[m](self.project[m](mean)).expand(-1, z.shape[1], -1)
            else:
                found[m] = self.semantic[m](self.project[m](z))
        return found

    def of_private(self, first: Encoded) -> dict[str, Tensor]:
        """The content of what the first layer calls private."""
        return {m: self.semantic[m](h, first.steps.mask(m)) for m, h in first.private.items()}

    def layers(self, whole: Encoded, quantized: Quantized, book: Quantizer) -> list[Layer]:
        """What each layer's objectives read, of what :meth:`forward` gave and its codes."""
        first, second = whole.layers
        if self.reads == "clips":
            return [
                (first, self.continuous.lookup(first.semantic, first.steps), self.continuous),
                (second, quantized, book),
            ]
        books = cast(LeveledCodebook, book).books
        return [
            (layer, of_level(layer, quantized, level, books[level]), books[level])
            for level, layer in enumerate((first, second))
        ]

    def reconstruct(self, second: Encoded, quantized: Quantized) -> dict[str, Tensor]:
        """What the layer's codes and detail rebuild of what it read."""
        return {m: self.rebuild(second, m, quantized.vectors[m]) for m in second.detail}

    def rebuild(self, second: Encoded, modality: str, content: Tensor) -> Tensor:
        """What one decoder makes of any content [B, T, D] and the modality's own detail."""
        rebuilt: Tensor = self.decoder[modality](content, second.detail[modality])
        return rebuilt

    def mask(self, first: Encoded, m: str) -> Tensor | None:
        """Over which steps the mean of a clip is."""
        if m in self.tokens and not self.mask_tokens:
            return None
        return first.steps.mask(m)

    def of_moments(self, first: Encoded) -> Encoded:
        """The first layer of the modalities that it divides."""

        def without(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {m: x for m, x in given.items() if m not in self.tokens}

        return replace(first, inputs=without(first.inputs), semantic=without(first.semantic))


def side_by_side(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Content of both layers, [B, T, 2 D] per modality."""
    return {m: torch.cat([first[m], z], -1) for m, z in second.items()}


def of_clips(steps: Steps) -> Steps:
    """Clips as steps: one each, where there is any."""
    lengths = None
    if steps.lengths is not None:
        lengths = {m: n.clamp_max(1) for m, n in steps.lengths.items()}
    return Steps(steps.batch_size, 1, lengths, steps.device)


def of_level(layer: Encoded, quantized: Quantized, level: int, book: Quantizer) -> Quantized:
    """The codes of one of several groups of dimensions, with gradient to its layer alone.

    A slice of what is looked up of both would give the other layer gradients of zero, which Adam
    takes for steps.
    """
    width = book.feature_width
    indices = {m: x[..., level] for m, x in quantized.indices.items()}
    codes = {m: x[..., level * width :][..., :width] for m, x in quantized.codes.items()}
    vectors = book.through(layer.semantic, indices, codes, quantized.steps)
    semantic = {m: z.detach() for m, z in layer.semantic.items()}
    return Quantized(indices, codes, vectors, semantic, quantized.steps)
