"""CMCM: paired clips should have the same distribution over codes (paper Eq. 9, as coded)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

import torch
from pydantic import Field
from torch import Tensor

from cmg.codebook.distances import distance_to_codes
from cmg.masking import mean_over_time
from cmg.options import Options
from cmg.precision import full_precision
from cmg.types import Steps


class CMCMOptions(Options):
    """Weight and form of CMCM.

    Attributes:
        weight: In the sum; 0 is computed and logged only.
        floor: The constant added inside the logarithm, relative to the smallest score; 1e-5 as
            coded, where with a single clip it is the whole value. 0 is the plain contrastive form.
    """

    weight: float = Field(1.0, ge=0.0)
    floor: float = Field(1e-5, ge=0.0)


@full_precision
def code_distribution(z: Tensor, codes: Tensor, mask: Tensor | None) -> Tensor:
    """Soft code histogram of every clip: mean over time of softmax(-distance), [B, K].

    Args:
        z: Semantic features, [B, T, D].
        codes: [K, D].
        mask: Steps that exist, bool [B, T]; None if all do.
    """
    return mean_over_time((-distance_to_codes(z, codes)).softmax(-1), mask)


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
    codes: Tensor,
    steps: Steps,
    floor: float = 1e-5,
) -> Tensor | None:
    """Half the sum of :func:`pair_loss` over unordered pairs of modalities.

    Args:
        semantic: z, [B, T, D] per modality.
        codes: The codes before this step's update, [K, D].
        steps: Which steps exist; a pair is contrasted over the clips that have both.
        floor: See :class:`CMCMOptions`.

    Returns:
        A scalar; None if no clip has two modalities.
    """
    p = {m: code_distribution(z, codes, steps.mask(m)) for m, z in semantic.items()}
    losses = []
    for a, b in combinations(p, 2):
        if not steps.any(a, b):
            continue
        both = steps.clips(a, b)
        p_a, p_b = (p[a], p[b]) if both is None else (p[a][both], p[b][both])
        losses.append(pair_loss(p_a, p_b, floor))
    return 0.5 * torch.stack(losses).sum() if losses else None
