"""Multinomial logistic regression with an L2 penalty, by L-BFGS: a head without chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmg.errors import DataError, NonFiniteError
from cmg.masking import mean_over_time
from cmg.precision import full_precision

PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
"""L2 that is chosen from, from strong to weak, each fit starting where the last one ended."""
RISES = 2
"""So often in a row a loss of held-out samples above the least one ends the path, once there was
a better one than the strongest's: the weakest penalties take most of the time, and would only fit
the samples more closely."""
ITERATIONS = 200
TOLERANCE = 1e-5
"""Of the gradient, in units of the loss per unit of a weight on the axes of :func:`descend`."""
ROUGH = 1e-4
"""The same while penalties are compared: held-out losses are then right to about 0.001."""
CURVATURE = 0.25
"""The most by which one probability bends the loss, p (1 - p): what axes are scaled for."""
FLAT = 1e-9
"""Share of the samples' mean square below which an axis is left out: weights on it are held near
zero by the weakest penalty, and steps towards them are what costs."""


class Samples(NamedTuple):
    """Single vectors with their classes.

    Attributes:
        x: [N, F].
        labels: int64 [N].
    """

    x: Tensor
    labels: Tensor


class Fit(NamedTuple):
    """What was found.

    Attributes:
        weight: [classes, F], for inputs as they are.
        bias: [classes].
        l2: The penalty.
        tried: How many penalties were fitted.
    """

    weight: Tensor
    bias: Tensor
    l2: float
    tried: int = 1


class LogisticHead(nn.Module):
    """Logits of clips or of steps that are linear in their features.

    Args:
        weight: [classes, F].
        bias: [classes].
        per_clip: Whether steps are averaged first.
        root: Whether features are square roots of (averaged) probabilities.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, per_clip: bool, root: bool = False) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.per_clip, self.root = per_clip, root

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Classify.

        Args:
            x: [N, T, F].
            mask: Steps that exist, bool [N, T]; None if all do.

        Returns:
            Logits [N, classes] of clips, [N, T, classes] of steps.
        """
        x = vectors_of(x, mask, self.per_clip, self.root)
        return functional.linear(x, self.weight.to(x), self.bias.to(x))


def vectors_of(x: Tensor, mask: Tensor | None, per_clip: bool, root: bool) -> Tensor:
    """What logits are linear in: [N, F] of clips, [N, T, F] of steps; see LogisticHead."""
    pooled = mean_over_time(x, mask) if per_clip else x
    return pooled.clamp_min(0.0).sqrt() if root else pooled


@full_precision
def fit_logistic(
    x: Tensor,
    labels: Tensor,
    classes: int,
    l2: float | Sequence[float] = PENALTIES,
    held_out: Samples | None = None,
) -> Fit:
    """Minimize mean cross-entropy + l2 / 2 * sum of squared weights, biases free, in float64.

    The penalty is on inputs scaled to a mean square of 1, all by one number, so that it means the
    same whatever the features' unit is. Weights are given for inputs as they are.

    Args:
        x: [N, F].
        labels: Class indices, int64 [N].
        classes: How many there are.
        l2: The penalty, or several to choose from, of which the weak ones are not tried after the
            held-out loss was twice in a row above its least, unless that is the strongest's.
        held_out: Whose cross-entropy decides; needed for several. Those of classes without a
            sample to fit are left out: no penalty lets a head know them, and their loss rises the
            surer it is.

    Returns:
        Weights and biases in the dtype of `x`, and the penalty.

    Raises:
        DataError: no sample, or nothing to choose by.
        NonFiniteError: NaN or infinite features.
    """
    grid = [l2] if isinstance(l2, int | float) else sorted(l2, reverse=True)
    if len(labels) == 0 or (len(grid) > 1 and (held_out is None or len(held_out.labels) == 0)):
        raise DataError("a logistic head needs labeled clips to fit, and others to choose l2 by")
    if held_out is not None:
        known = torch.isin(held_out.labels, labels)
        held_out = Samples(held_out.x[known], held_out.labels[known])
        if not known.any():
            raise DataError(
                "all clips that l2 is chosen by are of classes that no other clip has; give "
                "probe.l2, e.g. 0.01, or a data.val_split with the classes of the training split"
            )
    given = x.double()
    if not bool(torch.isfinite(given).all()):
        raise NonFiniteError("features of a head are NaN or infinite")
    scale = given.square().mean().sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    distinct, labels, shares = counted(given / scale, labels)
    axes = principal_axes(distinct, shares)
    weight = axes.x.new_zeros(classes, axes.x.shape[1])
    bias = axes.x.new_zeros(classes)
    best: tuple[float, float, Tensor, Tensor] = (math.inf, float(grid[0]), weight, bias)
    tried = rises = 0
    for penalty in grid if len(grid) > 1 else ():
        assert held_out is not None
        tried += 1
        weight, bias = descend(axes, labels, shares, weight, bias, penalty, ROUGH)
        logits = functional.linear(held_out.x.double(), weight @ axes.back / scale, bias)
        loss = float(functional.cross_entropy(logits, held_out.labels))
        if loss < best[0]:
            best, rises = (loss, float(penalty), weight, bias), 0
        elif best[1] < grid[0]:
            rises += 1
            if rises == RISES:
                break
    _, chosen, weight, bias = best
    weight, bias = descend(axes, labels, shares, weight, bias, chosen, TOLERANCE)
    found = weight @ axes.back / scale
    return Fit(found.to(x.dtype), bias.to(x.dtype), chosen, max(1, tried))


def counted(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fewer samples that give the same fit: those that are alike, once.

    Steps that are read by hard codes are as many vectors as there are codes, however many clips.

    Args:
        x: [N, F], of float64.
        labels: int64 [N].

    Returns:
        Distinct samples [M, F] and their labels [M]; of all samples, the share [M] that each is.
    """
    rows, counts = torch.unique(torch.cat([x, labels[:, None].to(x)], 1), dim=0, return_counts=True)
    return rows[:, :-1], rows[:, -1].long(), counts.to(x) / len(labels)


class Axes(NamedTuple):
    """Samples in a basis of their own.

    Attributes:
        x: [N, R].
        back: [R, F], orthonormal rows, so that the sum of squared weights is the same in both.
        square: [R], the samples' mean square along each.
    """

    x: Tensor
    back: Tensor
    square: Tensor


def principal_axes(x: Tensor, shares: Tensor) -> Axes:
    """Fewer inputs that give the same fit: the directions in which samples lie, see FLAT.

    Args:
        x: [N, F].
        shares: [N], summing to 1.
    """
    rows = None
    if x.shape[1] > x.shape[0]:
        q, r = torch.linalg.qr(x.T)
        x, rows = r.T, q.T
    square, axes = torch.linalg.eigh(x.T @ (shares[:, None] * x))
    kept = square > FLAT * square.sum()
    back = axes[:, kept].T
    return Axes(x @ axes[:, kept], back if rows is None else back @ rows, square[kept])


def descend(
    axes: Axes,
    labels: Tensor,
    shares: Tensor,
    weight: Tensor,
    bias: Tensor,
    penalty: float,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Minimize from `weight` and `bias`, on axes scaled by what the loss may bend along them.

    Returns:
        Weights [classes, R] and biases [classes].
    """
    unit = (CURVATURE * axes.square + penalty).rsqrt()
    x, start = axes.x * unit, (weight / unit, bias)
    scaled, offset = (value.clone().requires_grad_() for value in start)
    solver = torch.optim.LBFGS(
        [scaled, offset],
        max_iter=ITERATIONS,
        tolerance_grad=tolerance,
        tolerance_change=1e-9,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        solver.zero_grad()
        logits = functional.linear(x, scaled, offset)
        fit = torch.dot(shares, functional.cross_entropy(logits, labels, reduction="none"))
        total = fit + 0.5 * penalty * (scaled * unit).square().sum()
        torch.autograd.backward(total)
        return total

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    return scaled.detach() * unit, offset.detach()
