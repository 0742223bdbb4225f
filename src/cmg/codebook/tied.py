"""A row-tied codebook: one index says the same in all modalities, each with a vector of its own.

The idea of CoDAAR (paper section 3); docs/methods/codaar.md says which options are its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional

from cmg.codebook.codebook import SharedCodebook, TableOptions, added
from cmg.codebook.ema import assign
from cmg.codebook.quantizer import quantizers
from cmg.precision import full_precision
from cmg.types import Quantized, Steps


class TiedOptions(TableOptions):
    """Options of a :class:`TiedCodebook`; see :class:`TableOptions`.

    Attributes:
        heads: What decoders and heads are given of an index: the modality's own ``segment``, of
            width D, or the whole ``row``, all modalities' segments in order, of width M D.
        gradient: Where a row's gradient goes: to the feature that picked it (``own``), or past
            every segment to the feature that this modality has at the step (``row``).
        writes: What a pick moves: the whole ``row``, each segment by its modality's feature of the
            step, or the own ``segment`` alone.
        alignment: What is read of a row's averages: themselves (``none``); each halfway to their
            mean (``mean``); or from the last modality to the first each replaced by the mean of the
            row as it then is (``sequential``, as coded). Averages are kept apart from what is read
            of them, so that alignment does not add up over steps.
        apart: Whether chance treats segments apart [as coded]: with ``start=uniform`` each starts
            by itself, in +-1/K, and restarts with noise of its own; otherwise a row does as one.
    """

    kind: Literal["tied"] = "tied"
    heads: Literal["segment", "row"] = "segment"
    gradient: Literal["own", "row"] = "own"
    writes: Literal["row", "segment"] = "row"
    alignment: Literal["none", "mean", "sequential"] = "none"
    apart: bool = False

    @model_validator(mode="after")
    def _fitting(self) -> TiedOptions:
        if self.gradient == "row" and self.heads != "row":
            raise ValueError("gradient=row is of whole rows; set heads=row as well")
        return self


@quantizers.register("tied", TiedOptions)
class TiedCodebook(SharedCodebook):
    """Rows of one vector (segment) per modality.

    A feature picks its row by its modality's segments, and writes the whole row or its segment. So
    a row is what comes together. Its segments start as one vector and restart together.

    Attributes:
        codes: [M, K, D], aligned.
        counts: N, [M, K].
        sums: O, [M, K, D].
        idle: As in the shared codebook, [M, K].
    """

    kind = "tied"

    options: TiedOptions

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: TiedOptions | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(modalities, width, options, generator)
        for name in ("codes", "counts", "sums"):
            one = self.get_buffer(name)
            self.register_buffer(name, one.expand(len(self.modalities), *one.shape).clone())
        if self.options.apart and not self.starts_on_data:
            drawn = torch.rand(self.codes.shape, generator=generator)
            self.codes.copy_((drawn * 2.0 - 1.0) / self.size)
            self.sums.copy_(self.codes * (self.options.ema.initial_count or 1.0))

    @property
    def apart(self) -> tuple[int, ...]:
        """Segments of a code that are given noise of their own."""
        return (len(self.modalities),) if self.options.apart else ()

    @classmethod
    def vector_width(cls, width: int, modalities: Sequence[str], options: Any) -> int:
        """D, or M D of whole rows."""
        return width * len(modalities) if options.heads == "row" else width

    def table(self, modality: str) -> Tensor:
        """The modality's own segments, [K, D]."""
        return self.codes[self.modalities.index(modality)]

    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Quantizer.nearest`."""
        found = {}
        for m, z in semantic.items():
            codes = self.compared(self.table(m))
            center = self.center(self.counts[self.modalities.index(m)], codes)
            found[m] = self._nearest(z, codes, center)
        return found

    def seen(self, modality: str, indices: Tensor, codes: Tensor) -> Tensor:
        """The own segment, or the row around it; gradient passes through the own segment only."""
        if self.options.heads == "segment":
            return codes
        named = zip(self.modalities, self.codes, strict=True)
        return torch.cat([codes if m == modality else own[indices] for m, own in named], -1)

    def through(
        self,
        semantic: Mapping[str, Tensor],
        indices: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        steps: Steps,
    ) -> dict[str, Tensor]:
        """See :meth:`Quantizer.through`; rows of all modalities, where the step has them."""
        if self.options.gradient == "own":
            return super().through(semantic, indices, codes, steps)
        found = {}
        for m, x in indices.items():
            row = {n: own[x] for n, own in zip(self.modalities, self.codes, strict=True)}
            for n, z in semantic.items():
                row[n] = passed(row[n], z, steps.mask(n))
            found[m] = torch.cat(list(row.values()), -1)
        return found

    def written(self, quantized: Quantized) -> dict[str, tuple[Tensor, Tensor]]:
        """What each modality writes to its segments of the rows that it, or any, picked."""
        steps, picked = quantized.steps, quantized.indices
        mixed = self.mixed(quantized)
        found = {}
        for m in self.present(quantized):
            z = mixed[m].to(self.sums.dtype)
            by = picked if self.options.writes == "row" else {m: picked[m]}
            new = [assign(i, z, self.size, steps.mask(m, n)) for n, i in by.items()]
            found[m] = added(new)
        return found

    @torch.no_grad()
    def accumulate(self, quantized: Quantized) -> None:
        """MM-EMA of each modality's segments, then their alignment."""
        self.decays(1)
        written, how = self.written(quantized), self.options.alignment
        for m, codes, counts, sums in zip(
            self.modalities, self.codes, self.counts, self.sums, strict=True
        ):
            if m in written:
                self.follow((codes, counts, sums), [written[m]])
            elif how != "none":  # what is aligned below are averages, not what was read of them
                n = counts[:, None]
                codes.copy_(torch.where(n > 0, sums / n, codes))
        self.codes.copy_(aligned(self.codes, how))

    def measures(self, quantized: Quantized) -> dict[str, Tensor]:
        """See :meth:`Quantizer.measures`; with ``segment_contrast`` where rows are aligned."""
        found = super().measures(quantized)
        if self.options.alignment != "none" and len(self.modalities) > 1:
            found["segment_contrast"] = segment_contrast(self.codes)
        return found


def passed(codes: Tensor, z: Tensor, mask: Tensor | None) -> Tensor:
    """Codes [..., D] with gradient straight through to features z, where the mask has them."""
    straight = z + (codes - z).detach()
    if mask is None:
        return straight
    return torch.where(mask.view(*z.shape[:-1], 1), straight, codes)


def aligned(segments: Tensor, how: str) -> Tensor:
    """What is read of the averages of a row's segments.

    Args:
        segments: [M, K, D].
        how: See :class:`TiedOptions`.

    Returns:
        [M, K, D].
    """
    if how == "none":
        return segments
    if how == "mean":
        return 0.5 * (segments + segments.mean(0))
    row = list(segments.unbind(0))
    for last in range(len(row) - 1, -1, -1):
        row[last] = torch.stack(row).mean(0)
    return torch.stack(row)


@full_precision
def segment_contrast(segments: Tensor, temperature: float = 0.1) -> Tensor:
    """How well a row's segments find each other among those of all rows; for the log alone.

    Half the mean over pairs of modalities m, n (m before n) and rows k of
    logsumexp_j(cos(E_m[k], E_n[j]) / t) - cos(E_m[k], E_n[k]) / t.

    Args:
        segments: [M, K, D], two modalities or more.
        temperature: t.
    """
    unit = functional.normalize(segments, dim=-1)
    pairs = [a @ b.T / temperature for a, b in combinations(unit, 2)]
    losses = [(x.logsumexp(1) - x.diagonal()).mean() for x in pairs]
    return 0.5 * torch.stack(losses).mean()
