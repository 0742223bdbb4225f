"""Distances between features and codes, as matrix products that stay accurate in float32.

The expansion |z - c|^2 = |z|^2 + |c|^2 - 2 z.c turns the work into one matrix product, but as
coded (METHOD of Uni-Code, golden bug 19) it cancels: a feature on a code gave a negative square
and then NaN. Two repairs make it safe. Everything is measured from a center near the features, so
that a common offset does not eat the digits; and squares below their own rounding error are
clamped there, which also cuts their (meaningless) gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cmg.precision import full_precision

# Squares overflow float32 near 1e19 and vanish near 1e-19. Larger and smaller values are scaled
# first, which moves no minimum.
_LARGEST, _SMALLEST = 1e15, 1e-15
_SAMPLE = 64


def middle(points: Tensor) -> Tensor:
    """A point among most of `points` [N, D], wherever a few of them are, [D].

    The median of each coordinate over at most 64 evenly spaced rows: a mean would follow a single
    exploded code or feature so far away that the distances of all the others drowned.
    """
    stride = max(1, points.shape[0] // _SAMPLE)
    return points.detach()[::stride].median(0).values


def _center_and_scale(z: Tensor, codes: Tensor, center: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    z, codes = z - center, codes - center
    with torch.no_grad():
        largest = torch.maximum(z.abs().max(), codes.abs().max())
        scale = (largest / _LARGEST).clamp_min(1.0) * (largest / _SMALLEST).clamp(
            torch.finfo(largest.dtype).tiny, 1.0
        )
    return z / scale, codes / scale, scale


@full_precision
def nearest_code(z: Tensor, codes: Tensor, center: Tensor) -> Tensor:
    """Index of the nearest code by squared Euclidean distance (paper Eq. 3).

    Args:
        z: [N, D].
        codes: [K, D].
        center: [D], a point near the features; any point gives the same answer up to rounding.

    Returns:
        int64 [N]; the smallest index on a tie. Scores of equal codes far apart in the table may
        differ in the last bit, as a matrix product rounds its edge columns on its own.
    """
    z, codes, _ = _center_and_scale(z.detach(), codes, center)
    # |z|^2 is the same for every code and would only add rounding.
    score = torch.addmm((codes * codes).sum(-1), z, codes.T, alpha=-2.0)
    return score.argmin(-1)


class Distance(torch.autograd.Function):
    """Euclidean distances of [N, D] to [K, D]: [N, K]; its gradient (z - c) / |z - c| written out.

    In autograd's pieces the passes over [N, K] took several times the matrix product's time.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, codes: Tensor, center: Tensor) -> Tensor:
        """The expansion, never below the rounding error of its square."""
        z, codes, scale = _center_and_scale(z, codes, center)
        size = (z * z).sum(-1, keepdim=True) + (codes * codes).sum(-1)
        square = torch.addmm(size, z, codes.T, alpha=-2.0)
        info = torch.finfo(z.dtype)
        floor = size.mul_(8.0 * info.eps).clamp_min_(info.tiny)
        noise = square <= floor
        distance = torch.maximum(square, floor, out=square).sqrt_().mul_(scale)
        ctx.save_for_backward(z, codes, scale, distance, noise)
        return distance

    @staticmethod
    @full_precision
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Zero at the floor: the difference is noise there, and so would its gradient be."""
        z, codes, scale, distance, noise = ctx.saved_tensors
        weights = (gradients[0] / distance).masked_fill_(noise, 0.0)
        of_z = of_codes = None
        if ctx.needs_input_grad[0]:
            own = z * weights.sum(1)[:, None]
            of_z = torch.addmm(own, weights, codes, alpha=-1.0) * scale
        if ctx.needs_input_grad[1]:
            own = codes * weights.sum(0)[:, None]
            of_codes = torch.addmm(own, weights.T, z, alpha=-1.0) * scale
        return of_z, of_codes, None


@full_precision
def distance_to_codes(z: Tensor, codes: Tensor) -> Tensor:
    """Euclidean distance of every feature to every code, with a finite gradient everywhere.

    Measured from the middle of the features, see :func:`middle`.

    Args:
        z: [..., D].
        codes: [K, D].

    Returns:
        [..., K].
    """
    center = middle(z.flatten(0, -2))
    found: Tensor = Distance.apply(z.flatten(0, -2), codes, center)  # type: ignore[no-untyped-call]
    return found.view(*z.shape[:-1], -1)


@full_precision
def soft_codes(z: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """Softmax over codes of -distance^2 / (temperature * d).

    |z|^2 is the same for all codes and left out.

    Args:
        z: [..., d].
        codes: [K, d].
        temperature: Above 0.

    Returns:
        [..., K].
    """
    center = middle(codes)
    x, codes = (z - center).flatten(0, -2), codes - center
    scale = temperature * codes.shape[-1]
    score = torch.addmm((codes * codes).sum(-1) / -scale, x, codes.T, alpha=2.0 / scale)
    return score.softmax(-1).view(*z.shape[:-1], -1)


@full_precision
def squared_gap(z: Tensor, codes: Tensor) -> Tensor:
    """Gap between the second-smallest and the smallest squared distance, [N], for diagnostics."""
    if codes.shape[0] < 2:
        return torch.full(z.shape[:1], torch.inf, dtype=z.dtype, device=z.device)
    square = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist").square()
    two = square.topk(2, largest=False).values
    return two[:, 1] - two[:, 0]
