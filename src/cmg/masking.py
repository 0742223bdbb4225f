"""Means over the steps that exist, or over some that are drawn to stand for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class DrawnSteps:
    """Some steps of every clip that stand for all of them.

    Of a clip of n steps, min(n, P) are drawn without replacement, each as likely as the others, and
    weigh n / min(n, P) (Horvitz-Thompson): a sum over steps has the full one for its mean over
    draws, and the weights of a clip add up to n.

    Attributes:
        index: int64 [B, P], the drawn steps of a clip in their order.
        weights: float64 [B, P]; 0 where a clip has fewer steps.
    """

    index: Tensor
    weights: Tensor

    @classmethod
    def of(cls, index: Tensor, lengths: Tensor) -> DrawnSteps:
        """With the weights of steps `index` [B, P] of clips of `lengths` [B] steps."""
        lengths = lengths[:, None]
        weight = lengths.double() / lengths.clamp(1, index.shape[1])
        return cls(index, torch.where(index < lengths, weight, 0.0))

    @classmethod
    def draw(
        cls, lengths: Tensor, length: int, count: int, generator: torch.Generator
    ) -> DrawnSteps:
        """At most `count` < `length` steps of clips of `lengths` [B], padded to `length`."""
        order = torch.rand(len(lengths), length, generator=generator, dtype=torch.float64)
        order += torch.arange(length) >= lengths[:, None]  # padding comes after what exists
        return cls.of(order.argsort(1)[:, :count].sort(1).values, lengths)

    def to(self, device: torch.device | str) -> DrawnSteps:
        """These, on a device."""
        moved = (x.to(device, non_blocking=True) for x in (self.index, self.weights))
        return DrawnSteps(*moved)

    def of_clips(self, rows: Tensor) -> DrawnSteps:
        """Those of the clips `rows`."""
        return DrawnSteps(self.index[rows], self.weights[rows])

    def at(self, x: Tensor) -> Tensor:
        """[B, T, ...] at these steps, [B, P, ...]."""
        first = torch.arange(len(x), device=x.device)[:, None] * x.shape[1]
        found = x.flatten(0, 1).index_select(0, (first + self.index).flatten())
        return found.view(*self.index.shape, *x.shape[2:])


Drawn = Mapping[str, DrawnSteps]
"""The steps that were drawn, by modality; of others all are meant."""
ALL_STEPS: Drawn = MappingProxyType({})


def at_steps(x: Tensor, drawn: DrawnSteps | None) -> Tensor:
    """[B, T, ...] at the drawn steps, [B, P, ...]; x itself where none were drawn."""
    return x if drawn is None else drawn.at(x)


def step_weights(mask: Tensor | None, drawn: DrawnSteps | None) -> Tensor | None:
    """What means take for their mask: that of the steps that exist, or the drawn ones' weights."""
    return mask if drawn is None else drawn.weights


def mean_over_steps(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of all elements of the existing steps of x [B, T, ...], a scalar.

    Args:
        x: [B, T, ...].
        mask: Bool [B, T] with at least one step, or weights; None if every step exists.
    """
    if mask is None:
        return x.mean()
    per_step = x.flatten(2).mean(2) if x.dim() > 2 else x
    weights = mask.to(x.dtype)
    return (per_step * weights).sum() / weights.sum()


def existing_steps(x: Tensor, mask: Tensor | None) -> Tensor:
    """The existing steps of x [B, T, ...] one after the other, [N, ...]."""
    return x.flatten(0, 1) if mask is None else x[mask]


def mean_over_time(x: Tensor, mask: Tensor | None, count: Tensor | None = None) -> Tensor:
    """Mean over the existing steps of every clip, [B, T, F] -> [B, F]; zero without any step.

    Args:
        x: [B, T, F].
        mask: Bool [B, T], or weights; None if every step exists.
        count: [B], steps that the mean is of, where weights only add up to them on average.
    """
    if mask is None:
        return x.mean(1)
    weights = mask.to(x.dtype)[..., None]
    total = weights.sum(1) if count is None else count.to(x.dtype)[:, None]
    return (x * weights).sum(1) / total.clamp_min(1)


def squared_error(a: Tensor, b: Tensor, mask: Tensor | None) -> Tensor:
    """Mean squared error over the elements of the existing steps, a scalar."""
    if mask is None:
        return F.mse_loss(a, b)
    return mean_over_steps(F.mse_loss(a, b, reduction="none"), mask)
