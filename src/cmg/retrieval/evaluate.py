"""Retrieval in every direction of a split: recall by instance, mAP by class, chance.

Ties count against the query, so that clips that all look alike are no hits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.evaluation.encoding import EncodedModality
from cmg.evaluation.metrics import average_precision
from cmg.evaluation.scores import Score
from cmg.retrieval.representation import By, Represented, refuse_longer, represent, similarity

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


Directions = dict[str, RetrievalScores]
"""By ``query->gallery``."""
SCORES_AT_ONCE = 1 << 22
"""Pairs that are compared at a time; ranking them takes some ten times their memory."""


def paired(encoded: Mapping[str, EncodedModality], a: str, b: str) -> Tensor:
    """Places of the clips that have both modalities, int64."""
    return (encoded[a].present & encoded[b].present).nonzero()[:, 0]


def picked(encoded: EncodedModality, rows: Tensor) -> EncodedModality:
    """Some clips."""
    return EncodedModality(encoded.indices[rows], encoded.semantic[rows], encoded.codes[rows])


def both_sides(
    encoded: Mapping[str, EncodedModality], by: By, size: int, ids: Sequence[str]
) -> Iterator[tuple[str, Represented, Represented, Tensor]]:
    """(direction, queries, gallery, places of the clips) of every ordered pair of modalities.

    Raises:
        DataError: two modalities have no two clips in common, or embeddings that are not finite.
    """
    for query, gallery in permutations(encoded, 2):
        rows = paired(encoded, query, gallery)
        if len(rows) < 2:
            raise DataError(f"{len(rows)} clip(s) have both {query} and {gallery}; at least two")
        names = [ids[i] for i in rows.tolist()]
        sides = [represent(picked(encoded[m], rows), by, size, names) for m in (query, gallery)]
        yield f"{query}->{gallery}", sides[0], sides[1], rows


def evaluate_directions(
    encoded: Mapping[str, EncodedModality],
    by: By,
    size: int,
    ids: Sequence[str],
    classes: Tensor | None = None,
    groups: Sequence[Tensor] | None = None,
) -> tuple[Directions, dict[str, str]]:
    """Scores of all directions.

    Args:
        encoded: Modalities of the same clips.
        by: What clips are compared by.
        size: K.
        ids: Of the clips.
        classes: Of the clips, int64, -1 where unknown; None leaves mAP out.
        groups: Places of the clips of each gallery; scores are the mean over galleries. None is
            one gallery of all.

    Returns:
        Scores by direction, and of the directions that are not defined the reason: a sequence
        cannot slide along a shorter one.

    Raises:
        DataError: see :func:`both_sides`.
    """
    found, undefined = {}, {}
    for direction, queries, gallery, rows in both_sides(encoded, by, size, ids):
        places = [torch.isin(rows, g).nonzero()[:, 0] for g in groups or [rows]]
        sides = [(queries.subset(p), gallery.subset(p), rows[p]) for p in places if len(p) > 1]
        if not sides:
            raise DataError(f"{direction}: no gallery has two clips with both modalities")
        if by == "sequence":
            try:
                for own, others, _ in sides:
                    refuse_longer(own, others)
            except DataError as error:
                undefined[direction] = str(error)
                continue
        found[direction] = mean_scores(
            [
                scores_of_pairs(own, others, None if classes is None else classes[members])
                for own, others, members in sides
            ]
        )
    return found, undefined


def scores_of_pairs(
    queries: Represented, gallery: Represented, classes: Tensor | None = None
) -> RetrievalScores:
    """Scores of a gallery where query i belongs to clip i; some queries at a time.

    Args:
        queries: N clips by one modality.
        gallery: The same clips by another.
        classes: Of the clips, int64 [N], -1 where unknown.

    Raises:
        DataError: see :func:`~cmg.retrieval.representation.similarity`.
    """
    own, parts = torch.arange(len(queries)), []
    at_once = max(1, SCORES_AT_ONCE // len(gallery))
    for first in range(0, len(queries), at_once):
        rows = own[first : first + at_once]
        scores = similarity(queries.subset(rows), gallery)
        known = None if classes is None else classes[rows]
        parts.append(query_figures(scores, rows, known, classes))
    return scores_of(joined(parts), len(gallery))


def mean_scores(parts: Sequence[RetrievalScores]) -> RetrievalScores:
    """Mean over galleries or seeds; numbers of clips are those of the first."""
    first = parts[0]

    def over(name: str) -> dict[int, float]:
        return {k: _mean([getattr(p, name)[k] for p in parts]) for k in getattr(first, name)}

    maps = [p.map for p in parts if p.map is not None]
    expected = [p.map_chance for p in parts if p.map_chance is not None]
    return RetrievalScores(
        over("recall"),
        over("chance"),
        over("ceiling"),
        _mean([p.median_rank for p in parts]),
        _mean(maps) if maps else None,
        _mean(expected) if expected else None,
        first.queries,
        first.gallery,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def figures(scores: RetrievalScores) -> dict[str, float]:
    """What is told of one direction: ``R@k``, ``median rank`` and, with classes, ``mAP``."""
    told = {f"R@{k}": value for k, value in scores.recall.items()}
    told["median rank"] = scores.median_rank
    return told if scores.map is None else told | {"mAP": scores.map}


def chance_figures(scores: RetrievalScores) -> dict[str, float]:
    """The figures of a random order."""
    told = {f"R@{k}": value for k, value in scores.chance.items()}
    return told if scores.map_chance is None else told | {"mAP": scores.map_chance}


def over_seeds(seeds: Sequence[Directions]) -> dict[str, dict[str, Score]]:
    """Mean and spread of every figure of every direction.

    Args:
        seeds: Of models that were trained alike.
    """
    return {
        direction: {
            name: Score.of([figures(found[direction])[name] for found in seeds])
            for name in figures(scores)
        }
        for direction, scores in seeds[0].items()
    }
