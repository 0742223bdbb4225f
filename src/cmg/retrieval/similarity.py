"""How alike clips are: the cosine, or the best alignment of two sequences.

Scores are computed in float64 and rounded to what float32 features can tell apart, so that what is
equal in exact arithmetic ties, whatever the order of a sum. Float32 would not do: its noise is a
tenth of the last digit, and as often carries one of two equal scores over the edge.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.precision import full_precision
from cmg.retrieval.representation import Represented

QUERIES_AT_ONCE = 256
DECIMALS = 6


@full_precision
def similarity(queries: Represented, gallery: Represented) -> Tensor:
    """Scores of all pairs, [N, M]; larger is more alike.

    Raises:
        DataError: see :func:`alignment`.
    """
    if queries.by == "sequence":
        return alignment(queries, gallery)
    return (queries.vectors @ gallery.vectors.T).round(decimals=DECIMALS)


@full_precision
def alignment(queries: Represented, gallery: Represented) -> Tensor:
    """The best mean cosine of a query's steps as it slides along a clip, [N, M].

    At offset o step t of the query meets step o + t of the clip; the query lies within the clip.

    Raises:
        DataError: see :func:`refuse_longer`.
    """
    refuse_longer(queries, gallery)
    parts = [
        _aligned(queries.subset(torch.arange(i, min(i + QUERIES_AT_ONCE, len(queries)))), gallery)
        for i in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    return torch.cat(parts).round(decimals=DECIMALS)


def refuse_longer(queries: Represented, gallery: Represented) -> None:
    """Refuse sequences that cannot slide along every clip of a gallery.

    Raises:
        DataError: a query has more steps than a clip of the gallery.
    """
    longest, shortest = int(queries.lengths.max()), int(gallery.lengths.min())
    if longest > shortest:
        query = queries.ids[int(queries.lengths.argmax())]
        clip = gallery.ids[int(gallery.lengths.argmin())]
        raise DataError(
            f"query {query!r} has {longest} steps and clip {clip!r} of the gallery {shortest}: a "
            "query cannot slide along a shorter clip; cut the query, or say --by mean"
        )


def _aligned(queries: Represented, gallery: Represented) -> Tensor:
    best = gallery.vectors.new_full((len(queries), len(gallery)), -torch.inf)
    lengths = queries.lengths.to(best.device)
    steps = queries.vectors.shape[1]
    exists = torch.arange(steps, device=best.device) < lengths[:, None]
    vectors = queries.vectors.to(best) * exists[..., None]
    room = gallery.lengths.to(best.device)[None] - lengths[:, None]  # offsets of each pair
    for offset in range(int(room.max()) + 1):
        part = gallery.vectors[:, offset : offset + steps]
        total = torch.einsum("ntd,mtd->nm", vectors[:, : part.shape[1]], part)
        score = total / lengths[:, None]
        best = torch.where(offset <= room, torch.maximum(best, score), best)
    return best
