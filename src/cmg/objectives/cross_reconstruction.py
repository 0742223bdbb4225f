"""Cross reconstruction: another modality's code and the own detail rebuild the feature.

What a modality's decoder is given of a partner n is n's code vector of the same step. Words are
aligned with nothing: from and to tokens it is the mean of n's code vectors over the clip. As in the
cross-modal decoders of TURN (Zhao et al., NeurIPS 2022, Eq. 5 and 9), which rebuild what is masked
of one modality from the code of the other; here nothing is masked, as the detail is told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from cmg.masking import ALL_STEPS, Drawn, at_steps, mean_over_steps, mean_over_time, step_weights
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Kind, Modality, Steps

Rebuild = Callable[[str, Tensor], Tensor]
"""Of a modality and the content [B, T, D] that its decoder is given."""


def lent(vectors: Tensor, steps: Steps, names: tuple[str, str], aligned: bool) -> Tensor:
    """What the second of two modalities lends the first, [B, T, D]."""
    if aligned:
        return vectors
    return mean_over_time(vectors, steps.mask(names[1]))[:, None].expand_as(vectors)


def lends(steps: Steps, names: tuple[str, str], aligned: bool) -> Tensor | None:
    """At which steps of the first it does, bool [B, T]; None at all of them."""
    if aligned or steps.complete:
        return steps.mask(*names)
    own, has = steps.mask(names[0]), steps.mask(names[1])
    assert own is not None
    assert has is not None
    return own & has[:, :1]


@full_precision
def cross_reconstruction_loss(
    inputs: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    rebuild: Rebuild,
    steps: Steps | None = None,
    words: Collection[str] = (),
    drawn: Drawn = ALL_STEPS,
) -> dict[str, Tensor]:
    """Mean over a modality's steps of the mean squared error over the partners that are there.

    A step without a partner adds 0, so that parts of a batch add up by their numbers of steps.

    Args:
        inputs: Targets, [B, T, ...] per modality; no gradient.
        vectors: Code vectors, [B, T, D] per modality.
        rebuild: Decodes content for a modality, with its own detail, at the steps that have some.
        steps: Which steps exist; None for all.
        words: The modalities of tokens.
        drawn: The steps that have detail, by modality; of others all have.

    Returns:
        A scalar per modality that some clip of the batch has; none of a single modality.
    """
    steps = steps or Steps.of(inputs)
    losses = {}
    for m, x in inputs.items():
        partners = [n for n in vectors if n != m]
        if not partners or not steps.any(m):
            continue
        errors, there, some = [], [], drawn.get(m)
        target = at_steps(x.detach(), some)
        for n in partners:
            aligned = m not in words and n not in words
            rebuilt = rebuild(m, lent(vectors[n], steps, (m, n), aligned))
            error = (rebuilt - target).square().flatten(2).mean(2)
            exists = lends(steps, (m, n), aligned)
            lent_at = torch.ones_like(error) if exists is None else at_steps(exists, some)
            there.append(lent_at.to(error.dtype))
            errors.append(error * there[-1])
        mean = torch.stack(errors).sum(0) / torch.stack(there).sum(0).clamp_min(1)
        losses[m] = mean_over_steps(mean, step_weights(steps.mask(m), some))
    return losses


@objectives.register("cross_reconstruction", TermOptions)
class CrossReconstruction(Objective):
    """:func:`cross_reconstruction_loss` as a term."""

    scope = "clip"
    needs = frozenset({"detail"})
    of_some_steps = True
    title = "cross reconstruction"
    about = "another modality's code and the own detail rebuild the input"

    def __init__(self, options: TermOptions | None = None, words: Sequence[str] = ()) -> None:
        super().__init__(options)
        self.words = tuple(words)

    @classmethod
    def build(
        cls, options: TermOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> CrossReconstruction:
        """Of modalities some of which are words."""
        return cls(options, [m.name for m in modalities if m.kind is Kind.TOKENS])

    def term(self, view: View, draw: None) -> dict[str, Tensor]:
        """Mean squared error per modality."""
        assert view.rebuild is not None
        encoded, vectors = view.encoded, view.quantized.vectors
        return cross_reconstruction_loss(
            encoded.inputs, vectors, view.rebuild, encoded.steps, self.words, encoded.drawn
        )
