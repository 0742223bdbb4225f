"""The shared codebook: one discrete vocabulary for every modality.

`lookup` is pure. The state (codes, counts N, sums O, idle counters) changes in `update`, which the
training step calls on one line, and in `start_from`, which set-up may call once before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.codebook.distances import distance_to_codes, middle, nearest_code
from cmg.codebook.ema import EMAOptions, assign, decayed, mixed_features
from cmg.codebook.kmeans import kmeans
from cmg.codebook.measures import step_measures
from cmg.codebook.reset import ResetDraw, ResetOptions, idle_after, idle_by_rule
from cmg.errors import ConfigError
from cmg.options import Options
from cmg.types import Quantized, Steps


class CodebookOptions(Options):
    """Size, start and dynamics of a :class:`SharedCodebook`.

    Attributes:
        size: K; 400 in the paper.
        start: ``uniform`` in +-1/400 [as coded]; ``samples`` of, or ``kmeans`` over, the untrained
            encoders' features of the first batches.
        ema: How codes follow features.
        reset: How idle codes restart.
    """

    size: int = Field(400, ge=2)
    start: Literal["uniform", "samples", "kmeans"] = "samples"
    ema: EMAOptions = EMAOptions()
    reset: ResetOptions = ResetOptions()


class SharedCodebook(nn.Module):
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
    """

    kind: ClassVar[str] = "shared"
    levels: ClassVar[int | None] = None
    codes: Tensor
    counts: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: CodebookOptions,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.modalities = list(modalities)
        self.options = options
        size = options.size
        # The bound is 1/400 whatever K is [as coded].
        codes = (torch.rand(size, width, generator=generator) * 2.0 - 1.0) / 400.0
        count = options.ema.initial_count
        self.register_buffer("codes", codes)
        self.register_buffer("counts", torch.full((size,), count))
        # As coded, O starts at the codes even where N starts at 0.
        self.register_buffer("sums", codes * count if count else codes.clone())
        self.register_buffer("idle", torch.full((len(self.modalities), size), -1))

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """Euclidean distances [..., K] of features [..., D] of a modality."""
        return distance_to_codes(z, self.codes)

    def measures(self, quantized: Quantized) -> dict[str, Tensor]:
        """What a step logs of the codes."""
        return step_measures(quantized, self.size)

    @property
    def size(self) -> int:
        """K."""
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        """D."""
        return self.codes.shape[1]

    def table(self, modality: str) -> Tensor:
        """What features of a modality are compared with: the codes, [K, D]."""
        return self.codes

    def vectors(self, modality: str, indices: Tensor) -> Tensor:
        """Code vectors [..., D] of indices [...]; -1 gives the zero vector."""
        return self.codes[indices.clamp_min(0)] * (indices >= 0)[..., None]

    def posterior(self, modality: str, z: Tensor, temperature: float) -> Tensor:
        """softmax(-d^2 / (temperature * D)) over the codes, [..., D] -> [..., K]."""
        return (-distance_to_codes(z, self.codes).square() / (temperature * self.width)).softmax(-1)

    @property
    def center(self) -> Tensor:
        """The middle of the codes with the largest counts, [D]: where the features are.

        Distances are measured from here (see :mod:`cmg.codebook.distances`). It depends on no
        batch, so a clip has the same codes in any company.
        """
        busiest = self.counts.topk(min(self.size, 64)).indices
        return middle(self.codes[busiest])

    def lookup(self, semantic: Mapping[str, Tensor], steps: Steps) -> Quantized:
        """The nearest code of every feature (paper Eq. 3). Changes no state.

        Args:
            semantic: z, [B, T, D] per modality.
            steps: Which steps exist; indices at other steps mean nothing.

        Returns:
            Indices, code vectors and straight-through vectors.
        """
        center = self.center
        indices, codes, vectors = {}, {}, {}
        for m, z in semantic.items():
            nearest = nearest_code(z.detach().flatten(0, 1), self.codes, center)
            indices[m] = nearest.view(z.shape[:2])
            codes[m] = self.codes[indices[m]]
            vectors[m] = z + (codes[m] - z).detach()
        detached = {m: z.detach() for m, z in semantic.items()}
        return Quantized(indices, codes, vectors, detached, steps)

    @torch.no_grad()
    def update(self, quantized: Quantized, draw: ResetDraw) -> None:
        """Move the codes after a training step: MM-EMA, then code reset.

        Args:
            quantized: The step's features and the codes they picked.
            draw: The reset's random choices, see :func:`cmg.codebook.reset.random_reset`.
        """
        self.accumulate(quantized)
        self.revive(quantized, draw)

    @torch.no_grad()
    def accumulate(self, quantized: Quantized) -> None:
        """MM-EMA of counts, sums and codes (paper Eq. 7)."""
        options, steps = self.options.ema, quantized.steps
        mixed = mixed_features(quantized.semantic, steps, options.partner)
        new = [
            assign(quantized.indices[m], mixed[m].to(self.sums.dtype), self.size, steps.mask(m))
            for m in self._in_order(quantized)
        ]
        if options.update == "joint":
            new = [(sum_of([n for n, _ in new]), sum_of([o for _, o in new]))]
        counts, sums = self.counts, self.sums
        for one in new:
            counts, sums = decayed(counts, sums, one, options)
        codes = sums / counts[:, None]
        if not options.smoothing:
            # Nothing of such a code is left in N and O; keep the code and let O follow it, so that
            # neither underflow nor 0/0 can reach it.
            faded = (counts < options.epsilon)[:, None]
            codes = torch.where(faded, self.codes, codes)
            sums = torch.where(faded, self.codes * counts[:, None], sums)
        self.counts.copy_(counts)
        self.sums.copy_(sums)
        self.codes.copy_(codes)

    @torch.no_grad()
    def revive(self, quantized: Quantized, draw: ResetDraw) -> None:
        """Count idle steps and restart the codes that were idle for too long."""
        options = self.options.reset
        present = [m in self._in_order(quantized) for m in self.modalities]
        self.idle.copy_(idle_after(self.idle, self._picked(quantized), present))
        if not options.enabled:
            return
        idle = idle_by_rule(self.idle, options.rule)
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
        picks, noise = draw(resets, sources, self.width)
        pool = self.codes[active] if tokens is None else tokens
        fresh = pool[picks.to(pool.device)] + noise.to(pool)
        self.codes[stale] = fresh
        self.idle[:, stale] = self.idle[:, stale].clamp_max(0)  # -1, not seen yet, stays
        if options.reseed_stats:
            self.counts[stale] = 1.0
            self.sums[stale] = fresh

    @torch.no_grad()
    def start_from(self, features: Tensor, generator: torch.Generator) -> None:
        """Place the codes on data before the first training step.

        Args:
            features: Semantic features of all modalities together, [N, D].
            generator: For the choice of the samples.

        Raises:
            ConfigError: more codes than features.
        """
        if self.options.start == "uniform":
            return
        if features.shape[0] < self.size:
            raise ConfigError(
                f"model.codebook.size = {self.size} codes, but the first batches hold only "
                f"{features.shape[0]} tokens to start from; lower model.codebook.size or set "
                "model.codebook.start=uniform"
            )
        chosen = torch.randperm(features.shape[0], generator=generator)[: self.size]
        codes = features[chosen.to(features.device)].to(self.codes.dtype)
        if self.options.start == "kmeans":
            codes = kmeans(features.to(codes.dtype), codes)
        self.codes.copy_(codes)
        self.counts.fill_(max(self.options.ema.initial_count, self.options.ema.epsilon))
        self.sums.copy_(codes * self.counts[:, None])

    def _in_order(self, quantized: Quantized) -> list[str]:
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
        kept = []
        for m in self._in_order(quantized):
            valid = quantized.steps.mask(m)
            z = quantized.semantic[m].flatten(0, 1).to(self.codes.dtype)
            kept.append(z if valid is None else z[valid.flatten()])
        return torch.cat(kept)


def sum_of(tensors: Sequence[Tensor]) -> Tensor:
    """Sum of equally shaped tensors."""
    return torch.stack(list(tensors)).sum(0)
