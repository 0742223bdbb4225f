"""Two more levers of a recipe, as a plugin: mixed pairs, and modalities that are left out.

Both change what is encoded in training, and add nothing to the sum::

    cmg --plugin projects.levers.terms pretrain watch objectives.mixup.strength=0.5 --out runs/mixed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

import cmg
from cmg.errors import ConfigError
from cmg.objectives import Objective, TermOptions, View
from cmg.types import Batch, Steps


class MixupOptions(TermOptions):
    """How strongly pairs are mixed.

    Attributes:
        strength: Largest share of the other pair.
    """

    strength: float = Field(0.5, ge=0.0, le=1.0)


@cmg.objective("mixup", MixupOptions)
class Mixup(Objective):
    """Every clip is mixed with another of its batch, by one share in all of its modalities.

    So the two views still belong together (Zhang et al., 2018, on pairs). Steps are mixed one by
    one; where the other clip has ended, or lacks the modality, a clip stays what it is.
    """

    title = "mixed pairs"

    @classmethod
    def draw(
        cls, generator: torch.Generator, names: Sequence[str], steps: Steps
    ) -> tuple[Tensor, Tensor]:
        """The other clip of each, int64 [B], and how much of it there is, 0 to 1, [B]."""
        count = steps.batch_size
        return torch.randperm(count, generator=generator), torch.rand(count, generator=generator)

    def prepare(self, batch: Batch, draw: tuple[Tensor, Tensor], rows: Tensor) -> Batch:
        """The mixed clips.

        Raises:
            ConfigError: a part of a batch, in which the other clips are not.
        """
        other, share = draw
        where, mixed = batch.steps, dict[str, Tensor]()
        if len(rows) < len(other):
            raise ConfigError(
                "objectives.mixup needs the whole batch in one piece; leave --devices and "
                "training.micro_batch out"
            )
        for name, x in batch.features.items():
            lengths = where.length_of(name)
            common = torch.minimum(lengths, lengths[other])
            both = torch.arange(x.shape[1])[None] < common[:, None]
            weight = (self.options.strength * share[:, None] * both).to(x)
            weight = weight.view(*weight.shape, *[1] * (x.dim() - 2))
            mixed[name] = x + weight * (x[other.to(x.device)] - x)
        return replace(batch, features=mixed)

    def term(self, view: View, draw: object) -> None:
        """Nothing."""


class DropoutOptions(TermOptions):
    """How often a modality is left out.

    Attributes:
        rate: Share of the clips of each modality.
    """

    rate: float = Field(0.3, ge=0.0, lt=1.0)


@cmg.objective("modality_dropout", DropoutOptions)
class ModalityDropout(Objective):
    """Clips are trained on without some of their modalities, but never without all of them."""

    title = "modality dropout"

    @classmethod
    def draw(
        cls, generator: torch.Generator, names: Sequence[str], steps: Steps
    ) -> dict[str, Tensor]:
        """A number from 0 to 1 for each clip and modality, [B]."""
        return {m: torch.rand(steps.batch_size, generator=generator) for m in names}

    def prepare(self, batch: Batch, draw: dict[str, Tensor], rows: Tensor) -> Batch:
        """The clips without what is left out: its length is 0. The largest number stays."""
        lengths = {m: batch.steps.length_of(m) for m in batch.modalities}
        numbers = torch.stack([draw[m][rows] * (n > 0) for m, n in lengths.items()])
        kept = (numbers >= self.options.rate) | (numbers == numbers.amax(0))
        left = {m: n * keep for (m, n), keep in zip(lengths.items(), kept, strict=True)}
        return replace(batch, lengths=left)

    def term(self, view: View, draw: object) -> None:
        """Nothing."""
