"""What a benchmark trains on, selects by and tests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.labels import clip_classes
from cmg.data.manifest import ClipRow
from cmg.data.source import Split, members
from cmg.errors import DataError, did_you_mean
from cmg.tasks.frozen import FrozenSource
from cmg.tasks.training import HeadOptions

Protocol = Literal["published", "clean"]
MODALITIES = ("video", "audio")


@dataclass(frozen=True)
class Side:
    """Labeled clips of one modality of a source.

    Attributes:
        source: Where they are from.
        modality: Name of the modality.
        label: Name of the label.
        clips: Positions in the source's rows, int64 [N]; all of them have modality and label.
    """

    source: FrozenSource
    modality: str
    label: str
    clips: NDArray[np.int64]

    @cached_property
    def rows(self) -> list[ClipRow]:
        """The clips' rows."""
        return [self.source.source.rows[i] for i in self.clips]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the label."""
        return self.source.source.labels[self.label].classes

    @property
    def video_ids(self) -> list[str]:
        """What identifies the clips' videos across data sets."""
        return [video_id(row) for row in self.rows]

    def raw_labels(self) -> Tensor:
        """int64 [N], or float32 [N, T, C] for a multiple label; see :meth:`Split.labels`."""
        return Split(self.source.source, self.label, self.clips).labels(self.label)

    def clip_labels(self) -> tuple[Tensor, tuple[str, ...]]:
        """One class per clip, int64 [N], and the classes' names.

        From labels per step the release takes the largest index over time [as coded].
        """
        labels = self.raw_labels()
        if labels.dim() == 1:
            return labels, self.classes
        return clip_classes(labels), self.classes[:-1]

    def subset(self, keep: Iterable[bool]) -> Side:
        """Some of the clips."""
        chosen = self.clips[np.fromiter(keep, dtype=bool, count=len(self.clips))]
        return Side(self.source, self.modality, self.label, chosen)


def video_id(row: ClipRow) -> str:
    """What identifies a clip's video across data sets."""
    return str(row.meta.get("video_id", row.id))


def side(
    source: FrozenSource,
    modality: str,
    label: str,
    splits: str | None = None,
    where: Callable[[ClipRow], bool] | None = None,
) -> Side:
    """The clips of some splits that have a modality and a label.

    Args:
        source: Of the clips.
        modality: Name of the modality.
        label: Name of the label.
        splits: One, or several joined by ``+``; None for all clips.
        where: Keeps only these rows.

    Raises:
        ModalityError: model or source lack the modality, or differ in its shape.
        DataError: no such label or split, labels of another length than the clip, or no clip.
    """
    source.check(modality)
    clips, path = source.source, source.source.path
    if label not in clips.labels:
        raise DataError(f"{path}: unknown label {label!r}{did_you_mean(label, clips.labels)}")
    positions = np.arange(len(clips.rows)) if splits is None else members(clips, splits)
    kept = []
    for i in positions:
        row = clips.rows[i]
        if not row.lengths.get(modality, 0) or not has_label(row, label):
            continue
        if where is None or where(row):
            _check_length(source, row, label)
            kept.append(i)
    if not kept:
        of = "" if splits is None else f" of split {splits!r}"
        raise DataError(f"{path}: no clip{of} has both {modality!r} and the label {label!r}")
    return Side(source, modality, label, np.array(kept, dtype=np.int64))


def has_label(row: ClipRow, label: str) -> bool:
    """Whether a clip has a label."""
    value = row.labels.get(label)
    return value is not None and value != -1


def _check_length(source: FrozenSource, row: ClipRow, label: str) -> None:
    value = row.labels[label]
    if isinstance(value, list) and len(value) != row.length:
        raise DataError(
            f"{source.source.path}: clip {row.id!r} has {len(value)} steps of label {label!r}, "
            f"but its features have {row.length}; give one label per step"
        )


@dataclass(frozen=True)
class Plan:
    """One benchmark under one protocol.

    Attributes:
        benchmark: Its name.
        protocol: ``published`` or ``clean``.
        classes: Class names, the background included where there is one.
        per: Whether clips or steps are classified.
        train: Clips to train heads on, by modality.
        select: Clips of the modality a head was trained on, which decide its epoch; empty where
            that is decided on the target, or not at all.
        test: Clips to read the heads on, by modality.
        headline: The metric that decides epochs and is compared with the paper.
        options: Of head training.
        notes: What a reader of the numbers has to know.
        marks: A remark on a direction ("video->audio").
        last_epoch: Whether figures are of the last epoch, and the best is only told.
    """

    benchmark: str
    protocol: Protocol
    classes: tuple[str, ...]
    per: Literal["clip", "step"]
    train: dict[str, Side]
    select: dict[str, Side]
    test: dict[str, Side]
    headline: str
    options: HeadOptions
    notes: tuple[str, ...] = ()
    marks: dict[str, str] = field(default_factory=dict)
    last_epoch: bool = False

    @property
    def published(self) -> bool:
        """Whether this is the release's protocol."""
        return self.protocol == "published"

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(trained on, read on), crossing ones first."""
        pairs = [(a, b) for a in self.train for b in self.test]
        return sorted(pairs, key=lambda pair: pair[0] == pair[1])

    def check(self) -> None:
        """Refuse what no head can learn.

        Raises:
            DataError: training clips of a single class, training and test labels that differ, or
                nothing left to train on, select by or test on.
        """
        used = {"train on": self.train, "select by": self.select, "test on": self.test}
        for what, sides in used.items():
            _refuse_empty(self, what, sides)
        for given in self.train.values():
            for tested in (*self.test.values(), *self.select.values()):
                same_classes(given, tested)
            seen = distinct_classes(given)
            if seen < 2:
                raise DataError(
                    f"{given.source.source.path}: all {len(given.clips)} training clips of "
                    f"{given.modality!r} are of one class of label {given.label!r}; a head needs "
                    "two or more"
                )


def _refuse_empty(plan: Plan, what: str, sides: dict[str, Side]) -> None:
    for m, given in sides.items():
        if len(given.clips) == 0:
            raise DataError(
                f"{given.source.source.path}: {plan.benchmark} ({plan.protocol}) has no {m} clip "
                f"with label {given.label!r} left to {what}"
            )


def same_classes(a: Side, b: Side) -> None:
    """Refuse labels whose classes differ.

    Raises:
        DataError: naming the first that differs.
    """
    for x, y in zip(a.classes, b.classes, strict=False):
        if x != y:
            raise DataError(
                f"label {a.label!r} of {a.source.source.path} has class {x!r} where label "
                f"{b.label!r} of {b.source.source.path} has {y!r}; both need the same classes in "
                "the same order"
            )
    if len(a.classes) != len(b.classes):
        raise DataError(
            f"label {a.label!r} of {a.source.source.path} has {len(a.classes)} classes, label "
            f"{b.label!r} of {b.source.source.path} has {len(b.classes)}"
        )


def distinct_classes(given: Side) -> int:
    """How many classes occur."""
    labels = given.raw_labels()
    if labels.dim() == 1:
        return len(torch.unique(labels))
    return int((labels > 0).flatten(0, 1).any(0).sum())


def held_out(groups: Iterable[str], share: float) -> set[str]:
    """About a share of some groups, at least one; always the same, whatever their order.

    Args:
        groups: Names of the groups, repeated or not.
        share: 0..1.
    """
    names = sorted(set(groups))
    return {names[i] for i in permutation(len(names), 0)[: max(1, round(share * len(names)))]}
