"""No quantizer, as a kind: models without codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from cmg.codebook.quantizer import Quantizer, QuantizerOptions, quantizers
from cmg.types import Quantized, Steps


class ContinuousOptions(QuantizerOptions):
    """Options of :class:`Continuous`: none."""

    kind: Literal["none"] = "none"


@quantizers.register("none", ContinuousOptions)
class Continuous(Quantizer):
    """No quantizer: heads and decoders are given the features themselves."""

    kind = "none"
    levels = 0

    def lookup(self, semantic: Mapping[str, Tensor], steps: Steps | None = None) -> Quantized:
        """The features as vectors; no indices and no codes."""
        steps = self.checked(semantic, steps)
        detached = {m: z.detach() for m, z in semantic.items()}
        return Quantized({}, {}, self.through(semantic, {}, {}, steps), detached, steps)

    def through(
        self,
        semantic: Mapping[str, Tensor],
        indices: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        steps: Steps,
    ) -> dict[str, Tensor]:
        """The features."""
        return dict(semantic)
