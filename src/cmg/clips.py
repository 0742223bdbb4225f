"""The door to clips: a feature store, an embedded set, or a set or list of a collection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmg.data.clips import Clips
from cmg.data.embedded import EMBEDDED, is_embedded
from cmg.data.manifest import MANIFEST, counted_from
from cmg.data.options import DataOptions
from cmg.data.parts import refuse_leak
from cmg.data.remote import is_remote
from cmg.data.store import NAMED, open_store
from cmg.errors import ConfigError, DataError
from cmg.files import StrPath, as_path
from cmg.places import lies_there

UNSHARED = "unshared:"
"""Before the content hash of data that an exported model was trained on and does not bring."""


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


def open_clips(where: StrPath, list: str | None = None, *, lists: StrPath | None = None) -> Clips:
    """Open clips, wherever they are.

    Args:
        where: A store's folder or address, an embedded set as ``"digits"`` or ``"watch:3"``, or a
            collection: a folder in the official layout, or what ``cmg data import`` made of one.
        list: Of a collection: one of its sets, as ``ave``, or a list to pre-train on, as ``24k``.
        lists: Of a collection, a folder with more annotation files.

    Raises:
        ConfigError: a collection without a list, or a list of a single store.
        DataError: it cannot be opened, or the collection lacks the list.
    """
    where = os.fspath(as_path(where, NAMED))
    if where.startswith(UNSHARED):
        raise DataError(
            f"{where}: this model was exported without the clips that it was trained on; name a "
            "store of yours with --data STORE where a command has it (`cmg probe`, `cmg report`)"
        )
    one_store = is_one_store(where)
    if list is not None:
        if one_store:
            raise ConfigError(
                f"data.list={list}: {where} is a single store; leave the list out "
                "(data.list=null), or give a folder in the official layout or a collection "
                "imported from one"
            )
        from cmg.official.collection import open_collection

        named: dict[str, str] = {name: of.source for name, of in TRAINING_LISTS.items()}
        return open_collection(where, lists=lists).open(named.get(list, list))
    if not one_store and not is_remote(where):
        _refuse_no_store(where)
    return open_store(where)


def _refuse_no_store(where: str) -> None:
    if os.path.isdir(where):
        if there := lies_there(where):
            raise ConfigError(f"{where} is no single store (no {MANIFEST}); {there}")
        raise ConfigError(
            f"{where} is no single store (no {MANIFEST}). If it is a folder in the official "
            "layout, or a collection imported from one, say which list to train on: "
            f"{', '.join(f'list={name}' for name in TRAINING_LISTS)}. If it is a folder of arrays, "
            "`cmg data import --arrays CSV --out STORE` makes a store of those that a CSV lists"
        )
    if not os.path.exists(where):
        raise DataError(
            f"no store at {where}: there is no such folder{counted_from(Path(where))}; give a "
            f"store's folder or an embedded set ({', '.join(EMBEDDED)}), and where the store of a "
            "run was moved, tell the run: `cmg pretrain --out RUN --resume data=STORE`"
        )


def configured_clips(data: DataOptions) -> Clips:
    """The clips that a configuration names, with steps of one duration if it says so.

    Raises:
        ConfigError: see :func:`open_clips`.
        DataError: likewise; or labels per step forbid other steps.
    """
    found = open_clips(data.store, data.list, lists=data.lists)
    return found.on_grid(data.step_seconds, data.modalities)


def training_clips(data: DataOptions) -> Clips:
    """:func:`configured_clips`, where a useless validation split is refused before training.

    Raises:
        ConfigError: as above.
        DataError: as above; no such `data.val_split`, or it shares a group with another part.
    """
    store = configured_clips(data)
    if (val := data.val_split) is None:
        return store
    try:
        store.split(val)
    except DataError as error:
        raise DataError(
            f"data.val_split: {error}; without one (data.val_split=null), choices are made on "
            "held-out training clips"
        ) from error
    refuse_leak(store, training_split(data), val)
    if val != data.test_split and set(data.test_split.split("+")) <= store.splits.keys():
        refuse_leak(store, val, data.test_split)
    return store


def open_other(data: DataOptions, store: StrPath) -> Clips:
    """Another store, with steps as those of the configuration.

    Raises:
        DataError: it cannot be opened, or labels per step forbid other steps.
    """
    return open_store(store).on_grid(data.step_seconds, data.modalities)


def whole_path(where: str) -> str:
    """Where a folder is, whatever the current one; names and addresses stay as they are."""
    named = is_embedded(where) or is_remote(where) or where.startswith(UNSHARED)
    return where if named else os.path.abspath(where)


def is_one_store(where: str) -> bool:
    """Whether `where` names a feature store rather than a collection of them."""
    return is_embedded(where) or os.path.isfile(Path(where) / MANIFEST)


def training_split(data: DataOptions) -> str:
    """The split a configuration trains on; a list decides over `train_split`."""
    return data.train_split if data.list is None else TRAINING_LISTS[data.list].split


def training_part(store: Clips, data: DataOptions) -> Clips:
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
    return split.share(data.fraction)
