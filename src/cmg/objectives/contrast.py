"""What contrasts of whole clips have in common: what is contrasted, and between which clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from cmg.errors import DataError
from cmg.masking import mean_over_time
from cmg.objectives.base import Objective, TermOptions, View
from cmg.types import Steps, sequences

Contrasted = Literal["features", "codes", "posterior"]
FLOOR = 1e-8
"""Added to probabilities before their square root, whose slope is infinite at 0."""


def several(given: Any) -> Any:
    """A single name as a tuple of one; none at all is refused."""
    if isinstance(given, tuple | list) and not given:
        raise ValueError("name at least one of features, codes, posterior")
    return (given,) if isinstance(given, str) else given


class ContrastOptions(TermOptions):
    """What is contrasted.

    Attributes:
        of: Continuous ``features`` z, ``codes`` (quantized vectors, with the gradient straight
            through), or the ``posterior`` over codes; of several the contrasts are added.
        softness: Temperature of that posterior, as ``probe.temperature`` is.
    """

    of: Annotated[tuple[Contrasted, ...], BeforeValidator(several)] = ("features",)
    softness: float = Field(0.1, gt=0.0)


def unit(x: Tensor, probabilities: bool = False) -> Tensor:
    """Vectors of length 1 along the last axis, of distributions their square roots."""
    return nn.functional.normalize((x + FLOOR).sqrt() if probabilities else x, dim=-1)


class RootedDistribution(torch.autograd.Function):
    """:func:`unit` of distributions [..., K], with its gradient written out.

    The length of the square roots is the same for all distributions, so that no gradient goes
    through it: it would add the same number to all K, which a softmax before this takes away. In
    autograd's pieces that took half of the time of a contrast of steps.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """sqrt((x + FLOOR) / sum)."""
        root = x + FLOOR
        total = root.sum(-1, keepdim=True)
        root = root.div_(total).sqrt_()
        ctx.save_for_backward(root, total)
        return root

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The slope of the root, 1 / (2 root sum)."""
        root, total = ctx.saved_tensors
        slope: Tensor = (gradients[0] / root).mul_(0.5 / total)
        return slope


def clip_means(features: Mapping[str, Tensor], steps: Steps | None) -> dict[str, Tensor]:
    """Means over the steps that exist of features [B, T, D] or [N, D], [B, D] per modality."""
    features = sequences(features)
    steps = steps or Steps.of(features)
    return {m: mean_over_time(x, steps.mask(m)) for m, x in features.items()}


def clip_pairs(
    clips: Mapping[str, Tensor], steps: Steps | None
) -> Iterator[tuple[str, str, Tensor | None]]:
    """The unordered pairs of modalities that at least two clips have, and which clips.

    Args:
        clips: A vector per clip, [B, D] per modality.
        steps: Which steps exist; None for all.

    Yields:
        Two names, in the order of `clips`, and the indices of the clips; None for all.

    Raises:
        DataError: a single clip, which there is nothing to tell from.
    """
    steps = steps or Steps.of(clips)
    refuse_single(steps)
    for a, b in combinations(clips, 2):
        both = steps.clips(a, b)
        if both is None or len(both) > 1:
            yield a, b, both


def contrasted(
    clips: Mapping[str, Tensor], steps: Steps | None, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor | None:
    """The sum of a loss of two modalities' clips [N, D] over :func:`clip_pairs`; None without."""
    losses = [
        loss(clips[a], clips[b]) if both is None else loss(clips[a][both], clips[b][both])
        for a, b, both in clip_pairs(clips, steps)
    ]
    return torch.stack(losses).sum() if losses else None


def refuse_single(steps: Steps) -> None:
    """Refuse a batch without a negative.

    Raises:
        DataError: it is of one clip.
    """
    if steps.batch_size < 2:
        raise DataError(
            "InfoNCE and its like tell each clip from the others of its batch, but this batch has "
            "one clip; give at least two (data.batch_size)"
        )


class Contrast(Objective):
    """A contrast on features, on codes, on posteriors, or on several of them."""

    def __init__(self, options: ContrastOptions | None = None) -> None:
        super().__init__(options)
        if set(self.options.of) != {"features"}:
            self.needs = frozenset({"codes"})  # type: ignore[misc]

    def contrast(
        self, features: Mapping[str, Tensor], steps: Steps | None, probabilities: bool = False
    ) -> Tensor | None:
        """Of features, code vectors or distributions."""
        raise NotImplementedError

    def term(self, view: View, draw: None) -> Tensor | None:
        """The loss on the whole batch."""
        read: dict[Contrasted, Callable[[], Mapping[str, Tensor]]] = {
            "features": lambda: view.encoded.semantic,
            "codes": lambda: view.quantized.vectors,
            "posterior": lambda: view.posterior(self.options.softness),
        }
        given = {name: read[name]() for name in dict.fromkeys(self.options.of)}
        losses = [
            self.contrast(x, view.encoded.steps, name == "posterior") for name, x in given.items()
        ]
        found = [loss for loss in losses if loss is not None]
        return torch.stack(found).sum() if found else None
