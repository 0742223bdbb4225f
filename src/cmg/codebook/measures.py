"""How the codebook is used: perplexity, usage, modality shares, cross-modal agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
def perplexity(counts: Tensor, floor: float = 1e-10) -> Tensor:
    """Perplexity, exp of the entropy, of a code histogram [..., K] -> [...]; zero counts give 1.

    Args:
        counts: Of the codes.
        floor: Added inside the logarithm; authors differ in it.
    """
    p = counts / counts.sum(-1, keepdim=True).clamp_min(1e-12)
    return torch.exp(-(p * torch.log(p + floor)).sum(-1))


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


def tuples_of(indices: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """The indices of all levels as one number per step, and how many different ones there are.

    Args:
        indices: int64 [..., L] per modality; equal tuples are given equal numbers.
    """
    rows = torch.cat([x.flatten(0, -2) for x in indices.values()])
    different, numbers = torch.unique(rows, dim=0, return_inverse=True)
    parts = numbers.split([x[..., 0].numel() for x in indices.values()])
    named = zip(indices.items(), parts, strict=True)
    return {m: part.view(x.shape[:-1]) for (m, x), part in named}, len(different)


def level_measures(quantized: Quantized, size: int, levels: int) -> dict[str, Tensor]:
    """:func:`step_measures` of the tuple of all levels, and of each as ``level1/...``.

    The ``code_usage`` of the tuple is the mean of the levels'.
    """
    found = {}
    for level in range(levels):
        own = {m: x[..., level] for m, x in quantized.indices.items()}
        for key, value in step_measures(replace(quantized, indices=own), size).items():
            found[f"level{level + 1}/{key}"] = value
    whole, count = tuples_of(quantized.indices)
    measures = step_measures(replace(quantized, indices=whole), count)
    usage = [found[f"level{level + 1}/code_usage"] for level in range(levels)]
    return measures | {"code_usage": torch.stack(usage).mean()} | found


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
        counts: Tokens per modality and code, float64 [M, K]; [M, L K] of L levels, one after the
            other.
        modalities: Row names.
        levels: L; 1 where a step has one code.
    """

    counts: Tensor
    modalities: tuple[str, ...]
    levels: int = 1

    @classmethod
    def of(
        cls, indices: Mapping[str, Tensor], size: int, valid: Mapping[str, Tensor | None]
    ) -> CodeUsage:
        """Of indices [N, T], or [N, T, L].

        Args:
            indices: int64, by modality.
            size: K; 0 of a model without codes.
            valid: Steps that count, bool [N, T] by modality; None where all do.
        """
        if not size:
            return cls(torch.zeros(len(indices), 0, dtype=torch.float64), tuple(indices))
        parts = {m: list(levels_of(x)) for m, x in indices.items()}
        rows = [
            torch.cat([code_counts(one.clamp_min(0), size, valid[m]) for one in levels])
            for m, levels in parts.items()
        ]
        return cls(torch.stack(rows), tuple(indices), max(map(len, parts.values())))

    @property
    def size(self) -> int:
        """K of a level; 0 of a model without codes."""
        return self.counts.shape[1] // self.levels

    def by_level(self) -> list[CodeUsage]:
        """The use of each level."""
        parts = self.counts.chunk(self.levels, 1)
        return [CodeUsage(counts, self.modalities) for counts in parts]

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
        return pooled >= least * (pooled.sum() / self.levels).clamp_min(1e-12)

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
        """exp(entropy) of the codes, modalities pooled; the mean over levels."""
        return float(perplexity(self.counts.sum(0).view(self.levels, -1)).mean())


def levels_of(indices: Tensor) -> Iterable[Tensor]:
    """The indices [N, T] of each level of [N, T, L]; those of [N, T] as one."""
    return [indices] if indices.dim() == 2 else indices.unbind(2)


def collapse(usage: CodeUsage, remedies: Sequence[str] = ()) -> list[str]:
    """What to say of a codebook that says next to nothing; empty for one that is in use.

    Args:
        usage: Of any clips; modalities without a step are passed over.
        remedies: More of them, as overrides.
    """
    size, found = usage.size, []
    if not size:
        return []
    for m, counts in zip(usage.modalities, usage.counts.view(-1, usage.levels, size), strict=True):
        shares = counts.amax(1) / counts.sum(1).clamp_min(1)
        spread = perplexity(counts)
        bad = ((shares >= MOST) | (spread < min(FEWEST, size / 2))) & counts.any(1)
        if int(bad.sum()) * 2 > usage.levels:
            percent = f"{100 * float(shares[bad].mean()):.0f} %"
            where = "" if usage.levels == 1 else f" in {int(bad.sum())} of {usage.levels} levels"
            codes = float(spread[bad].mean())
            found.append(
                f"{m} has {percent} of its steps in one code, perplexity {codes:.1f}{where}"
            )
    if int((usage.counts.sum(1) > 0).sum()) > 1 and usage.shared_share < UNSHARED:
        used = int(usage.used().sum())
        found.append(f"{100 * usage.shared_share:.0f} % of the {used} used codes are shared")
    if not found:
        return []
    tried = ", ".join(["a lower optimizer.lr", *remedies])
    return [
        f"the codebook of {size} codes has collapsed: {'; '.join(found)}. Try {tried}, or more "
        "clips and epochs"
    ]
