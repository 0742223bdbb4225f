"""Where a run's clips are from: a feature store, or a list of a collection."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmg.config.schema import DataOptions
from cmg.data.alignment import aligned
from cmg.data.manifest import MANIFEST, counted_from
from cmg.data.remote import is_remote
from cmg.data.source import ClipSource, absent_of, keys_of
from cmg.data.split import Split
from cmg.data.store import DIGITS, FeatureStore
from cmg.errors import ConfigError, DataError
from cmg.files import StrPath
from cmg.places import lies_there

FEW_PAIRS = 0.5
"""Share of clips with two modalities below which there is a remark."""
RANGE_BITS = 16
"""Digests are counted by as many of their first bits."""


@dataclass(frozen=True)
class TrainingList:
    """A pre-training list of the release.

    Attributes:
        source: Name in a collection.
        split: Its clips there. The paper's "24K" is the training split of the 40k list, its "40K"
            all three, in the order in which the release joins them.
    """

    source: str
    split: str


TRAINING_LISTS: dict[Literal["24k", "40k", "81k", "90k", "179k"], TrainingList] = {
    "24k": TrainingList("vggsound40k", "train"),
    "40k": TrainingList("vggsound40k", "train+test+val"),
    "81k": TrainingList("vggsound81k", "train"),
    "90k": TrainingList("vggsound90k", "train"),
    "179k": TrainingList("vggsound179k", "train"),
}


def open_clips(data: DataOptions) -> ClipSource:
    """The clips that a configuration names, with steps of one duration if it says so.

    Raises:
        ConfigError: a collection without a list, or a list of a single store.
        DataError: it cannot be opened, the collection lacks the list, or labels per step forbid
            other steps.
    """
    return aligned(_named_clips(data), data.step_seconds, data.modalities)


def open_other(data: DataOptions, store: StrPath) -> ClipSource:
    """Another store, with steps as those of the configuration.

    Raises:
        DataError: it cannot be opened, or labels per step forbid other steps.
    """
    return aligned(FeatureStore.open(store), data.step_seconds, data.modalities)


def _named_clips(data: DataOptions) -> ClipSource:
    one_store = is_one_store(data.store)
    if data.list is not None:
        if one_store:
            raise ConfigError(
                f"data.list={data.list}: {data.store} is a single store; leave the list out "
                "(data.list=null), or give a folder in the official layout or a collection "
                "imported from one"
            )
        from cmg.official.collection import open_collection

        return open_collection(data.store, lists=data.lists).open(TRAINING_LISTS[data.list].source)
    if not one_store and os.path.isdir(data.store):
        if there := lies_there(data.store):
            raise ConfigError(f"{data.store} is no single store (no {MANIFEST}); {there}")
        raise ConfigError(
            f"{data.store} is no single store (no {MANIFEST}). If it is a folder in the official "
            "layout, or a collection imported from one, say which list to train on: "
            f"{', '.join(f'list={name}' for name in TRAINING_LISTS)}. If it is a folder of arrays, "
            "`cmg data import --arrays CSV --out STORE` makes a store of those that a CSV lists"
        )
    where = Path(data.store)
    if not one_store and not is_remote(data.store) and not os.path.exists(where):
        raise DataError(
            f"no store at {where}: there is no such folder{counted_from(where)}; give a store's "
            "folder or 'digits', and where the store of a run was moved, tell the run: `cmg "
            "pretrain --out RUN --resume data=STORE`"
        )
    return FeatureStore.open(data.store)


def is_one_store(where: str) -> bool:
    """Whether `where` names a feature store rather than a collection of them."""
    return where == DIGITS or os.path.isfile(Path(where) / MANIFEST)


def training_split(data: DataOptions) -> str:
    """The split a configuration trains on; a list decides over `train_split`."""
    return data.train_split if data.list is None else TRAINING_LISTS[data.list].split


def training_part(store: ClipSource, data: DataOptions) -> Split:
    """The clips that a configuration trains on: its share of the training split.

    Raises:
        DataError: there is no such split.
    """
    name = training_split(data)
    try:
        split = store.split(name)
    except DataError as error:
        key = f"data.train_split={name}" if data.list is None else f"data.list={data.list}"
        raise DataError(f"{key}: {error}") from error
    return nested_part(split, data.fraction)


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
