"""Lloyd's k-means on the codebook's own distances, for a data-driven start."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cmg.codebook.distances import middle, nearest_code
from cmg.codebook.ema import assign
from cmg.precision import full_precision


@full_precision
def kmeans(
    features: Tensor,
    codes: Tensor,
    iterations: int = 10,
    compared: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """Refine `codes` to centroids of `features`.

    Args:
        features: [N, D].
        codes: Start, [K, D].
        iterations: Lloyd iterations.
        compared: What of features and codes decides which is the nearest.

    Returns:
        [K, D]. A centroid that loses all features stays where it was.
    """
    directed = compared(features)
    center = middle(directed)
    for _ in range(iterations):
        indices = nearest_code(directed, compared(codes), center)
        counts, sums = assign(indices[None], features[None], codes.shape[0], None)
        moved = sums / counts.clamp_min(1)[:, None]
        codes = torch.where((counts > 0)[:, None], moved, codes)
    return codes
