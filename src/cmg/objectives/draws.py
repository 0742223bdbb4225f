"""The random choices of one training step, drawn on the host so that they can be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.codebook.reset import ResetDraw, random_reset
from cmg.types import Steps


@dataclass
class Draws:
    """What chance decides in a step (dropout aside).

    Attributes:
        cpc: In [0, 1): how far into its valid range Cross-CPC's step lies.
        permutations: CLUB's negatives: a permutation of the clips that have the modality.
        reset: The code reset's choices.
    """

    cpc: float
    permutations: dict[str, Tensor]
    reset: ResetDraw

    @classmethod
    def from_generator(
        cls,
        generator: torch.Generator,
        modalities: Sequence[str],
        steps: Steps,
        reset_noise: float,
    ) -> Draws:
        """Draw everything a step needs from a CPU `generator`."""
        cpc = float(torch.rand((), generator=generator))
        permutations = {
            m: torch.randperm(int((steps.length_of(m) > 0).sum()), generator=generator)
            for m in modalities
        }
        return cls(cpc, permutations, random_reset(generator, reset_noise))
