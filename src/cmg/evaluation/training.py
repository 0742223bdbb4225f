"""Training heads on frozen features, all heads of one shape at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cmg.data.batches import permutation
from cmg.decoders.heads import ClipHead, StepHead
from cmg.evaluation.features import CodeFeatures, Features, Readable, compacted
from cmg.evaluation.stack import Head, HeadStack, clip_loss, step_loss
from cmg.options import Options
from cmg.precision import no_autocast
from cmg.process import seeded
from cmg.training.seeding import derived_seed


class HeadOptions(Options):
    """How a head is trained; the defaults are those of the release.

    Attributes:
        epochs: The epoch to stop before.
        first_epoch: The epoch to begin with. As coded, heads go on counting where pre-training
            stopped, so a late checkpoint gets fewer epochs.
        batch_size: Clips per step.
        lr: Of Adam.
        least_steps: Where `epochs` make fewer steps, because there are few clips, epochs and
            milestones are stretched to make this many.
        milestones: Epochs after which the rate is multiplied by `decay`, counted from the first
            epoch that is run.
        decay: See `milestones`.
        clip: Largest norm of a head's gradient.
        clip_alpha: Whether the gradient of the ExpLog weights is clipped too.
        alpha: Start of the ExpLog weights.
    """

    epochs: int = Field(30, ge=1)
    first_epoch: int = Field(0, ge=0)
    least_steps: int = Field(0, ge=0)
    batch_size: int = Field(80, ge=1)
    lr: float = Field(4e-4, gt=0.0)
    milestones: tuple[int, ...] = (10, 20, 30)
    decay: float = Field(0.5, gt=0.0)
    clip: float = Field(0.5, gt=0.0)
    clip_alpha: bool = False
    alpha: float = 0.1

    def stretched(self, clips: int) -> HeadOptions:
        """These options with as many epochs as `clips` training clips need."""
        planned = (self.epochs - self.first_epoch) * math.ceil(clips / self.batch_size)
        if planned >= self.least_steps:
            return self
        factor = math.ceil(self.least_steps / planned)
        return self.model_copy(
            update={
                "epochs": self.first_epoch + factor * (self.epochs - self.first_epoch),
                "milestones": tuple(factor * epoch for epoch in self.milestones),
            }
        )


@dataclass(frozen=True)
class Watch:
    """Clips that a head is read on after every epoch, to keep its weights of one epoch.

    Attributes:
        features: Of the clips.
        score: Score of logits; larger is better.
        keep: Which epoch: the ``best`` (the first of equals), or the ``last``.
    """

    features: Readable
    score: Callable[[Tensor], float]
    keep: Literal["best", "last"] = "best"


@dataclass
class Kept:
    """A head as it was after one epoch.

    Attributes:
        head: Its weights then.
        epoch: That epoch.
        scores: Score of every epoch, by epoch.
    """

    head: HeadStack
    epoch: int
    scores: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadJob:
    """One head to train.

    Attributes:
        seed: Of initial weights, order of the clips, and dropout.
        features: Of N clips.
        labels: int64 [N], all known; or 0 and 1 per step and class, [N, T, C], -1 at steps that
            are unlabeled or do not exist.
        classes: C.
        watches: By name, at least one.
    """

    seed: int
    features: Features
    labels: Tensor
    classes: int
    watches: Mapping[str, Watch]

    @property
    def shape(self) -> tuple[object, ...]:
        """Jobs of one shape can be trained together."""
        read = self.features
        return (type(read), read.width, *read.mask.shape, *self.labels.shape[1:])

    def new_head(self, dtype: torch.dtype) -> Head:
        """The untrained head."""
        with seeded(derived_seed(self.seed, "head")):
            kind = ClipHead if self.labels.dim() == 1 else StepHead
            return kind(self.features.width, self.classes).to(dtype)


def train_heads(
    jobs: Sequence[HeadJob],
    options: HeadOptions,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[dict[str, Kept]]:
    """Train heads; those of one shape in one go, which changes no head's numbers.

    Args:
        jobs: What to train.
        options: For all of them.
        dtype: Of the heads.
        device: Of the heads and their features.
        progress: Called after every epoch with how many are done, and of how many.

    Returns:
        For every job the head that each of its watches keeps.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, job in enumerate(jobs):
        groups.setdefault(job.shape, []).append(index)
    kept: dict[int, dict[str, Kept]] = {}
    plans = [options.stretched(len(jobs[members[0]].labels)) for members in groups.values()]
    total = sum(plan.epochs - plan.first_epoch for plan in plans)
    done = count(1)
    where = torch.device(device)
    for members, plan in zip(groups.values(), plans, strict=True):
        with no_autocast(where.type):
            found = _train_group(
                [jobs[i] for i in members],
                plan,
                dtype,
                where,
                lambda: progress(next(done), total),
            )
        kept |= dict(zip(members, found, strict=True))
    return [kept[i] for i in range(len(jobs))]


def _train_group(
    jobs: Sequence[HeadJob],
    options: HeadOptions,
    dtype: torch.dtype,
    device: torch.device,
    after_epoch: Callable[[], None],
) -> list[dict[str, Kept]]:
    by_step = jobs[0].labels.dim() > 1
    heads = [job.new_head(dtype) for job in jobs]
    stack = HeadStack.of(heads, options.alpha if by_step else None).leaves(device)
    batches = _Batches(jobs, dtype, device)
    optimizer = torch.optim.Adam(stack.parameters, lr=options.lr)
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, list(options.milestones), options.decay
    )
    kept: list[dict[str, Kept]] = [{} for _ in jobs]
    clip = partial(stack.clip_gradients, options.clip, options.clip_alpha)
    for epoch in range(options.first_epoch, options.epochs):
        chosen = batches.epoch(epoch, options.batch_size)
        descend(optimizer, (batches.loss(stack, some, step) for step, some in chosen), clip)
        schedule.step()
        for index, job in enumerate(jobs):
            _watch(stack.only(index), job, kept[index], epoch)
        after_epoch()
    return kept


def descend(
    optimizer: torch.optim.Optimizer,
    losses: Iterable[Tensor],
    clip: Callable[[], None] = lambda: None,
) -> None:
    """An epoch of training any head: losses are computed when asked for, gradients clipped."""
    for loss in losses:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        clip()
        optimizer.step()


@torch.no_grad()
def _watch(head: HeadStack, job: HeadJob, kept: dict[str, Kept], epoch: int) -> None:
    for name, watch in job.watches.items():
        score = watch.score(watch.features.read(head))
        before = kept.get(name)
        if before is None:
            kept[name] = Kept(head, epoch, {epoch: score})
            continue
        if watch.keep == "last" or score > before.scores[before.epoch]:
            before.head, before.epoch = head, epoch
        before.scores[epoch] = score


class _Batches:
    """The batches of several jobs side by side."""

    def __init__(self, jobs: Sequence[HeadJob], dtype: torch.dtype, device: torch.device) -> None:
        self.seeds = [job.seed for job in jobs]
        self.dtype = dtype
        self.device = device
        self.labels = [job.labels.to(device) for job in jobs]
        codes = [job.features for job in jobs if isinstance(job.features, CodeFeatures)]
        self.features = compacted(codes) if codes else [job.features for job in jobs]
        table = self.features[0].table
        self.table = None if table is None else table.to(dtype)
        self.masks = [job.features.mask.to(device) for job in jobs]
        known = [(x >= 0).all(-1) for x in self.labels] if self.by_step else self.masks
        counts = [a & b for a, b in zip(known, self.masks, strict=True)]
        self.counts = None if all(bool(c.all()) for c in counts) else counts

    @property
    def by_step(self) -> bool:
        """Whether heads read steps."""
        return self.labels[0].dim() > 1

    def epoch(self, epoch: int, batch_size: int) -> Iterator[tuple[int, list[Tensor]]]:
        """(number of the step, every job's clips) of an epoch; every job has its own order."""
        count = len(self.labels[0])
        orders = [
            torch.split(
                torch.from_numpy(permutation(count, seed, epoch)).to(self.device), batch_size
            )
            for seed in self.seeds
        ]
        for index in range(len(orders[0])):
            yield epoch * len(orders[0]) + index, [order[index] for order in orders]

    def loss(self, stack: HeadStack, chosen: Sequence[Tensor], step: int) -> Tensor:
        """Sum of the jobs' losses, on a batch each."""
        labels = _chosen(self.labels, chosen)
        logits = self._logits(stack, chosen, step)
        if not self.by_step:
            return clip_loss(logits, labels)
        assert stack.alpha is not None
        counts = None if self.counts is None else _chosen(self.counts, chosen)
        return step_loss(logits, labels.to(self.dtype), stack.alpha, counts)

    def _logits(self, stack: HeadStack, chosen: Sequence[Tensor], step: int) -> Tensor:
        each = zip(self.features, chosen, self.seeds, strict=True)
        picked = torch.stack([features.pick(c, seed, step) for features, c, seed in each])
        if self.table is not None:
            return stack.of_codes(self.table, picked)
        return stack.of_vectors(picked.to(self.dtype), _chosen(self.masks, chosen))


def _chosen(tensors: Sequence[Tensor], chosen: Sequence[Tensor]) -> Tensor:
    return torch.stack([x[c] for x, c in zip(tensors, chosen, strict=True)])
