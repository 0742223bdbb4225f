"""Means over the steps that exist."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def mean_over_steps(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of all elements of the existing steps of x [B, T, ...], a scalar.

    Args:
        x: [B, T, ...].
        mask: Bool [B, T] with at least one step; None if every step exists.
    """
    if mask is None:
        return x.mean()
    per_step = x.flatten(2).mean(2) if x.dim() > 2 else x
    return (per_step * mask).sum() / mask.sum()


def existing_steps(x: Tensor, mask: Tensor | None) -> Tensor:
    """The existing steps of x [B, T, ...] one after the other, [N, ...]."""
    return x.flatten(0, 1) if mask is None else x[mask]


def mean_over_time(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the existing steps of every clip, [B, T, F] -> [B, F]; zero without any step."""
    if mask is None:
        return x.mean(1)
    weights = mask.to(x.dtype)[..., None]
    return (x * weights).sum(1) / weights.sum(1).clamp_min(1)


def squared_error(a: Tensor, b: Tensor, mask: Tensor | None) -> Tensor:
    """Mean squared error over the elements of the existing steps, a scalar."""
    if mask is None:
        return F.mse_loss(a, b)
    return mean_over_steps(F.mse_loss(a, b, reduction="none"), mask)
