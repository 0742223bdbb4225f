"""A row-tied codebook: one index says the same in all modalities, each with a vector of its own.

The idea of CoDAAR (paper section 3; see docs/quantizers.md for what is left out of it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from cmg.codebook.codebook import SharedCodebook, TableOptions, added
from cmg.codebook.ema import assign, mixed_features
from cmg.codebook.quantizer import quantizers
from cmg.types import Quantized


class TiedOptions(TableOptions):
    """Options of a :class:`TiedCodebook`; see :class:`TableOptions`.

    Attributes:
        heads: What decoders and heads are given of an index: the modality's own ``segment``, of
            width D, or the whole ``row``, all modalities' segments in order, of width M D.
    """

    kind: Literal["tied"] = "tied"
    heads: Literal["segment", "row"] = "segment"


@quantizers.register("tied", TiedOptions)
class TiedCodebook(SharedCodebook):
    """Rows of one vector (segment) per modality.

    A feature picks its row by its modality's segments, and writes the whole row: the features that
    all modalities have at that step move their own segments of it. So a row is what comes together,
    whoever notices it. Its segments start as one vector and restart together.

    Attributes:
        codes: [M, K, D].
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

    def written(self, quantized: Quantized) -> dict[str, tuple[Tensor, Tensor]]:
        """What each modality writes to its segments of the rows that any of them picked."""
        steps, picked = quantized.steps, quantized.indices
        mixed = mixed_features(quantized.semantic, steps, self.options.ema.partner)
        found = {}
        for m in self.present(quantized):
            z = mixed[m].to(self.sums.dtype)
            new = [assign(i, z, self.size, steps.mask(m, n)) for n, i in picked.items()]
            found[m] = added(new)
        return found

    @torch.no_grad()
    def accumulate(self, quantized: Quantized) -> None:
        """MM-EMA of each modality's segments."""
        self.decays(1)
        for m, one in self.written(quantized).items():
            row = self.modalities.index(m)
            self.follow((self.codes[row], self.counts[row], self.sums[row]), [one])
