"""Finding a clip by another modality of it: recall among the clips of a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from cmg.evaluation.encoding import EncodedModality

RANKS = (1, 5, 10)


def mean_code(encoded: EncodedModality) -> Tensor:
    """The mean code vector of every clip, [N, D]."""
    steps = encoded.mask.sum(1, keepdim=True).clamp_min(1)
    return encoded.codes.sum(1) / steps


def ranks_of(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rank of the gallery's clip i for query i, by cosine: int64 [N], 1 is best.

    Ties count against the query, so that equal clips are no hits.

    Args:
        queries: [N, D].
        gallery: [N, D].
    """
    unit = [functional.normalize(x.double(), dim=1) for x in (queries, gallery)]
    # What is equal in exact arithmetic has to tie, whatever the order of a sum.
    score = (unit[0] @ unit[1].T * 1e9).round()
    return (score >= score.diagonal()[:, None]).sum(1)


def recall(
    encoded: Mapping[str, EncodedModality], groups: Sequence[Tensor], ranks: Sequence[int] = RANKS
) -> dict[str, dict[str, float]]:
    """Recall of every modality's clips by every other modality, mean over galleries.

    Args:
        encoded: Modalities of the same clips.
        groups: Indices of the clips of each gallery.
        ranks: k of R@k.

    Returns:
        By ``query->gallery``: ``R@k`` in percent and ``chance R@k``, k of the gallery's size.
    """
    vectors = {m: mean_code(one) for m, one in encoded.items()}
    found: dict[str, dict[str, float]] = {}
    for query, gallery in permutations(vectors, 2):
        row = {}
        for k in ranks:
            hits, chance = [], []
            for chosen in groups:
                place = ranks_of(vectors[query][chosen], vectors[gallery][chosen])
                hits.append((place <= k).double().mean() * 100)
                chance.append(min(1.0, k / len(chosen)) * 100)
            row[f"R@{k}"] = float(torch.stack(hits).mean())
            row[f"chance R@{k}"] = sum(chance) / len(chance)
        found[f"{query}->{gallery}"] = row
    return found
