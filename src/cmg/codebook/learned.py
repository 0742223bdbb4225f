"""A shared codebook whose codes are weights: objectives move them, by gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from cmg.codebook.codebook import SharedCodebook, TableOptions
from cmg.codebook.ema import EMAOptions
from cmg.codebook.quantizer import quantizers
from cmg.types import Quantized


class LearnedOptions(TableOptions):
    """Options of a :class:`LearnedCodebook`; see :class:`TableOptions`.

    There are no averages, so ``ema`` stays as it is by default.
    """

    kind: Literal["learned"] = "learned"

    @model_validator(mode="after")
    def _no_averages(self) -> LearnedOptions:
        if self.ema != EMAOptions():
            raise ValueError(
                "ema says how codes follow features, and those of kind learned follow gradients; "
                "leave it out, or set model.codebook.kind=shared"
            )
        return self


@quantizers.register("learned", LearnedOptions)
class LearnedCodebook(SharedCodebook):
    """Cluster centers, as in CODIS: what reads `table`, `distances` or `posterior` trains them.

    Terms that do so are of scope ``batch``: ranks that share a batch do not add up this gradient.
    The code vectors of a lookup have none.
    """

    kind = "learned"

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: LearnedOptions | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(modalities, width, options, generator)
        start = self.codes
        del self.codes
        self.codes = nn.Parameter(start)

    @torch.no_grad()
    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Quantizer.nearest`."""
        return super().nearest(semantic)

    def codes_of(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.codes_of`."""
        return super().codes_of(modality, indices).detach()

    def accumulate(self, quantized: Quantized) -> None:
        """Nothing: there are no averages."""
