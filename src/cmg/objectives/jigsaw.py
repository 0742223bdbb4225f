"""A jigsaw across modalities: a classifier tells in which order the pieces of a code vector lie.

The columns of code vectors are cut into S pieces of equal width. In a step of training each piece
is taken from one modality, drawn for the whole batch, so that a vector is pieced together of some
of them; it is shown in P fixed orders, and the order is to be told. Pieces of any modality say
where they belong only if the modalities divide the columns alike.

The idea of MICU's CUJP; docs/methods/micu.md has its form as coded, which this is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import factorial

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from cmg.errors import ConfigError
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Modality, Steps

MOST_PIECES = 20
"""So many have orders that 64 bits can count."""


class JigsawOptions(TermOptions):
    """The puzzle and its classifier.

    Attributes:
        pieces: S, into which code vectors are cut; divides their width.
        orders: P, the classes: so many of the S! orders are drawn at the start of a run.
        hidden: Width of the classifier's hidden layer; 512 as coded.
        clipped: Whether ``optimizer.clip`` clips the classifier's gradient; as coded it does not.
    """

    pieces: int = Field(2, ge=2, le=MOST_PIECES)
    orders: int = Field(2, ge=2)
    hidden: int = Field(512, ge=1)
    clipped: bool = True

    @model_validator(mode="after")
    def _enough_orders(self) -> JigsawOptions:
        there = factorial(self.pieces)
        if self.orders > there:
            raise ValueError(
                f"{self.pieces} pieces have {there} orders, but orders = {self.orders}; "
                "lower orders or raise pieces"
            )
        return self


def nth_order(number: int, pieces: int) -> list[int]:
    """One of the orders of 0 .. pieces - 1, by its 0-based number in lexicographic order."""
    rest, order = list(range(pieces)), []
    for left in range(pieces - 1, -1, -1):
        place, number = divmod(number, factorial(left))
        order.append(rest.pop(place))
    return order


def jigsaws(
    vectors: Mapping[str, Tensor], whose: Sequence[str], orders: Tensor, steps: Steps | None = None
) -> Tensor:
    """Vectors of pieces of several modalities, in every order.

    Args:
        vectors: [B, T, D] per modality.
        whose: Of each of the S places the modality whose columns they are.
        orders: int64 [P, S]; order p has piece ``orders[p][i]`` in place i.
        steps: Which steps exist, None for all; a step is used if all modalities drawn have it.

    Returns:
        [P, N, D] of N steps.
    """
    pieces = [vectors[m].chunk(len(whose), -1)[i] for i, m in enumerate(whose)]
    mask = None if steps is None else steps.mask(*whose)
    stacked = torch.stack(pieces, 2)  # [B, T, S, D / S]
    rows = stacked.flatten(0, 1) if mask is None else stacked[mask]
    return rows[:, orders].transpose(0, 1).flatten(2)


@objectives.register("jigsaw", JigsawOptions)
class Jigsaw(Objective):
    """The classifier, and its cross-entropy on the quantized vectors of a step's first pass.

    Args:
        width: Of the vectors.
        options: See :class:`JigsawOptions`.

    Attributes:
        orders: The classes, int64 [P, S].

    Raises:
        ConfigError: a width that the pieces do not divide.
    """

    title = "jigsaw"
    about = "the order of pieces of code vectors, of several modalities, can be told"
    orders: Tensor

    def __init__(self, width: int, options: JigsawOptions | None = None) -> None:
        super().__init__(options)
        pieces, count = self.options.pieces, self.options.orders
        if width % pieces:
            known = [s for s in range(2, min(width, MOST_PIECES) + 1) if width % s == 0]
            raise ConfigError(
                f"objectives.jigsaw.pieces = {pieces} does not divide the {width} columns of code "
                f"vectors, which it cuts; possible: {', '.join(map(str, known)) or 'none'}"
            )
        self.clipped = self.options.clipped
        seed = int(torch.randint(2**62, ()))
        chosen = random.Random(seed).sample(range(factorial(pieces)), count)
        self.register_buffer("orders", torch.tensor([nth_order(n, pieces) for n in chosen]))
        self.classifier = nn.Sequential(
            nn.Linear(width, self.options.hidden), nn.ReLU(), nn.Linear(self.options.hidden, count)
        )

    @classmethod
    def build(
        cls, options: JigsawOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> Jigsaw:
        """Of a model's code vectors."""
        return cls(vectors, options)

    @classmethod
    def draw(cls, generator: torch.Generator, names: Sequence[str], steps: Steps) -> Tensor:
        """Of every place there may be, how far in the list its modality lies, in [0, 1)."""
        return torch.rand(MOST_PIECES, generator=generator)

    def drawn(self, draw: Tensor, names: Sequence[str]) -> list[str]:
        """Of each place the modality whose piece lies there."""
        places = (draw[: self.options.pieces].double() * len(names)).long().tolist()
        return [names[place] for place in places]

    @full_precision
    def forward(
        self, vectors: Mapping[str, Tensor], whose: Sequence[str], steps: Steps | None = None
    ) -> Tensor | None:
        """Cross-entropy over all steps and orders; None if no step has all modalities drawn.

        Args:
            vectors: Quantized, [B, T, D] per modality.
            whose: See :func:`jigsaws`.
            steps: Which steps exist; None for all.
        """
        if steps is not None and not steps.any(*whose):
            return None
        logits = self.classifier(jigsaws(vectors, whose, self.orders, steps))
        labels = torch.arange(len(logits), device=logits.device)
        return functional.cross_entropy(
            logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1])
        )

    def term(self, view: View, draw: Tensor) -> Tensor | None:
        """The loss on the whole batch."""
        first = view.first
        vectors = first.quantized.vectors
        return self.forward(vectors, self.drawn(draw, list(vectors)), first.encoded.steps)
