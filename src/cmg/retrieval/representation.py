"""What a clip is compared by, and how alike clips are: the cosine, or the best alignment.

Scores are computed in float64 and rounded to what float32 features can tell apart, so that what is
equal in exact arithmetic ties, whatever the order of a sum. Float32 would not do: its noise is a
tenth of the last digit, and as often carries one of two equal scores over the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from cmg.codebook.measures import levels_of
from cmg.errors import ConfigError, DataError
from cmg.evaluation.encoding import EncodedModality
from cmg.precision import full_precision

By = Literal["mean", "codes", "continuous", "sequence"]
ALL_BY: Final[tuple[By, ...]] = get_args(By)
MEANINGS: Final[dict[By, str]] = {
    "mean": "mean code vector",
    "codes": "code histogram",
    "continuous": "mean semantic feature, not quantized",
    "sequence": "code vectors in their order",
}


@dataclass(frozen=True)
class Represented:
    """Some clips of one modality, ready to be compared.

    Attributes:
        by: What of them.
        vectors: Unit vectors [N, D]; of sequences a unit vector per step, [N, T, D]. Float64, so
            that what is equal in exact arithmetic is equal after rounding; float32 from a file.
        lengths: Steps of each clip, int64 [N].
        ids: Of the clips.
    """

    by: By
    vectors: Tensor
    lengths: Tensor
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, rows: Sequence[int] | Tensor) -> Represented:
        """Some of the clips, in this order."""
        places = torch.as_tensor(rows, dtype=torch.int64)
        ids = tuple(self.ids[i] for i in places.tolist())
        return Represented(self.by, self.vectors[places], self.lengths[places], ids)


def represent(encoded: EncodedModality, by: By, size: int, ids: Sequence[str]) -> Represented:
    """Bring encoded clips to what they are compared by.

    Args:
        encoded: Of one modality; every clip has it.
        by: ``mean``: mean code vector. ``codes``: how often each code occurs. ``continuous``: mean
            of the features before they are quantized. ``sequence``: the code vectors in order.
        size: K; with levels, codes of different levels are counted apart.
        ids: Of the clips.

    Raises:
        ConfigError: by codes of a model without them.
        DataError: a clip without the modality, or with NaN or infinite features.
    """
    mask, lengths = encoded.mask, encoded.mask.sum(1)
    if not bool((lengths > 0).all()):
        lacking = ids[int((lengths == 0).nonzero()[0])]
        raise DataError(f"clip {lacking!r} lacks the modality; leave it out")
    if size == 0 and by != "continuous":
        raise ConfigError(
            f"this model is continuous: it has no codes to compare by {by!r}; use --by continuous"
        )
    if by == "codes":
        found = torch.cat([histogram(x, size, mask) for x in levels_of(encoded.indices)], 1)
    elif by == "sequence":
        found = encoded.codes
    else:
        steps = encoded.codes if by == "mean" else encoded.semantic
        found = (steps.double() * mask[..., None]).sum(1) / lengths[:, None]
    return unit(found, by, lengths, ids)


def histogram(indices: Tensor, size: int, mask: Tensor) -> Tensor:
    """How often each code occurs in each clip, float64 [N, K], of indices [N, T]."""
    counts = torch.zeros(len(mask), size, dtype=torch.float64)
    return counts.scatter_add_(1, indices.clamp_min(0), mask.double())


def unit(vectors: Tensor, by: By, lengths: Tensor, ids: Sequence[str]) -> Represented:
    """Vectors as unit vectors, float64.

    Raises:
        DataError: NaN or infinite values.
    """
    finite = vectors.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        broken = ids[int((~finite).nonzero()[0])]
        raise DataError(
            f"the embedding of clip {broken!r} is NaN or infinite; check its features with "
            "`cmg data verify`"
        )
    return Represented(by, functional.normalize(vectors.double(), dim=-1), lengths, tuple(ids))


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
