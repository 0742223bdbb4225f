"""MM-EMA: the exponential moving averages that move the codes (paper Eq. 7), as pure functions.

Each code i keeps a count N_i and a sum O_i of the vectors assigned to it; the code is O_i / N_i.
What makes it cross-modal is the vector that is summed: not the feature itself but its mix with the
partner modalities of the same clip, so that paired features are written into each other's codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from cmg.options import Options
from cmg.precision import full_precision
from cmg.types import Steps


class EMAOptions(Options):
    """How the codes follow the features.

    Attributes:
        decay: gamma; 0.99 in the paper.
        epsilon: Laplace smoothing of the counts, and the floor under them.
        partner: ``aligned`` mixes with the partner's feature at the same step [as coded];
            ``cross_attention`` with the partner's steps attended by the own feature [paper];
            ``none`` mixes with nothing, so that each modality moves the codes by itself (the
            ablation without MM-EMA in the paper's Tables 2 and 3).
        own_weight: How many partners the own feature counts for in the mix; null: as many as there
            are, which is half of it. With 3 it is 3/(M + 2), and each partner 1/(M + 2).
        update: ``sequential`` decays once per modality, in order [as coded]; ``joint`` decays once
            per step with all modalities' sums added, independent of their order [paper].
        smoothing: Laplace-smooth the counts [as coded]. Smoothing holds the count of an unused
            code up while its sum decays, so that it drifts to the origin; without it an unused
            code stays where it is.
        initial_count: N before the first step. 0 [as coded] makes unused codes explode at the
            first step (sum over almost nothing); 1 makes them stay.
        correction: Begin both averages at 0 and divide them by 1 - gamma^n after n steps, as Adam
            does; smoothed counts are then not kept [as coded in TURN]. Without smoothing it is the
            codes' own means from the first step on, with it codes that are never used become 0.
    """

    decay: float = Field(0.99, ge=0.0, lt=1.0)
    epsilon: float = Field(1e-5, gt=0.0)
    partner: Literal["aligned", "cross_attention", "none"] = "aligned"
    own_weight: float | None = Field(None, gt=0.0)
    update: Literal["sequential", "joint"] = "joint"
    smoothing: bool = False
    initial_count: float = Field(1.0, ge=0.0)
    correction: bool = False

    @model_validator(mode="after")
    def _from_nothing(self) -> EMAOptions:
        if self.correction and self.initial_count:
            raise ValueError(
                "correction is of averages that begin at 0: set model.codebook.ema.initial_count=0"
            )
        return self


@full_precision
def attend(query: Tensor, partner: Tensor, valid: Tensor | None) -> Tensor:
    """Scaled dot-product cross-attention of one modality's steps over its partner's.

    Args:
        query: [B, T, D].
        partner: Keys and values, [B, T, D].
        valid: Partner steps that exist, bool [B, T]; None if all do.

    Returns:
        [B, T, D]; zero for clips whose partner has no step.
    """
    score = query @ partner.transpose(1, 2) / query.shape[-1] ** 0.5
    if valid is not None:
        score = score.masked_fill(~valid[:, None, :], -torch.inf)
    attended: Tensor = score.softmax(-1).nan_to_num(0.0) @ partner
    return attended


@full_precision
def mixed_features(
    semantic: Mapping[str, Tensor], steps: Steps, partner: str, own_weight: float | None = None
) -> dict[str, Tensor]:
    """What each modality writes into its codes: half itself, half the mean of its partners.

    With an own weight w it is (w z + sum of the partners) / (w + their number).

    With the partner ``none`` it writes itself. Partners that do not exist at a step are left out of
    the mean; a feature without any partner is written as it is.

    Args:
        semantic: z, [B, T, D] per modality.
        steps: Which steps exist.
        partner: See :class:`EMAOptions`.
        own_weight: Likewise.

    Returns:
        [B, T, D] per modality.
    """
    if partner == "none":
        return dict(semantic)
    mixed = {}
    for m, own in semantic.items():
        total = torch.zeros_like(own)
        partners = torch.zeros((), dtype=own.dtype, device=own.device)
        for n, other in semantic.items():
            if n == m:
                continue
            exists = steps.mask(n)
            read = other
            if partner == "cross_attention":
                read = attend(own, other, exists)
                exists = None if exists is None else exists.any(1, keepdim=True).expand_as(exists)
            if exists is None:
                total, partners = total + read, partners + 1
            else:
                total = total + read * exists[..., None]
                partners = partners + exists[..., None].to(own.dtype)
        if own_weight is None:
            mix = 0.5 * own + 0.5 * total / partners.clamp_min(1)
        else:
            mix = (own_weight * own + total) / (own_weight + partners)
        mixed[m] = torch.where(partners > 0, mix, own)
    return mixed


@full_precision
def assign(
    indices: Tensor, vectors: Tensor, size: int, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Counts and sums of the vectors that fall to each code.

    Args:
        indices: int64 [B, T].
        vectors: [B, T, D].
        size: K.
        valid: Bool [B, T] of the steps that exist; None if all do.

    Returns:
        Counts [K] and sums [K, D].
    """
    flat, tokens = indices.flatten(), vectors.flatten(0, 1)
    ones = tokens.new_ones(flat.shape[0]) if valid is None else valid.flatten().to(tokens.dtype)
    counts = tokens.new_zeros(size).index_add_(0, flat, ones)
    sums = tokens.new_zeros(size, tokens.shape[1]).index_add_(0, flat, tokens * ones[:, None])
    return counts, sums


def decayed(
    counts: Tensor, sums: Tensor, new: tuple[Tensor, Tensor], options: EMAOptions
) -> tuple[Tensor, Tensor]:
    """One moving-average step of N and O.

    Args:
        counts: N, [K].
        sums: O, [K, D].
        new: Counts and sums of this batch, see :func:`assign`.
        options: Decay and smoothing.

    Returns:
        The new N and O.
    """
    gamma = options.decay
    counts = gamma * counts + (1 - gamma) * new[0]
    if options.smoothing and not options.correction:
        counts = smoothed(counts, options.epsilon)
    return counts, gamma * sums + (1 - gamma) * new[1]


def smoothed(counts: Tensor, epsilon: float) -> Tensor:
    """Laplace-smoothed counts [K], of the same sum."""
    total = counts.sum()
    return (counts + epsilon) / (total + counts.shape[0] * epsilon) * total


def followed(
    table: tuple[Tensor, Tensor, Tensor],
    new: Sequence[tuple[Tensor, Tensor]],
    options: EMAOptions,
    moves: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, N and O after what was written, one after the other.

    Args:
        table: Codes [K, D], N [K] and O [K, D].
        new: Counts and sums of this batch, see :func:`assign`.
        options: Decay and smoothing.
        moves: How often the averages have decayed, these included; where they are corrected.
    """
    before, counts, sums = table
    for one in new:
        counts, sums = decayed(counts, sums, one, options)
    if moves is not None and options.smoothing:  # else the correction is the same above and below
        seen = 1.0 - options.decay ** moves.to(counts.dtype)
        codes = (sums / seen) / smoothed(counts / seen, options.epsilon)[:, None]
    else:
        codes = sums / counts[:, None]
    if not options.smoothing:
        # Nothing of such a code is left in N and O; keep the code and let O follow it, so that
        # neither underflow nor 0/0 can reach it.
        faded = (counts < options.epsilon)[:, None]
        codes = torch.where(faded, before, codes)
        sums = torch.where(faded, before * counts[:, None], sums)
    return codes, counts, sums
