"""Recall by instance, mean average precision by class, and what they would be without a model.

Ties count against the query, so that clips that all look alike are no hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RANKS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalScores:
    """What a ranking of a gallery is worth.

    Attributes:
        recall: By k, percent of the queries whose own clip is among the first k.
        chance: By k, the same for a random order: k / M.
        ceiling: By k, the same for a system that knows every clip's class and nothing more; empty
            without classes.
        median_rank: Of a query's own clip, 1 is best.
        map: Mean average precision by class, percent; None without classes.
        map_chance: Expected for a random order.
        queries: N.
        gallery: M.
    """

    recall: dict[int, float]
    chance: dict[int, float]
    ceiling: dict[int, float]
    median_rank: float
    map: float | None
    map_chance: float | None
    queries: int
    gallery: int


def ranks_of(scores: Tensor, own: Tensor) -> Tensor:
    """Rank of every query's own clip, int64 [N], 1 is best.

    Args:
        scores: [N, M].
        own: Where a query's clip is in the gallery, int64 [N].
    """
    return (scores >= scores.gather(1, own[:, None])).sum(1)


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of every query, float64 [N]; NaN where nothing is relevant.

    Args:
        scores: [N, M].
        relevant: bool [N, M].
    """
    # Among equal scores the relevant ones come last: sort by relevance first, then stably by score.
    first = relevant.to(torch.int8).argsort(dim=1, stable=True)
    order = scores.gather(1, first).argsort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, first).gather(1, order).double()
    places = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    precision = hits.cumsum(1) / places
    return (precision * hits).sum(1) / hits.sum(1)


def expected_average_precision(relevant: Tensor, gallery: int) -> Tensor:
    """Average precision of a random order, in expectation, float64.

    At place k a clip is relevant with probability R / M, and then (k - 1)(R - 1) / (M - 1) of the
    clips before it are.

    Args:
        relevant: R, how many clips are relevant.
        gallery: M.
    """
    harmonic = float((1.0 / torch.arange(1, gallery + 1, dtype=torch.float64)).sum())
    others = (relevant.double() - 1) / max(1, gallery - 1)
    return (harmonic + others * (gallery - harmonic)) / gallery


def retrieval_scores(
    scores: Tensor,
    own: Tensor | None = None,
    query_classes: Tensor | None = None,
    gallery_classes: Tensor | None = None,
    ks: Sequence[int] = RANKS,
) -> RetrievalScores:
    """Everything of one direction.

    Args:
        scores: [N, M], larger is more alike.
        own: Where a query's clip is in the gallery, int64 [N]; None: query i's is clip i.
        query_classes: int64 [N], -1 where unknown.
        gallery_classes: int64 [M], -1 where unknown.
        ks: k of R@k.
    """
    n, m = scores.shape
    own = torch.arange(n, device=scores.device) if own is None else own
    ranks = ranks_of(scores, own)
    recall = {k: 100.0 * float((ranks <= k).double().mean()) for k in ks}
    chance = {k: 100.0 * min(1.0, k / m) for k in ks}
    found, ceiling, expected = None, {}, None
    if query_classes is not None and gallery_classes is not None:
        known = query_classes >= 0
        relevant = query_classes[known][:, None] == gallery_classes[None]
        sizes = relevant.sum(1)
        if bool((sizes > 0).any()):
            each = average_precision(scores[known], relevant)[sizes > 0]
            found = 100.0 * float(each.mean())
            expected = 100.0 * float(expected_average_precision(sizes[sizes > 0], m).mean())
            ceiling = {
                k: 100.0 * float((k / sizes[sizes > 0].double()).clamp_max(1.0).mean()) for k in ks
            }
    median = float(ranks.double().quantile(0.5))
    return RetrievalScores(recall, chance, ceiling, median, found, expected, n, m)
