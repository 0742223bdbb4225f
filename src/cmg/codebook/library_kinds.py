"""The quantizers of vector-quantize-pytorch that are kinds, each with its options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from cmg.codebook.codebook import first_tokens
from cmg.codebook.distances import distance_to_codes
from cmg.codebook.library import LibraryQuantizer, drawn_seed
from cmg.codebook.quantizer import Features, QuantizerOptions, quantizers
from cmg.codebook.reset import ResetDraw, random_reset
from cmg.precision import full_precision, no_autocast
from cmg.process import mode, seeded
from cmg.types import Quantized

MOST_CODES = 2**16
"""Distances, posteriors and reports list all codes."""


class FSQOptions(QuantizerOptions):
    """Options of :class:`FSQ`.

    Attributes:
        levels: Values of each of the d dimensions that a feature is projected to; K is their
            product.
    """

    kind: Literal["fsq"] = "fsq"
    levels: tuple[Annotated[int, Field(ge=3)], ...] = Field((8, 5, 5, 5), min_length=1)

    @property
    def size(self) -> int:
        """K."""
        return math.prod(self.levels)

    @model_validator(mode="after")
    def _few_enough(self) -> FSQOptions:
        if self.size > MOST_CODES:
            raise ValueError(
                f"levels make {self.size} codes, and at most {MOST_CODES} can be listed; give "
                "fewer or smaller levels"
            )
        return self


@quantizers.register("fsq", FSQOptions)
class FSQ(LibraryQuantizer):
    """Finite scalar quantization (Mentzer et al., 2309.15505): bounded, and rounded, d times.

    No code is stored, so that none can be idle. `table` has the grid with a distance of 1 between
    neighbors, and features are compared as tanh has bounded them.
    """

    kind = "fsq"

    def made(self, library: Any) -> Any:
        """With projections to d dimensions and back, unless D is d."""
        self.size = self.options.size
        return library.FSQ(levels=list(self.options.levels), dim=self.feature_width)

    def decoded(self, indices: Tensor) -> Any:
        """By the list of codes: the library computes them in float32, whatever its weights are."""
        return self.module.project_out(self.module.implicit_codebook[indices])

    def table(self, modality: str) -> Tensor:
        """The grid, [K, d]."""
        grid: Tensor = self.module.implicit_codebook
        return grid * (grid.new_tensor(self.options.levels) // 2)

    @full_precision
    def compared(self, z: Tensor) -> Tensor:
        """f(z) of the paper before it is rounded (its appendix A), of the projected feature."""
        x: Tensor = self.module.project_in(z)
        levels = x.new_tensor(self.options.levels)
        half, offset = (levels - 1) * (1 + 1e-3) / 2, 0.5 * (levels % 2 == 0)
        return (x + torch.atanh(offset / half)).tanh() * half - offset


class LFQOptions(QuantizerOptions):
    """Options of :class:`LFQ`; the last three are of the loss, ``objectives.quantizer_loss``.

    Attributes:
        bits: Dimensions that a feature is projected to; K is 2^bits.
        entropy_loss_weight: Of the entropies.
        diversity_gamma: How much the entropy of all tokens' mean, which is to be high, weighs
            beside the mean of each one's, which is to be low.
        commitment_loss_weight: Of the square distance to the signs.
    """

    kind: Literal["lfq"] = "lfq"
    bits: int = Field(10, ge=1, le=16)
    entropy_loss_weight: float = Field(0.1, ge=0.0)
    diversity_gamma: float = Field(1.0, ge=0.0)
    commitment_loss_weight: float = Field(0.0, ge=0.0)

    @property
    def size(self) -> int:
        """K."""
        return int(2**self.bits)


@quantizers.register("lfq", LFQOptions)
class LFQ(LibraryQuantizer):
    """Lookup-free quantization (Yu et al., 2310.05737): the signs of a projection are the code."""

    kind = "lfq"
    has_loss = True

    def made(self, library: Any) -> Any:
        """With projections to `bits` dimensions and back, unless D is so many."""
        self.size, own = self.options.size, self.options.model_dump(exclude={"kind", "bits"})
        return library.LFQ(dim=self.feature_width, codebook_size=self.size, **own)

    def table(self, modality: str) -> Tensor:
        """The corners, [K, bits]."""
        corners: Tensor = self.module.codebook
        return corners

    @full_precision
    def compared(self, z: Tensor) -> Tensor:
        """The projection."""
        found: Tensor = self.module.project_in(z)
        return found


class SimVQOptions(QuantizerOptions):
    """Options of :class:`SimVQ`; the weights are of its loss, ``objectives.quantizer_loss``.

    Attributes:
        size: K.
        rotation_trick: Whether gradients are rotated from the code to the feature (2410.06424)
            rather than passed straight through.
        commitment_weight: Of the whole loss.
        input_to_quantize_commit_loss_weight: Of the pull of features to codes, beside 1 of codes
            to features.
    """

    kind: Literal["simvq"] = "simvq"
    size: int = Field(400, ge=2, le=MOST_CODES)
    rotation_trick: bool = True
    commitment_weight: float = Field(1.0, ge=0.0)
    input_to_quantize_commit_loss_weight: float = Field(0.25, ge=0.0)


@quantizers.register("simvq", SimVQOptions)
class SimVQ(LibraryQuantizer):
    """SimVQ (Zhu et al., 2411.02038): fixed random codes behind a linear map that learns.

    Its loss trains the map, and so does what reads `table`, `distances` or `posterior`.
    """

    kind = "simvq"
    has_loss = True

    def made(self, library: Any) -> Any:
        """As wide as the features."""
        self.size, own = self.options.size, self.options.model_dump(exclude={"kind", "size"})
        self.rotated = library.vector_quantize_pytorch.rotate_to
        return library.SimVQ(self.feature_width, self.size, **own)

    def decoded(self, indices: Tensor) -> Tensor:
        """The mapped codes."""
        return self.table("")[indices]

    @full_precision
    def run(self, z: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """What the library's forward computes, written out.

        That traces its lookup anew for every number of tokens, in tens of milliseconds.
        """
        options, codes = self.options, self.table("")
        with torch.no_grad():
            indices = torch.cdist(z, codes).argmin(-1)
        found = codes[indices]
        pull = functional.mse_loss(z, found.detach()) * options.input_to_quantize_commit_loss_weight
        loss = (functional.mse_loss(found, z.detach()) + pull) * options.commitment_weight
        vectors = self.rotated(z, found) if options.rotation_trick else z + (found - z).detach()
        return vectors, indices, loss

    def table(self, modality: str) -> Tensor:
        """The mapped codes, [K, D]."""
        with no_autocast(self.module.frozen_codebook.device.type):
            found: Tensor = self.module.codebook
        return found


class ResidualVQOptions(QuantizerOptions):
    """Options of :class:`ResidualVQ`.

    Attributes:
        size: K of each level.
        levels: L, the library's num_quantizers.
        kmeans_init: Whether codes start by k-means over the untrained encoders' features of the
            first batches, rather than uniformly.
        decay: Of the averages.
        threshold_ema_dead_code: Codes that fewer tokens than this pick, on average, are replaced
            by tokens of the batch; 0 replaces none.
        commitment_weight: Of the loss, ``objectives.quantizer_loss``.
        rotation_trick: See :class:`SimVQOptions`.
    """

    kind: Literal["residual-vq"] = "residual-vq"
    size: int = Field(400, ge=2, le=MOST_CODES)
    levels: int = Field(2, ge=1)
    kmeans_init: bool = True
    decay: float = Field(0.8, ge=0.0, lt=1.0)
    threshold_ema_dead_code: float = Field(2.0, ge=0.0)
    commitment_weight: float = Field(1.0, ge=0.0)
    rotation_trick: bool = True


@quantizers.register("residual-vq", ResidualVQOptions)
class ResidualVQ(LibraryQuantizer):
    """The library's residual VQ (Zeghidour et al., 2107.03312), with an average for all modalities.

    Beside `residual` it has one average, of the features as they are, and no MM-EMA.
    """

    kind = "residual-vq"
    has_loss = True
    levels: int
    frozen: ClassVar[Mapping[str, bool]] = {"freeze_codebook": True}

    def made(self, library: Any) -> Any:
        """Levels as wide as the features. Codes start in :meth:`start_from` or not at all.

        The library would start them on whatever it is given first, in eval mode, too.
        """
        self.size, self.levels = self.options.size, self.options.levels
        own = self.options.model_dump(exclude={"kind", "size", "levels", "kmeans_init"})
        own |= {"num_quantizers": self.levels, "codebook_size": self.size, "sync_codebook": False}
        return library.ResidualVQ(dim=self.feature_width, **own)

    def of_levels(self, indices: Tensor) -> Tensor:
        """Codes [L, ..., D] of indices [..., L]; -1 is the zero vector.

        The library traces this anew for every number of tokens, in tens of milliseconds.
        """
        tables = zip(self.table(""), indices.unbind(-1), strict=True)
        return torch.stack([codes[x.clamp_min(0)] * (x >= 0)[..., None] for codes, x in tables])

    def decoded(self, indices: Tensor) -> Tensor:
        """The sum of the levels' codes; -1 leaves a level out."""
        return self.of_levels(indices).sum(0)

    def vectors(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.vectors`; -1 leaves a level out."""
        self.check_indices(modality, indices)
        return self.codes_of(modality, indices)

    def table(self, modality: str) -> Tensor:
        """The codes of every level, [L, K, D]."""
        found: Tensor = self.module.codebooks
        return found

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """See :meth:`Quantizer.distances`; a level's are of what the levels before it have left."""
        found = []
        for codes in self.table(modality):
            found.append(distance_to_codes(z, codes))
            z = z - codes[found[-1].argmin(-1)]
        return torch.stack(found, -2)

    @property
    def starts_on_data(self) -> bool:
        """Whether :meth:`start_from` does anything."""
        return bool(self.options.kmeans_init)

    @torch.no_grad()
    def start_from(self, features: Features, generator: torch.Generator) -> None:
        """The library's k-means, level after level; see :meth:`Quantizer.start_from`."""
        if not self.starts_on_data:
            return
        tokens = first_tokens(features, self.size, "kmeans_init=false")
        for name, started in self.module.named_buffers():
            if name.endswith("initted"):
                started.fill_(False)
        with seeded(drawn_seed(generator), tokens.device):
            self.run(tokens, True)

    def draw(self, generator: torch.Generator | None = None) -> ResetDraw:
        """The seed of an update, as a draw of one among many; None is torch's global generator."""
        return random_reset(generator, 0.0)

    @torch.no_grad()
    @full_precision
    def update(self, quantized: Quantized, draw: ResetDraw | None = None) -> None:
        """The library's averages and its replacement of codes; see :meth:`Quantizer.update`."""
        quantized = quantized.with_time()
        rest = self.tokens(quantized.semantic, quantized.steps)[None]
        indices = self.tokens(quantized.indices, quantized.steps)[None]
        codes = self.of_levels(indices)  # before they move
        seed = int((draw or self.draw())(1, 2**31, 0)[0])
        with mode(self.module, True), seeded(seed, rest.device):
            for level, layer in enumerate(self.module.layers):
                layer.update_indices(rest, indices[..., level])
                rest = rest - codes[level]
