"""Lloyd's k-means on the codebook's own distances, for a data-driven start."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.codebook.distances import middle, nearest_code
from cmg.codebook.ema import assign
from cmg.precision import full_precision


@full_precision
def kmeans(features: Tensor, codes: Tensor, iterations: int = 10) -> Tensor:
    """Refine `codes` to centroids of `features`.

    Args:
        features: [N, D].
        codes: Start, [K, D].
        iterations: Lloyd iterations.

    Returns:
        [K, D]. A centroid that loses all features stays where it was.
    """
    center = middle(features)
    for _ in range(iterations):
        indices = nearest_code(features, codes, center)
        counts, sums = assign(indices[None], features[None], codes.shape[0], None)
        moved = sums / counts.clamp_min(1)[:, None]
        codes = torch.where((counts > 0)[:, None], moved, codes)
    return codes
