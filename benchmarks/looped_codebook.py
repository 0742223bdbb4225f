"""The codebook as a plain script writes it: float64, loops over tokens and codes.

The mathematics of :class:`cmg.codebook.SharedCodebook` on complete batches with aligned partners,
none of its code: the baseline of the ratios in README.md, and a second opinion on the values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from cmg.codebook import SharedCodebook
from cmg.codebook.reset import ResetDraw

Indices = dict[str, list[list[int]]]
"""Code per modality, clip and step."""


class LoopedCodebook:
    """Codes, counts and sums as tensors and lists that loops fill.

    Args:
        book: Where state and options are copied from, with its dtype.

    Attributes:
        codes: [K, D].
        counts: N.
        sums: O, [K, D].
        idle: Steps since each modality last picked each code.
    """

    def __init__(self, book: SharedCodebook) -> None:
        if book.options.ema.partner != "aligned":
            raise ValueError("the looped codebook has the aligned partner only")
        self.options = book.options
        self.modalities = book.modalities
        self.codes = book.codes.clone()
        self.counts: list[float] = book.counts.tolist()
        self.sums = book.sums.clone()
        self.idle: dict[str, list[int]] = dict(
            zip(book.modalities, book.idle.tolist(), strict=True)
        )

    @torch.no_grad()
    def lookup(self, semantic: Mapping[str, Tensor]) -> Indices:
        """The nearest code of every token, one token at a time."""
        indices: Indices = {}
        for m, z in semantic.items():
            indices[m] = []
            for clip in z:
                row = []
                for token in clip:
                    distances = ((self.codes - token) ** 2).sum(1)
                    row.append(int(distances.argmin()))
                indices[m].append(row)
        return indices

    @torch.no_grad()
    def update(self, semantic: Mapping[str, Tensor], indices: Indices, draw: ResetDraw) -> None:
        """MM-EMA, then code reset."""
        self.accumulate(semantic, indices)
        self.revive(semantic, indices, draw)

    def accumulate(self, semantic: Mapping[str, Tensor], indices: Indices) -> None:
        """MM-EMA: counts and sums code by code."""
        new = []
        for m in self.modalities:
            partners = [semantic[n] for n in semantic if n != m]
            mixed = 0.5 * semantic[m] + 0.5 * sum(partners) / len(partners)
            picked = torch.tensor(indices[m]).flatten()
            tokens = mixed.flatten(0, 1)
            counts, sums = [], []
            for k in range(len(self.counts)):
                mine = tokens[picked == k]
                counts.append(float(len(mine)))
                sums.append(mine.sum(0))
            new.append((counts, sums))
        if self.options.ema.update == "joint":
            counts = [sum(n) for n in zip(*(n for n, _ in new), strict=True)]
            sums = [torch.stack(o).sum(0) for o in zip(*(o for _, o in new), strict=True)]
            new = [(counts, sums)]
        for counts, sums in new:
            self.decay(counts, sums)
        self.divide()

    def decay(self, counts: list[float], sums: list[Tensor]) -> None:
        """One moving-average step of N and O."""
        options, size = self.options.ema, len(self.counts)
        gamma = options.decay
        for k in range(size):
            self.counts[k] = gamma * self.counts[k] + (1 - gamma) * counts[k]
            self.sums[k] = gamma * self.sums[k] + (1 - gamma) * sums[k]
        if options.smoothing:
            total = sum(self.counts)
            for k in range(size):
                share = (self.counts[k] + options.epsilon) / (total + size * options.epsilon)
                self.counts[k] = share * total

    def divide(self) -> None:
        """Codes from N and O; without smoothing, a faded code stays."""
        options = self.options.ema
        for k, count in enumerate(self.counts):
            if not options.smoothing and count < options.epsilon:
                self.sums[k] = self.codes[k] * count
            else:
                self.codes[k] = self.sums[k] / count

    def revive(self, semantic: Mapping[str, Tensor], indices: Indices, draw: ResetDraw) -> None:
        """Idle counters token by token, then every stale code on its own."""
        options, size = self.options.reset, len(self.counts)
        for m in self.modalities:
            self.idle[m] = [steps + 1 for steps in self.idle[m]]
            for row in indices[m]:
                for index in row:
                    self.idle[m][index] = 0
        if not options.enabled:
            return
        rule = min if options.rule == "any" else max
        idle = [rule(self.idle[m][k] for m in self.modalities) for k in range(size)]
        stale = [k for k in range(size) if idle[k] > options.patience]
        if options.source == "tokens":
            sources = [z for m in self.modalities for z in semantic[m].flatten(0, 1)]
        else:
            sources = [self.codes[k].clone() for k in range(size) if 0 <= idle[k] < options.active]
        if not stale or not sources:
            return
        picks, noise = draw(len(stale), len(sources), self.codes.shape[1])
        for i, k in enumerate(stale):
            self.codes[k] = sources[int(picks[i])] + noise[i].to(self.codes.dtype)
            for m in self.modalities:
                self.idle[m][k] = 0
            if options.reseed_stats:
                self.counts[k] = 1.0
                self.sums[k] = self.codes[k]


def usage(indices: Indices, size: int) -> dict[str, float]:
    """What a step logs of the codebook."""
    found, used = {}, set()
    for m, rows in indices.items():
        counts = Counter(index for row in rows for index in row)
        total = sum(counts.values())
        entropy = 0.0
        for k in range(size):
            p = counts[k] / total
            entropy -= p * math.log(p + 1e-10)
        found[f"perplexity/{m}"] = math.exp(entropy)
        used |= set(counts)
    found["code_usage"] = len(used) / size
    shares = []
    for a, b in combinations(indices.values(), 2):
        pairs = [(x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)]
        shares.append(sum(x == y for x, y in pairs) / len(pairs))
    found["agreement"] = sum(shares) / len(shares)
    agree = [
        len({commonest(row) for row in rows}) == 1 for rows in zip(*indices.values(), strict=True)
    ]
    found["clip_agreement"] = sum(agree) / len(agree)
    return found


def commonest(row: list[int]) -> int:
    """The most frequent code of a clip, the smallest on a tie."""
    counts = Counter(row)
    return min(counts, key=lambda k: (-counts[k], k))
