"""What the segmentation model is trained by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from cmg.precision import full_precision

MaskPooling = Literal["avg", "max"]
SMALLEST = 1e-6


@full_precision
def first_frame_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of the first frame of every clip [as coded].

    Args:
        logits: [B, T, S, S].
        masks: bool or 0 and 1, [B, M, S, S]; only the first frame's mask is read.
    """
    return functional.binary_cross_entropy_with_logits(logits[:, 0], masks[:, 0].to(logits.dtype))


@full_precision
def matching_loss(
    logits: Tensor,
    maps: Sequence[Tensor],
    queries: Sequence[Tensor],
    pooling: MaskPooling = "avg",
) -> Tensor:
    """Masked-feature matching: the query should look like what is inside the predicted mask.

    -log(relu(cos(query, mean feature inside the mask)) + 1e-6), mean over all frames, then over
    stages. The mask is the sigmoid map pooled to the stage's size and cut at 0.5, without gradient;
    an empty mask gives the zero vector, hence cosine 0.

    Args:
        logits: [B, T, S, S].
        maps: Of every chosen stage, [B, C, T, H, W].
        queries: Of every chosen stage, in the stage's channels, [B, T, C].
        pooling: How the map is brought to the stage's size.
    """
    terms = []
    probability = torch.sigmoid(logits.detach())
    for x, query in zip(maps, queries, strict=True):
        size = (x.shape[3], x.shape[4])
        if pooling == "avg":
            pooled = functional.adaptive_avg_pool2d(probability, size)
        else:
            pooled = functional.adaptive_max_pool2d(probability, size)
        inside = (pooled > 0.5).to(x.dtype)  # [B, T, H, W]
        count = inside.sum((2, 3)).clamp_min(1.0)[..., None]
        mean = torch.einsum("bcthw,bthw->btc", x, inside) / count
        cosine = functional.cosine_similarity(query.to(x.dtype), mean, dim=2)
        terms.append(-torch.log(functional.relu(cosine) + SMALLEST).mean())
    return torch.stack(terms).mean()
