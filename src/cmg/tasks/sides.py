"""Labeled clips of one modality: what a benchmark trains on, selects by or tests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.labels import clip_classes
from cmg.data.manifest import ClipRow
from cmg.errors import DataError, did_you_mean
from cmg.evaluation.encoding import check_shape
from cmg.evaluation.frozen import FrozenData

VideoIds = frozenset[str]
"""What identifies videos across data sets."""


@dataclass(frozen=True)
class Side:
    """Labeled clips of one modality of a data set.

    Attributes:
        data: Where they are from.
        name: Of the data set.
        modality: Name of the modality.
        label: Name of the label.
        clips: Positions in the data set's rows, int64 [N]; all of them have modality and label.
    """

    data: FrozenData
    name: str
    modality: str
    label: str
    clips: NDArray[np.int64]

    @property
    def source(self) -> Clips:
        """The data set."""
        return self.data.source(self.name)

    @cached_property
    def rows(self) -> list[ClipRow]:
        """The clips' rows."""
        return [self.source.rows[i] for i in self.clips]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the label, the background included where there is one."""
        return self.source.labels[self.label].classes

    @property
    def clip_classes(self) -> tuple[str, ...]:
        """Class names of clips: without the background of labels per step."""
        per_step = self.source.labels[self.label].per == "step"
        return self.classes[:-1] if per_step else self.classes

    @property
    def video_ids(self) -> list[str]:
        """What identifies the clips' videos across data sets."""
        return [video_id(row) for row in self.rows]

    def raw_labels(self) -> Tensor:
        """int64 [N], or float32 [N, T, C] for a multiple label; see :meth:`Clips.label`."""
        return self.source.only(self.clips).label(self.label)

    def clip_labels(self) -> Tensor:
        """One class per clip, int64 [N].

        From labels per step the release takes the largest index over time [as coded].
        """
        labels = self.raw_labels()
        return labels if labels.dim() == 1 else clip_classes(labels)

    def subset(self, keep: Iterable[bool]) -> Side:
        """Some of the clips.

        Raises:
            DataError: none is left.
        """
        chosen = self.clips[np.fromiter(keep, dtype=bool, count=len(self.clips))]
        if len(chosen) == 0:
            raise DataError(
                f"{self.source.path}: of {len(self.clips)} clips with {self.modality!r} and the "
                f"label {self.label!r} none is left to train on, select by or test on"
            )
        return replace(self, clips=chosen)


def video_id(row: ClipRow) -> str:
    """What identifies a clip's video across data sets."""
    return str(row.meta.get("video_id", row.id))


def side(
    data: FrozenData,
    name: str,
    modality: str,
    label: str,
    splits: str | None = None,
    where: Callable[[ClipRow], bool] | None = None,
) -> Side:
    """The clips of some splits that have a modality and a label.

    Args:
        data: The data sets.
        name: Of the clips' data set.
        modality: Name of the modality.
        label: Name of the label.
        splits: One, or several joined by ``+``; None for all clips.
        where: Keeps only these rows.

    Raises:
        ModalityError: model or source lack the modality, or differ in its shape.
        DataError: no such label or split, labels of another length than the clip, or no clip.
    """
    clips = data.source(name)
    path = clips.path
    check_shape(data.model, clips, modality)
    if label not in clips.labels:
        raise DataError(f"{path}: unknown label {label!r}{did_you_mean(label, clips.labels)}")
    positions = (clips if splits is None else clips.split(splits)).positions
    kept = []
    for i in positions:
        row = clips.rows[i]
        if not row.lengths.get(modality, 0) or not has_label(row, label):
            continue
        if where is None or where(row):
            _check_length(clips, row, label)
            kept.append(i)
    if not kept:
        of = "" if splits is None else f" of split {splits!r}"
        raise DataError(f"{path}: no clip{of} has both {modality!r} and the label {label!r}")
    return Side(data, name, modality, label, np.array(kept, dtype=np.int64))


def has_label(row: ClipRow, label: str) -> bool:
    """Whether a clip has a label."""
    value = row.labels.get(label)
    return value is not None and value != -1


def _check_length(source: Clips, row: ClipRow, label: str) -> None:
    value = row.labels[label]
    if isinstance(value, list) and len(value) != row.length:
        raise DataError(
            f"{source.path}: clip {row.id!r} has {len(value)} steps of label {label!r}, "
            f"but its features have {row.length}; give one label per step"
        )


def same_classes(a: Side, b: Side) -> None:
    """Refuse labels whose classes differ.

    Raises:
        DataError: naming the first that differs.
    """
    for x, y in zip_longest(a.classes, b.classes, fillvalue="none"):
        if x != y:
            raise DataError(
                f"label {a.label!r} of {a.source.path} has {len(a.classes)} classes, {x!r} where "
                f"label {b.label!r} of {b.source.path} has {y!r} among {len(b.classes)}; both need "
                "the same classes in the same order"
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
