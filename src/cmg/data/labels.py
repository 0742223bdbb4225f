"""Labels of the official tasks: from events to steps, and from steps to clips.

Step labels are multi-hot [T, C + 1] with the background in the last column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cmg.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Event:
    """Something that happens in a clip.

    Attributes:
        onset: First second, inclusive.
        offset: Last second, exclusive; an event that does not end after its onset is empty.
        name: Category.
    """

    onset: int
    offset: int
    name: str


def parse_events(row: Mapping[str, str]) -> list[Event]:
    """Events of a row of an AVVP table, whose cells are comma-separated lists.

    Args:
        row: With the columns `onset`, `offset` and `event_labels`.

    Raises:
        DataError: a column is missing, the lists differ in length, or a time is no integer.
    """
    try:
        onsets = [int(x) for x in row["onset"].split(",")]
        offsets = [int(x) for x in row["offset"].split(",")]
        names = row["event_labels"].split(",")
    except KeyError as error:
        raise DataError(f"the table has no column {error}; it has {', '.join(row)}") from error
    except ValueError as error:
        raise DataError(
            f"onsets and offsets must be whole seconds: {error} in {dict(row)}"
        ) from error
    if not len(onsets) == len(offsets) == len(names):
        raise DataError(
            f"{len(onsets)} onsets, {len(offsets)} offsets and {len(names)} labels in {dict(row)}"
        )
    return [Event(*event) for event in zip(onsets, offsets, names, strict=True)]


def step_labels(events: Iterable[Event], categories: Sequence[str], steps: int = 10) -> Tensor:
    """Multi-hot labels of the one-second steps of a clip, as the AVVP reader builds them.

    Args:
        events: Clipped to the `steps` seconds of the clip.
        categories: Class names, without the background.
        steps: T.

    Returns:
        float32 [T, C + 1]; the last column is 1 where no event is active.

    Raises:
        DataError: an event of an unknown category.
    """
    index = {name: i for i, name in enumerate(categories)}
    labels = torch.zeros(steps, len(categories) + 1)
    for event in events:
        if event.name not in index:
            raise DataError(f"unknown category {event.name!r}{did_you_mean(event.name, index)}")
        labels[max(event.onset, 0) : max(event.offset, 0), index[event.name]] = 1.0
    labels[:, -1] = (labels[:, :-1].sum(1) == 0).to(labels.dtype)
    return labels


def clip_classes(labels: Tensor) -> Tensor:
    """One class per clip from step labels, as AVE and UCF-VGGSound do it.

    Of every step the index of the largest entry, background left out; of every clip the largest of
    these indices. As coded, steps of background count as class 0, and so does a clip of nothing
    else.

    Args:
        labels: [B, T, C + 1], background last.

    Returns:
        int64 [B].
    """
    return labels[..., :-1].argmax(-1).amax(-1)


def multi_hot(values: Sequence[Any], steps: int, classes: int) -> Tensor:
    """Lists of class indices per step as numbers.

    Args:
        values: Per clip a list, one entry per step, of lists of class indices; None: unlabelled.
        steps: T.
        classes: C.

    Returns:
        float32 [N, T, C], -1 where nothing is known.
    """
    out = torch.full((len(values), steps, classes), -1.0)
    for clip, value in enumerate(values):
        if value is None:
            continue
        out[clip, : len(value)] = 0.0
        at = [(step, c) for step, active in enumerate(value) for c in active]
        if at:
            step, column = torch.tensor(at).unbind(1)
            out[clip, step, column] = 1.0
    return out
