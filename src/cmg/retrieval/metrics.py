"""Recall by instance, mean average precision by class, and what they would be without a model.

Ties count against the query, so that clips that all look alike are no hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.evaluation.metrics import average_precision

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


@dataclass(frozen=True)
class QueryFigures:
    """What each of some queries found.

    Attributes:
        ranks: Of its own clip, int64 [N].
        precision: Average precision by class, float64 [N]; NaN where it has no class, or no clip
            of the gallery has it.
        relevant: Clips of its class in the gallery, its own included, int64 [N]; 0 as above. None
            without classes.
    """

    ranks: Tensor
    precision: Tensor
    relevant: Tensor | None


def query_figures(
    scores: Tensor,
    own: Tensor,
    query_classes: Tensor | None = None,
    gallery_classes: Tensor | None = None,
) -> QueryFigures:
    """What each query found.

    Args:
        scores: [N, M], larger is more alike.
        own: Where a query's clip is in the gallery, int64 [N].
        query_classes: int64 [N], -1 where unknown.
        gallery_classes: int64 [M], -1 where unknown.

    Raises:
        DataError: NaN scores, which have no rank.
    """
    if bool(scores.isnan().any()):
        raise DataError("a score is NaN, so the clips have no order; check the embeddings")
    ranks = ranks_of(scores, own)
    if query_classes is None or gallery_classes is None:
        return QueryFigures(ranks, torch.full(ranks.shape, torch.nan, dtype=torch.float64), None)
    known = (query_classes >= 0)[:, None]
    relevant = (query_classes[:, None] == gallery_classes[None]) & known
    return QueryFigures(ranks, average_precision(scores, relevant), relevant.sum(1))


def joined(parts: Sequence[QueryFigures]) -> QueryFigures:
    """Figures of several parts of the queries as those of all; at least one part."""
    relevant = [part.relevant for part in parts if part.relevant is not None]
    return QueryFigures(
        torch.cat([part.ranks for part in parts]),
        torch.cat([part.precision for part in parts]),
        torch.cat(relevant) if relevant else None,
    )


def scores_of(found: QueryFigures, gallery: int, ks: Sequence[int] = RANKS) -> RetrievalScores:
    """Everything of one direction.

    The class-perfect ceiling and mAP are over the queries whose class is known and in the gallery.

    Args:
        found: Of all queries.
        gallery: M.
        ks: k of R@k.
    """
    recall = {k: 100.0 * float((found.ranks <= k).double().mean()) for k in ks}
    chance = {k: 100.0 * min(1.0, k / gallery) for k in ks}
    precision, ceiling, expected = None, {}, None
    if found.relevant is not None and bool((found.relevant > 0).any()):
        counted = found.relevant > 0
        sizes = found.relevant[counted]
        precision = 100.0 * float(found.precision[counted].mean())
        expected = 100.0 * float(expected_average_precision(sizes, gallery).mean())
        ceiling = {k: 100.0 * float((k / sizes.double()).clamp_max(1.0).mean()) for k in ks}
    median, queries = float(found.ranks.double().quantile(0.5)), len(found.ranks)
    return RetrievalScores(recall, chance, ceiling, median, precision, expected, queries, gallery)
