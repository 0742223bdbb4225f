"""Heads on frozen features: trained on one modality, read on another (METHOD section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmg.data.batches import permutation
from cmg.decoders.heads import ClipHead, ProbeOptions, StepHead
from cmg.errors import DataError, NonFiniteError
from cmg.evaluation.metrics import top1_accuracy
from cmg.evaluation.training import descend
from cmg.precision import full_precision
from cmg.process import seeded
from cmg.tensors import check_finite
from cmg.training.seeding import derived_seed

Task = Literal["clip", "step"]
NAMED = 4
"""Classes that a remark names before it counts the others."""


@dataclass(frozen=True)
class Labeled:
    """Features with labels.

    Attributes:
        features: [N, T, D].
        mask: Steps that exist, bool [N, T].
        labels: int64 [N] (clip) or [N, T] (step), -1 where unlabeled.
        classes: Number of classes.
    """

    features: Tensor
    mask: Tensor
    labels: Tensor
    classes: int

    @property
    def task(self) -> Task:
        """Whether clips or steps are labeled."""
        return "clip" if self.labels.dim() == 1 else "step"

    def usable(self) -> Labeled:
        """The clips that have the modality and a label; steps it lacks count as unlabeled.

        Raises:
            DataError: there is none.
        """
        labels = self.labels
        if self.task == "clip":
            keep = self.mask.any(1) & (labels >= 0)
        else:
            labels = labels.masked_fill(~self.mask, -1)
            keep = (labels >= 0).any(1)
        if not bool(keep.any()):
            raise DataError("no clip has both this modality and a label; label some clips first")
        return Labeled(self.features[keep], self.mask[keep], labels[keep], self.classes)


@full_precision
def train_head(data: Labeled, options: ProbeOptions, seed: int) -> nn.Module:
    """Train a head by cross-entropy.

    Args:
        data: Labeled features of one modality.
        options: Epochs, batch size, learning rate.
        seed: Of the initial weights and the order of the clips.

    Returns:
        A :class:`ClipHead` or :class:`StepHead`, in eval mode.

    Raises:
        DataError: no labeled clip, or labels of a single class.
        NonFiniteError: the head diverged; it would call everything the first class.
    """
    data = data.usable()
    seen = torch.unique(data.labels[data.labels >= 0])
    if len(seen) < 2:
        raise DataError(
            f"all labels are of one class (index {int(seen[0])}); a head needs two or more classes"
        )
    with seeded(derived_seed(seed, "head")):
        head = build_head(data, options)

    def loss(chosen: Tensor) -> Tensor:
        logits, labels = head(data.features[chosen], data.mask[chosen]), data.labels[chosen]
        return functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=-1)

    # Modules and a fused Adam of their own, not a stack: the last bits of earlier results.
    adam = torch.optim.Adam(head.parameters(), lr=options.lr, fused=True)
    for epoch in range(options.epochs):
        order = torch.from_numpy(permutation(len(data.labels), seed, epoch))
        descend(adam, map(loss, torch.split(order, options.batch_size)))
    check_finite(head.state_dict(), "the head", "lower probe.lr", NonFiniteError)
    return head.eval()


def unseen_classes(train: Tensor, test: Tensor, classes: Sequence[str]) -> str | None:
    """What to say of test clips or steps whose class no head can know; None if there are none.

    Args:
        train: Class indices int64 [N] or [N, T], -1 where unknown; or of several classes per step,
            0 and 1, [N, T, C].
        test: Likewise.
        classes: Names.
    """
    what = "clips" if train.dim() == 1 else "steps"
    if train.dim() < 3:
        train, test = train[train >= 0], test[test >= 0]
        unseen = ~torch.bincount(train, minlength=len(classes)).bool()
        alone = unseen[test]
        missing = torch.unique(test[alone])
    else:
        unseen = ~(train > 0).flatten(0, 1).any(0)
        test = test[(test >= 0).all(2)]
        alone = (test[:, unseen] > 0).any(1)
        missing = ((test > 0).any(0) & unseen).nonzero()[:, 0]
    if not bool(alone.any()):
        return None
    named = ", ".join(repr(classes[i]) for i in missing[:NAMED].tolist())
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return (
        f"{int(alone.sum())} of {len(alone)} test {what} have classes without a training "
        f"{what[:-1]} ({named}{more}), which no head can name"
    )


def build_head(data: Labeled, options: ProbeOptions) -> nn.Module:
    """An untrained head that fits the data's task."""
    width = data.features.shape[-1]
    head: nn.Module
    if data.task == "clip":
        head = ClipHead(width, data.classes, options.pooling)
    else:
        head = StepHead(width, data.classes)
    return head.to(data.features.dtype)


@torch.no_grad()
@full_precision
def accuracy(head: nn.Module, data: Labeled) -> float:
    """Top-1 accuracy in percent over the labeled clips or steps.

    Raises:
        DataError: no labeled clip.
    """
    data = data.usable()
    known = data.labels >= 0
    return 100.0 * top1_accuracy(head(data.features, data.mask)[known], data.labels[known])
