"""Which clips of a split are trained on, and whether they can teach what modalities share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cmg.data.source import Split, absent_of, keys_of
from cmg.errors import DataError

FEW_PAIRS = 0.5
"""Share of clips with two modalities below which there is a remark."""
RANGE_BITS = 16
"""Digests are counted by as many of their first bits."""


def check_pairs(split: Split, modalities: Sequence[str]) -> list[str]:
    """Refuse clips that cannot teach what modalities have in common.

    Args:
        split: To train on.
        modalities: To train with; a single one asks for no pairs, and the model decides on it.

    Returns:
        Remarks where few of the clips can, or none of those with some modality.

    Raises:
        DataError: a modality that no clip has, or no clip with two of them.
    """
    if len(modalities) < 2 or all(absent_of(split.store, m) == 0 for m in modalities):
        return []
    have, beside, paired = np.zeros(len(modalities)), np.zeros(len(modalities)), 0
    for part in split.parts():
        there = np.stack([split.lengths_of(m, part) > 0 for m in modalities])
        two = there.sum(0) > 1
        have, beside = have + there.sum(1), beside + (there & two).sum(1)
        paired += int(two.sum())
    where = f"split {split.name!r} of {split.store.path}"
    absent = [m for m, count in zip(modalities, have, strict=True) if not count]
    kept = ", ".join(m for m in modalities if m not in absent)
    if absent:
        raise DataError(
            f"{where}: no clip has {' or '.join(absent)}; leave it out by "
            f"'data.modalities=[{kept}]', or train on another split"
        )
    if not paired:
        raise DataError(
            f"{where}: none of its {len(split)} clips has two of the modalities {kept}, so nothing "
            "can be learned of what they have in common; give files that belong together one clip "
            "id (one row of the table)"
        )
    alone = [m for m, count in zip(modalities, beside, strict=True) if not count]
    remarks = [
        f"{where}: no clip has {m} beside another modality, so its codes stay its own"
        for m in alone
    ]
    if paired < FEW_PAIRS * len(split):
        remarks.append(
            f"{where}: only {paired} of {len(split)} clips have two modalities or more; the others "
            "teach nothing of what modalities have in common"
        )
    return remarks


def nested_part(split: Split, fraction: float) -> Split:
    """A share of a split's clips, in the split's order.

    Clips are ranked by a hash of their ids, so a smaller share lies within a larger one, no seed
    has a say, and clips that are added to the data do not change the ranks of the others.

    Args:
        split: All clips.
        fraction: Share, above 0 and up to 1; the count is rounded up.
    """
    count = math.ceil(fraction * len(split))
    if count == len(split):
        return split
    return split.subset(_first_by_digest(split, count))


def _first_by_digest(split: Split, count: int) -> NDArray[np.int64]:
    """Positions of the `count` clips whose ids have the smallest SHA-256, in order.

    Digests are compared by their first bits, which a store with an index knows. Nothing is held of
    clips that do not come into question: the first pass counts the clips in each of 65,536 ranges
    of digests, the second takes those below the range in which the count is reached.
    """
    counts = np.zeros(1 << RANGE_BITS, np.int64)
    for part in split.parts():
        ranges = keys_of(split.store, split.positions[part]) >> (63 - RANGE_BITS)
        counts += np.bincount(ranges, minlength=len(counts))
    last = int(np.searchsorted(np.cumsum(counts), count))
    below, within = [], []
    for part in split.parts():
        ranges = keys_of(split.store, split.positions[part]) >> (63 - RANGE_BITS)
        below.append(part.start + np.flatnonzero(ranges < last))
        within.append(part.start + np.flatnonzero(ranges == last))
    inside, undecided = np.concatenate(below), np.concatenate(within).tolist()
    rows = split.rows
    undecided.sort(key=lambda i: hashlib.sha256(rows[i].id.encode()).digest())
    return np.sort(np.append(inside, undecided[: count - len(inside)])).astype(np.int64)
