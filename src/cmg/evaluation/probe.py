"""Heads on frozen features: trained on one modality, read on another (METHOD section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmg.config.schema import ProbeOptions
from cmg.data.batches import permutation
from cmg.decoders.heads import ClipHead, StepHead
from cmg.errors import DataError
from cmg.evaluation.metrics import top1_accuracy
from cmg.precision import full_precision
from cmg.process import seeded
from cmg.training.seeding import derived_seed

Task = Literal["clip", "step"]


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
    """
    data = data.usable()
    seen = torch.unique(data.labels[data.labels >= 0])
    if len(seen) < 2:
        raise DataError(
            f"all labels are of one class (index {int(seen[0])}); a head needs two or more classes"
        )
    with seeded(derived_seed(seed, "head")):
        head = build_head(data, options)
    optimizer = torch.optim.Adam(head.parameters(), lr=options.lr, fused=True)
    for epoch in range(options.epochs):
        order = torch.from_numpy(permutation(len(data.labels), seed, epoch))
        for chosen in torch.split(order, options.batch_size):
            logits = head(data.features[chosen], data.mask[chosen])
            loss = functional.cross_entropy(
                logits.flatten(0, -2), data.labels[chosen].flatten(), ignore_index=-1
            )
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
    return head.eval()


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
