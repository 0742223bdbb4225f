"""How the codebook is used: perplexity, usage, modality shares, cross-modal agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from cmg.precision import full_precision
from cmg.types import Quantized, Steps


def code_counts(indices: Tensor, size: int, valid: Tensor | None) -> Tensor:
    """How often each code occurs, float64 [K], among `indices` [B, T] at the `valid` steps."""
    flat = indices.flatten()
    ones = torch.ones(flat.shape, dtype=torch.float64, device=flat.device)
    if valid is not None:
        ones = valid.flatten().to(torch.float64)
    return torch.zeros(size, dtype=torch.float64, device=flat.device).index_add_(0, flat, ones)


@full_precision
def perplexity(counts: Tensor) -> Tensor:
    """Perplexity, exp of the entropy, of a code histogram [..., K] -> [...]; zero counts give 1."""
    p = counts / counts.sum(-1, keepdim=True).clamp_min(1e-12)
    return torch.exp(-(p * torch.log(p + 1e-10)).sum(-1))


def commonest_code(indices: Tensor, valid: Tensor | None) -> Tensor:
    """Most frequent code of every clip, int64 [B]; the smallest index on a tie, -1 if no step.

    Args:
        indices: int64 [B, T].
        valid: Bool [B, T], None if every step exists.
    """
    same = indices[:, :, None] == indices[:, None, :]
    if valid is not None:
        same = same & valid[:, None, :]
    votes = same.sum(-1)
    if valid is not None:
        votes = votes.masked_fill(~valid, 0)
    best = votes.amax(-1, keepdim=True)
    largest = torch.iinfo(indices.dtype).max
    winner = indices.masked_fill(votes != best, largest).amin(-1)
    return torch.where(best[:, 0] > 0, winner, -1)


def step_agreement(indices: Mapping[str, Tensor], steps: Steps) -> Tensor:
    """Share of the steps two modalities share at which they have the same code, mean of pairs."""
    shares = []
    for a, b in combinations(indices, 2):
        same = (indices[a] == indices[b]).to(torch.float64)
        both = steps.mask(a, b)
        if both is None:
            shares.append(same.mean())
        elif steps.any(a, b):
            shares.append((same * both).sum() / both.sum())
    if not shares:
        return torch.zeros((), dtype=torch.float64, device=next(iter(indices.values())).device)
    return torch.stack(shares).mean()


def clip_agreement(indices: Mapping[str, Tensor], steps: Steps) -> Tensor:
    """Number of clips whose most frequent code is the same in all modalities [as coded]."""
    winners = torch.stack([commonest_code(x, steps.mask(m)) for m, x in indices.items()])
    return ((winners == winners[0]).all(0) & (winners[0] >= 0)).sum()


def step_measures(quantized: Quantized, size: int) -> dict[str, Tensor]:
    """What the training step logs of the codebook, with the codes before their update.

    Returns:
        ``perplexity/<m>``, ``code_usage`` (share of the codes picked in this batch),
        ``agreement`` (of steps) and ``clip_agreement`` (share of clips).
    """
    steps = quantized.steps
    counts = {m: code_counts(x, size, steps.mask(m)) for m, x in quantized.indices.items()}
    measures = {f"perplexity/{m}": perplexity(n) for m, n in counts.items()}
    measures["code_usage"] = (torch.stack(list(counts.values())).sum(0) > 0).double().mean()
    measures["agreement"] = step_agreement(quantized.indices, steps)
    measures["clip_agreement"] = clip_agreement(quantized.indices, steps) / steps.batch_size
    return measures


MOST = 0.9
"""A modality with this share of its steps in one code has collapsed."""
FEWEST = 1.9
"""So has one whose perplexity is below: in effect it has fewer than two codes."""
UNSHARED = 0.05
"""Modalities that share a smaller part of the used codes do not speak of the same things."""


@dataclass(frozen=True)
class CodeUsage:
    """How a set of clips uses the codebook.

    Attributes:
        counts: Tokens per modality and code, float64 [M, K].
        modalities: Row names.
    """

    counts: Tensor
    modalities: tuple[str, ...]

    @property
    def shares(self) -> Tensor:
        """Each modality's share of each code, modalities weighted equally, [M, K] (paper Fig. 4).

        Columns sum to 1, or to 0 for a code nobody uses.
        """
        rate = self.counts / self.counts.sum(1, keepdim=True).clamp_min(1e-12)
        return rate / rate.sum(0).clamp_min(1e-12)

    def used(self, least: float = 1e-3) -> Tensor:
        """Bool [K]: codes with at least the share `least` of all tokens."""
        pooled = self.counts.sum(0)
        return pooled >= least * pooled.sum().clamp_min(1e-12)

    def shared(self, least: float = 0.05) -> Tensor:
        """Bool [K]: codes of which two or more modalities each give at least the share `least`."""
        return (self.shares >= least).sum(0) >= 2

    @property
    def shared_share(self) -> float:
        """Share of the used codes that are shared, 0..1."""
        used = self.used()
        return float((self.shared() & used).sum() / used.sum().clamp_min(1))

    @property
    def perplexity(self) -> float:
        """exp(entropy) of the codes, modalities pooled."""
        return float(perplexity(self.counts.sum(0)))


def collapse(usage: CodeUsage) -> list[str]:
    """What to say of a codebook that says next to nothing; empty for one that is in use.

    Args:
        usage: Of any clips; modalities without a step are passed over, and so is a model without
            codes.
    """
    size, found = usage.counts.shape[1], []
    if not size:
        return []
    for m, counts in zip(usage.modalities, usage.counts, strict=True):
        share, codes = float(counts.max() / counts.sum().clamp_min(1)), float(perplexity(counts))
        if bool(counts.any()) and (share >= MOST or codes < min(FEWEST, size / 2)):
            percent = f"{100 * share:.0f} %"
            found.append(f"{m} has {percent} of its steps in one code, perplexity {codes:.1f}")
    if int((usage.counts.sum(1) > 0).sum()) > 1 and usage.shared_share < UNSHARED:
        used = int(usage.used().sum())
        found.append(f"{100 * usage.shared_share:.0f} % of the {used} used codes are shared")
    if not found:
        return []
    return [
        f"the codebook of {size} codes has collapsed: {'; '.join(found)}. Try a lower "
        "optimizer.lr, objectives.club.weight=0.1, model.codebook.reset.source=tokens, or more "
        "clips and epochs"
    ]
