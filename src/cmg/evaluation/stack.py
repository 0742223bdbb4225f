"""Several heads of one shape as one, so that seeds and directions train together; their losses.

:class:`cmg.decoders.heads.ClipHead` and :class:`~cmg.decoders.heads.StepHead` say what a head
computes; a stack of M of them computes the same with batched products. Their first layer is linear
and acts on one step, so on codes it is applied to the K codes and not to the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmg.decoders.heads import ClipHead, StepHead
from cmg.precision import full_precision

Head = ClipHead | StepHead


@dataclass(frozen=True)
class HeadStack:
    """M heads of one shape.

    Attributes:
        pools: Whether they read clips (:class:`ClipHead` with maximum pooling) and not steps.
        hidden: Weights of the first layer, [M, D, D].
        hidden_bias: [M, D].
        classifier: Weights of the second layer, [M, C, D].
        classifier_bias: [M, C].
        alpha: ExpLog weights of every class, [M, C], or None.
    """

    pools: bool
    hidden: Tensor
    hidden_bias: Tensor
    classifier: Tensor
    classifier_bias: Tensor
    alpha: Tensor | None = None

    @classmethod
    def of(cls, heads: Sequence[Head], alpha: float | None = None) -> HeadStack:
        """The stack of some heads; gradients reach the heads' weights.

        Args:
            heads: All :class:`ClipHead` with maximum pooling, or all :class:`StepHead`.
            alpha: Value of the ExpLog weights; None without ExpLog.
        """
        bias = torch.stack([h.classifier.bias for h in heads])
        return cls(
            isinstance(heads[0], ClipHead),
            torch.stack([h.linear.weight for h in heads]),
            torch.stack([h.linear.bias for h in heads]),
            torch.stack([h.classifier.weight for h in heads]),
            bias,
            None if alpha is None else torch.full_like(bias, alpha),
        )

    @property
    def weights(self) -> list[Tensor]:
        """The heads' own weights, without alpha."""
        return [self.hidden, self.hidden_bias, self.classifier, self.classifier_bias]

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that is trained."""
        return self.weights if self.alpha is None else [*self.weights, self.alpha]

    def leaves(self, device: torch.device) -> HeadStack:
        """A copy on a device, to be trained."""
        copies = [x.detach().to(device, copy=True).requires_grad_() for x in self.parameters]
        return HeadStack(self.pools, *copies)

    def __len__(self) -> int:
        """M."""
        return self.hidden.shape[0]

    @full_precision
    def of_codes(self, table: Tensor, codes: Tensor) -> Tensor:
        """Logits of clips given as codes.

        Args:
            table: Code vectors, [K, D].
            codes: int64 [M, B, T], see :func:`whole_clips` for steps that do not exist.

        Returns:
            [M, B, C], or [M, B, T, C] where the heads read steps.
        """
        hidden = self._hidden(table.expand(len(self), -1, -1))
        rows = torch.arange(len(self), device=codes.device)[:, None, None] * table.shape[0] + codes
        if self.pools:
            pooled = F.embedding_bag(rows.flatten(0, 1), hidden.flatten(0, 1), mode="max")
            return self._classified(pooled.view(*codes.shape[:2], -1))
        logits = self._classified(hidden)
        return F.embedding(rows, logits.flatten(0, 1))

    @full_precision
    def of_vectors(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits of clips given as vectors.

        Args:
            x: [M, B, T, D].
            mask: Steps that exist, bool [M, B, T].

        Returns:
            [M, B, C], or [M, B, T, C] where the heads read steps.
        """
        hidden = self._hidden(x.flatten(1, 2)).view(x.shape)
        if not self.pools:
            return self._classified(hidden.flatten(1, 2)).view(*x.shape[:3], -1)
        lowest = torch.finfo(hidden.dtype).min
        return self._classified(hidden.masked_fill(~mask[..., None], lowest).amax(2))

    def only(self, index: int) -> HeadStack:
        """A stack of one of the heads, a copy without gradients and without alpha."""
        one = (x[index : index + 1].detach().clone() for x in self.weights)
        return HeadStack(self.pools, *one)

    def clip_gradients(self, limit: float, alpha: bool) -> None:
        """Scale every head's gradient down to a norm of `limit`, each head on its own.

        Args:
            limit: Largest norm.
            alpha: Whether the ExpLog weights are clipped too, by a norm of their own.
        """
        groups = [self.weights]
        if alpha and self.alpha is not None:
            groups.append([self.alpha])
        for group in groups:
            gradients = [p.grad for p in group if p.grad is not None]
            norm = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
            scale = (limit / (norm + 1e-6)).clamp_max(1.0)  # torch's clip_grad_norm_
            for g in gradients:
                g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))

    def _hidden(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.hidden_bias[:, None], x, self.hidden.mT)

    def _classified(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.classifier_bias[:, None], x, self.classifier.mT)


def whole_clips(codes: Tensor) -> Tensor:
    """Codes without -1: a step that does not exist repeats the clip's first one.

    The maximum over time is the same with a step repeated, and heads that read steps leave these
    steps out of loss and metrics.

    Args:
        codes: int64 [..., T]; every clip has its first step.
    """
    return torch.where(codes < 0, codes[..., :1], codes)


@full_precision
def clip_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy, the mean over the clips, summed over the heads.

    Args:
        logits: [M, B, C].
        classes: int64 [M, B].
    """
    total = F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="sum")
    return total / logits.shape[1]


@full_precision
def step_loss(logits: Tensor, targets: Tensor, alpha: Tensor, mask: Tensor | None) -> Tensor:
    """BCE plus ExpLog, means over the steps that count, summed over the heads.

    Args:
        logits: [M, B, T, C].
        targets: 0 or 1, [M, B, T, C].
        alpha: ExpLog weights, [M, C].
        mask: Steps that count, bool [M, B, T]; None if all do.
    """
    if mask is None:
        return len(logits) * torch.stack(step_terms(logits, targets, alpha[:, None, None])).sum()
    total = logits.new_zeros(())
    for one, wanted, weights, counts in zip(logits, targets, alpha, mask, strict=True):
        total = total + torch.stack(step_terms(one[counts], wanted[counts], weights)).sum()
    return total


@full_precision
def step_terms(logits: Tensor, targets: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """BCE with logits, the mean over all cells, and ExpLog, the mean over all steps.

    Args:
        logits: [..., C].
        targets: 0 or 1, [..., C].
        alpha: ExpLog weights, [C], or whatever the logits can be scaled with.
    """
    bce = F.binary_cross_entropy_with_logits(logits, targets)
    return bce, exp_log_loss(logits, targets, alpha)


@full_precision
def exp_log_loss(logits: Tensor, targets: Tensor, alpha: Tensor) -> Tensor:
    """Weighted cross-entropy: - mean over segments of sum_c y_c log_softmax_c exp(-alpha_c).

    As coded the softmax runs over all classes although several may be present in a segment, and
    nothing bounds alpha. The gradient of alpha is never positive, so training raises alpha and
    fades the term out.

    Args:
        logits: [..., C], background included; everything but the last axis is segments.
        targets: 0 or 1 per segment and class, [..., C].
        alpha: [C], or whatever the logits can be scaled with, e.g. [M, 1, 1, C] for M heads.

    Returns:
        A scalar.
    """
    weighted = targets * logits.log_softmax(-1) * torch.exp(-alpha)
    return -weighted.sum(-1).mean()
