"""CMCM: paired clips should have the same distribution over codes (paper Eq. 9, as coded)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from pydantic import Field
from torch import Tensor

from cmg.codebook.distances import distance_to_codes
from cmg.masking import mean_over_time
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Steps, sequences


class CMCMOptions(TermOptions):
    """Form of CMCM.

    Attributes:
        floor: The constant added inside the logarithm, relative to the smallest score; 1e-5 as
            coded, where with a single clip it is the whole value. 0 is the plain contrastive form.
    """

    floor: float = Field(1e-5, ge=0.0)


@full_precision
def pair_loss(p_a: Tensor, p_b: Tensor, floor: float) -> Tensor:
    """Contrast of two modalities' code distributions over the clips of a batch.

    S_ij = P_a[i] . log P_b[j] + P_b[i] . log P_a[j], and the loss is the mean over i of
    log(sum_j exp S_ij + floor * exp(min S)) - S_ii. The minimum carries gradient, as coded.

    Args:
        p_a: [B, K].
        p_b: [B, K].
        floor: See :class:`CMCMOptions`.

    Returns:
        A scalar.
    """
    score = p_a @ torch.log(p_b + 1e-10).T + p_b @ torch.log(p_a + 1e-10).T
    partition = torch.logsumexp(score, dim=1)
    if floor > 0:
        partition = torch.logaddexp(partition, score.amin() + math.log(floor))
    return (partition - score.diagonal()).mean()


@full_precision
def cmcm_loss(
    semantic: Mapping[str, Tensor],
    codes: Tensor | Callable[[str, Tensor], Tensor],
    steps: Steps | None = None,
    floor: float = 1e-5,
) -> Tensor | None:
    """Half the sum of :func:`pair_loss` over unordered pairs of modalities.

    The distribution of a clip over the codes is the mean over time of softmax(-distance). With
    levels of codes there is one for every level, and the loss is their sum.

    Args:
        semantic: z, [B, T, D] per modality, or [N, D].
        codes: Of a shared codebook, [K, D], before this step's update; or a quantizer's
            ``distances``, which gives those of a modality's features, [B, T, K] or [B, T, L, K].
        steps: Which steps exist, None for all; a pair is contrasted over the clips that have both.
        floor: See :class:`CMCMOptions`.

    Returns:
        A scalar; None if no clip has two modalities.
    """
    semantic = sequences(semantic)
    steps = steps or Steps.of(semantic)
    p: dict[str, list[Tensor]] = {}
    for m, z in semantic.items():
        distances = distance_to_codes(z, codes) if isinstance(codes, Tensor) else codes(m, z)
        levels = [distances] if distances.dim() == 3 else distances.unbind(2)
        p[m] = [mean_over_time((-d).softmax(-1), steps.mask(m)) for d in levels]
    losses = []
    for a, b in combinations(p, 2):
        if not steps.any(a, b):
            continue
        both = steps.clips(a, b)
        for p_a, p_b in zip(p[a], p[b], strict=True):
            here = (p_a, p_b) if both is None else (p_a[both], p_b[both])
            losses.append(pair_loss(*here, floor))
    return 0.5 * torch.stack(losses).sum() if losses else None


@objectives.register("cmcm", CMCMOptions)
class CMCM(Objective):
    """:func:`cmcm_loss` as a term."""

    needs = frozenset({"codes"})
    by_default = True
    title = "CMCM"
    about = "paired clips choose codes with the same probabilities, other clips do not"

    def forward(
        self,
        semantic: Mapping[str, Tensor],
        codes: Tensor | Callable[[str, Tensor], Tensor],
        steps: Steps | None = None,
    ) -> Tensor | None:
        """See :func:`cmcm_loss`."""
        return cmcm_loss(semantic, codes, steps, self.options.floor)

    def term(self, view: View, draw: None) -> Tensor | None:
        """The loss on the whole batch."""
        return self.forward(view.encoded.semantic, view.quantizer.distances, view.encoded.steps)
