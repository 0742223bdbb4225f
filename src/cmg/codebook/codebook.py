"""The shared codebook: one discrete vocabulary for every modality.

`lookup` is pure. The state (codes, counts N, sums O, idle counters) changes in `update`, which the
training step calls on one line, and in `start_from`, which set-up may call once before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from cmg.codebook.distances import distance_to_codes, middle, nearest_code, soft_codes
from cmg.codebook.ema import EMAOptions, assign, followed, mixed_features
from cmg.codebook.kmeans import kmeans
from cmg.codebook.quantizer import Features, Quantizer, QuantizerOptions, quantizers
from cmg.codebook.reset import (
    ResetDraw,
    ResetOptions,
    heard_rows,
    idle_after,
    idle_by_rule,
    random_reset,
)
from cmg.errors import ConfigError
from cmg.masking import existing_steps
from cmg.types import Quantized


class TableOptions(QuantizerOptions):
    """Size, start and dynamics of a table of codes; what all kinds with codes have.

    Attributes:
        size: K; 400 in the paper.
        start: ``uniform`` in +-1/400 [as coded]; ``samples`` of, or ``kmeans`` over, the untrained
            encoders' features of the first batches.
        distance: By which a feature's code is the nearest. ``cosine`` compares directions only;
            codes stay means of the features as they are.
        ema: How codes follow features.
        reset: How idle codes restart.
        first_code: ``zeroed``, of kind shared: outside training mode code 0 is the zero vector,
            which features are compared with and heads are given [as coded in a successor].
    """

    size: int = Field(400, ge=2)
    start: Literal["uniform", "samples", "kmeans"] = "samples"
    distance: Literal["euclidean", "cosine"] = "euclidean"
    ema: EMAOptions = EMAOptions()
    reset: ResetOptions = ResetOptions()
    first_code: Literal["kept", "zeroed"] = "kept"

    @model_validator(mode="after")
    def _one_first_code(self) -> TableOptions:
        if self.first_code == "zeroed" and self.kind != "shared":
            raise ValueError(
                f"first_code=zeroed is of kind shared, and the kind is {self.kind}; set "
                "first_code=kept"
            )
        return self


class CodebookOptions(TableOptions):
    """Options of a :class:`SharedCodebook`; see :class:`TableOptions`."""

    kind: Literal["shared"] = "shared"


@quantizers.register("shared", CodebookOptions)
class SharedCodebook(Quantizer):
    """Codes shared by all modalities, moved by MM-EMA.

    Args:
        modalities: Names, in the order of the sequential update.
        width: D.
        options: Size, start and dynamics.
        generator: For the uniform start.

    Attributes:
        codes: [K, D].
        counts: N, [K].
        sums: O, [K, D].
        idle: Steps since each modality last picked each code, int64 [M, K]; -1 at the start.
        moves: How often N and O have decayed, int64; only where that corrects them.
    """

    kind = "shared"

    options: TableOptions
    codes: Tensor
    counts: Tensor
    sums: Tensor
    idle: Tensor
    moves: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: TableOptions | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(modalities, width, options, generator)
        self.size = size = self.options.size
        # The bound is 1/400 whatever K is [as coded].
        codes = (torch.rand(size, width, generator=generator) * 2.0 - 1.0) / 400.0
        ema, count = self.options.ema, self.options.ema.initial_count
        self.register_buffer("codes", codes)
        self.register_buffer("counts", torch.full((size,), count))
        # As coded, O starts at the codes even where N starts at 0.
        from_codes = not count and not ema.correction
        self.register_buffer("sums", codes.clone() if from_codes else codes * count)
        self.register_buffer("idle", torch.full((len(self.modalities), size), -1))
        if ema.correction:
            self.register_buffer("moves", torch.zeros((), dtype=torch.int64))
        if not self.heard:
            raise ConfigError(
                f"model.codebook.reset.unheard names all modalities ({', '.join(self.modalities)}),"
                " so that no code is ever in use; leave one out"
            )

    @property
    def starts_on_data(self) -> bool:
        """Whether :meth:`start_from` does anything."""
        return self.options.start != "uniform"

    @property
    def apart(self) -> tuple[int, ...]:
        """Segments of a code that are given noise of their own."""
        return ()

    def table(self, modality: str) -> Tensor:
        """The codes, [K, D], the same for all modalities."""
        if self.training or self.options.first_code == "kept":
            return self.codes
        return torch.cat([torch.zeros_like(self.codes[:1]), self.codes[1:]])

    @property
    def heard(self) -> list[int]:
        """Rows of the idle counters of the modalities whose picks keep a code."""
        return heard_rows(self.modalities, self.options.reset)

    def idle_steps(self) -> Tensor:
        """Since the last pick of each code by the rule of resets, [K]."""
        return idle_by_rule(self.idle[self.heard], self.options.reset.rule)

    def codes_of(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.codes_of`."""
        return self.table(modality)[indices]

    def compared(self, x: Tensor) -> Tensor:
        """Features or codes [..., D] as they are compared."""
        if self.options.distance == "euclidean":
            return x
        unit: Tensor = functional.normalize(x.to(self.codes.dtype), dim=-1)
        return unit * math.sqrt(x.shape[-1])

    def center(self, counts: Tensor, codes: Tensor) -> Tensor:
        """The middle of the codes with the largest counts, [D]: where the features are.

        Distances are measured from here (see :mod:`cmg.codebook.distances`). It depends on no
        batch, so a clip has the same codes in any company.
        """
        busiest = counts.topk(min(self.size, 64)).indices
        return middle(codes[busiest])

    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Quantizer.nearest`."""
        codes = self.compared(self.table(self.modalities[0]))
        center = self.center(self.counts, codes)
        return {m: self._nearest(z, codes, center) for m, z in semantic.items()}

    def _nearest(self, z: Tensor, codes: Tensor, center: Tensor) -> Tensor:
        found: Tensor = nearest_code(self.compared(z).flatten(0, -2), codes, center)
        return found.view(z.shape[:-1])

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """See :meth:`Quantizer.distances`."""
        return distance_to_codes(self.compared(z), self.compared(self.table(modality)))

    def posterior(self, modality: str, z: Tensor, temperature: float) -> Tensor:
        """See :meth:`Quantizer.posterior`."""
        return soft_codes(self.compared(z), self.compared(self.table(modality)), temperature)

    def draw(self, generator: torch.Generator | None = None) -> ResetDraw:
        """The random choices of an update, from a generator; None is torch's global one."""
        return random_reset(generator, self.options.reset.noise, self.options.reset.spread)

    @torch.no_grad()
    def update(self, quantized: Quantized, draw: ResetDraw | None = None) -> None:
        """MM-EMA, then code reset; see :meth:`Quantizer.update`."""
        quantized = quantized.with_time()
        self.accumulate(quantized)
        self.revive(quantized, draw or self.draw())

    @torch.no_grad()
    def accumulate(self, quantized: Quantized) -> None:
        """MM-EMA of counts, sums and codes (paper Eq. 7)."""
        new = list(self.written(quantized).values())
        if self.options.ema.update == "joint":
            new = [added(new)]
        self.decays(len(new))
        self.follow((self.codes, self.counts, self.sums), new)

    def decays(self, times: int) -> None:
        """Count the decays that are about to be, where they correct the averages."""
        if self.options.ema.correction:
            self.moves += times

    def follow(
        self, table: tuple[Tensor, Tensor, Tensor], new: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        """Move a table (codes, N, O), in place, by what was written."""
        ema = self.options.ema
        found = followed(table, new, ema, self.moves if ema.correction else None)
        for old, moved in zip(table, found, strict=True):
            old.copy_(moved)

    def written(self, quantized: Quantized) -> dict[str, tuple[Tensor, Tensor]]:
        """What each modality writes to the codes it picked: counts [K] and sums [K, D]."""
        steps = quantized.steps
        mixed = self.mixed(quantized)
        return {
            m: assign(quantized.indices[m], mixed[m].to(self.sums.dtype), self.size, steps.mask(m))
            for m in self.present(quantized)
        }

    def mixed(self, quantized: Quantized) -> dict[str, Tensor]:
        """The features [B, T, D] that are written, each with its partners'."""
        ema = self.options.ema
        return mixed_features(quantized.semantic, quantized.steps, ema.partner, ema.own_weight)

    @torch.no_grad()
    def revive(self, quantized: Quantized, draw: ResetDraw) -> None:
        """Count idle steps and restart the codes that were idle for too long."""
        options = self.options.reset
        there = self.present(quantized)
        ticking = [m in there for m in self.modalities]
        self.idle.copy_(idle_after(self.idle, self._picked(quantized), ticking))
        if not options.enabled:
            return
        idle = self.idle_steps()
        stale = idle > options.patience
        tokens = None
        if options.source == "tokens":
            tokens = self._tokens(quantized)
            available = torch.tensor(tokens.shape[0], device=stale.device)
        else:
            active = (idle >= 0) & (idle < options.active)
            available = active.sum()
        resets, sources = torch.stack([stale.sum(), available]).tolist()  # the one host sync
        if resets == 0 or sources == 0:
            return
        width = self.feature_width
        picks, noise = draw(resets, sources, math.prod(self.apart) * width)
        noise = noise.view(resets, *self.apart, width).movedim(0, -2)
        pool = self.codes[..., active, :] if tokens is None else tokens
        fresh = pool[..., picks.to(pool.device), :] + noise.to(pool)
        self.codes[..., stale, :] = fresh
        self.idle[:, stale] = self.idle[:, stale].clamp_max(0)  # -1, not seen yet, stays
        if options.reseed_stats:
            self.counts[..., stale] = 1.0
            self.sums[..., stale, :] = fresh

    @torch.no_grad()
    def start_from(self, features: Features, generator: torch.Generator) -> None:
        """Samples or centroids of all modalities' features; see :meth:`Quantizer.start_from`."""
        if not self.starts_on_data:
            return
        tokens = first_tokens(features, self.size, "start=uniform")
        chosen = torch.randperm(tokens.shape[0], generator=generator)[: self.size]
        codes = tokens[chosen.to(tokens.device)].to(self.codes.dtype)
        if self.options.start == "kmeans":
            codes = kmeans(tokens.to(codes.dtype), codes, compared=self.compared)
        self.codes.copy_(codes)
        ema = self.options.ema
        self.counts.fill_(0.0 if ema.correction else max(ema.initial_count, ema.epsilon))
        self.sums.copy_(codes * self.counts[..., None])

    def present(self, quantized: Quantized) -> list[str]:
        """The modalities that some step has, in order."""
        return [m for m in self.modalities if m in quantized.indices and quantized.steps.any(m)]

    def _picked(self, quantized: Quantized) -> Tensor:
        picked = torch.zeros_like(self.idle)
        for row, m in enumerate(self.modalities):
            if m not in quantized.indices:
                continue
            valid = quantized.steps.mask(m)
            flat = quantized.indices[m].flatten()
            ones = torch.ones_like(flat) if valid is None else valid.flatten().to(flat.dtype)
            picked[row].index_add_(0, flat, ones)
        return picked > 0

    def _tokens(self, quantized: Quantized) -> Tensor:
        there, steps = self.present(quantized), quantized.steps
        # Converted first: torch.cat refuses float16 under autocast on a CPU.
        dtype, given = self.codes.dtype, quantized.semantic
        return torch.cat([existing_steps(given[m].to(dtype), steps.mask(m)) for m in there])


def added(written: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Counts and sums of several writings together."""
    counts, sums = zip(*written, strict=True)
    return torch.stack(counts).sum(0), torch.stack(sums).sum(0)


def first_tokens(features: Features, size: int, otherwise: str) -> Tensor:
    """The features [N, D] of all modalities and batches that codes start on.

    Args:
        features: See :meth:`Quantizer.start_from`.
        size: K.
        otherwise: The option with which they need none.

    Raises:
        ConfigError: there are fewer.
    """
    tokens = torch.cat([z for batch in in_batches(features) for z in batch.values()])
    if tokens.shape[0] < size:
        raise ConfigError(
            f"model.codebook.size = {size} codes, but the first batches hold only "
            f"{tokens.shape[0]} tokens to start from; lower model.codebook.size or set "
            f"model.codebook.{otherwise}"
        )
    return tokens


def in_batches(features: Features) -> list[Mapping[str, Tensor]]:
    """Features as batches of them."""
    return [features] if isinstance(features, Mapping) else list(features)
