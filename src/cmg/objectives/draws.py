"""The random choices of one training step, drawn on the host so that they can be replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cmg.codebook.quantizer import Quantizer
from cmg.codebook.reset import ResetDraw
from cmg.objectives.base import objectives
from cmg.objectives.weighted import WeightedObjectives
from cmg.types import Steps


@dataclass
class Draws:
    """What chance decides in a step (dropout aside).

    Attributes:
        terms: The choices of every objective, by its name; see its ``draw``.
        reset: The quantizer's choices; None where it makes none.
    """

    terms: dict[str, Any]
    reset: ResetDraw | None

    @classmethod
    def of_step(
        cls,
        terms: WeightedObjectives,
        quantizer: Quantizer,
        names: Sequence[str],
        steps: Steps,
        generator: Callable[[str], torch.Generator],
    ) -> Draws:
        """Draw everything a step needs.

        Args:
            terms: The objectives.
            quantizer: Of the model.
            names: Modalities of the batch.
            steps: Which steps of the whole batch exist.
            generator: A CPU generator for a purpose at this step. The paper's terms draw from one,
                in order, whether or not they are in the sum, and the quantizer after them; every
                other term has its own, so that it changes no choice of another.
        """
        shared = generator("draws")
        found = {
            name: entry.part.draw(shared, names, steps)
            for name, entry in objectives.items()
            if entry.part.shares_draws
        }
        for name, term in terms.terms():
            if name not in found:
                found[name] = term.draw(generator(f"draws/{name}"), names, steps)
        return cls(found, quantizer.draw(shared))
