"""The random choices of one training step, drawn on the host so that they can be replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from cmg.codebook.quantizer import Quantizer
from cmg.codebook.reset import ResetDraw
from cmg.masking import Drawn, DrawnSteps
from cmg.objectives.base import objectives
from cmg.objectives.weighted import WeightedObjectives
from cmg.types import Steps


@dataclass
class Draws:
    """What chance decides in a step (dropout aside).

    Attributes:
        terms: The choices of every objective, by its name; see its ``draw``.
        reset: The quantizer's choices; None where it makes none.
        private: The steps that the private path runs on, by modality; empty for all.
    """

    terms: dict[str, Any]
    reset: ResetDraw | None
    private: Drawn = field(default_factory=dict)

    @classmethod
    def of_step(
        cls,
        terms: WeightedObjectives,
        quantizer: Quantizer,
        names: Sequence[str],
        steps: Steps,
        generator: Callable[[str], torch.Generator],
        private_steps: int | None = None,
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
            private_steps: See :class:`cmg.training.options.TrainingOptions`.
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
        reset, private = quantizer.draw(shared), {}
        if private_steps is not None and private_steps < steps.length:
            own = generator("private steps")
            for m in names:
                some = DrawnSteps.draw(steps.length_of(m), steps.length, private_steps, own)
                private[m] = some.to(steps.device)
        return cls(found, reset, private)
