"""VGGSound-AVEL and UCF101: sets of clips with a class each, and the longer lists without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError, did_you_mean
from cmg.official.catalogue import (
    LONGER,
    UCF,
    UCF51,
    UCF51_CATEGORIES,
    UCF_NAMES,
    VGGSOUND,
    VGGSOUND_CATEGORIES,
    VGGSOUND_NAMES,
    VGGSOUND_UCF,
)
from cmg.official.dataset import BACKGROUND, OfficialDataset
from cmg.official.datasets.zipped import clip_row, zip_folders, zipped_dataset
from cmg.official.layout import Layout
from cmg.official.lengths import STEPS
from cmg.official.lists.clips import (
    ListedClip,
    read_avel,
    read_checked,
    read_shared_names,
    read_ucf,
)
from cmg.official.loaders import PromptRows
from cmg.official.zips import read_clip_zip
from cmg.tables import read_lines
from cmg.types import Kind


def read_vggsound40k(
    layout: Layout,
    prompts: Mapping[str, NDArray[np.float32]] | None = None,
    segments: bool = False,
) -> OfficialDataset:
    """The set of the 40k list.

    Args:
        layout: Where the parts are.
        prompts: Token vectors [S, H] per category; None leaves text out.
        segments: Whether to read the labels per second, a file per clip.

    Raises:
        DataError: a part is missing or damaged, or a category is unknown.
    """
    csv = layout.need(VGGSOUND, purpose="vggsound40k")
    categories = read_lines(layout.need(VGGSOUND_CATEGORIES, purpose="vggsound40k"))
    folders = zip_folders(layout, "vggsound40k", ("audio", "video"), "vggsound")
    labels = {"category": LabelSpec(classes=tuple(categories))}
    ucf = _ucf_clips(layout)
    if ucf is not None:
        labels["ucf_vgg"] = LabelSpec(classes=tuple(ucf.names))
    number = {name: i for i, name in enumerate(categories)}
    rows = []
    for clip in read_avel(csv, categories=number):
        row_labels: dict[str, int | None] = {"category": number[clip.category]}
        meta = {}
        if ucf is not None:
            row_labels["ucf_vgg"] = None
            if (shared := ucf.clips.get(clip.video_id)) is not None:
                row_labels["ucf_vgg"] = ucf.names.index(shared.category)
                meta["ucf_split"] = shared.split
        rows.append(clip_row(clip.video_id, clip.split, folders, row_labels, **meta))
    found = zipped_dataset("vggsound40k", layout, rows, labels, folders, f"From {csv.name}.")
    if ucf is not None and (beyond := ucf.clips.keys() - {row.id for row in rows}):
        found.remarks.append(
            f"vggsound40k: {len(beyond)} clips of {VGGSOUND_UCF} are not in {csv.name}, so they "
            f"have no row; the first is {min(beyond)!r}"
        )
    if segments:
        found.labels["segment"] = LabelSpec(classes=(*categories, BACKGROUND), per="step")
        found.rows = [_segmented(layout, row, len(categories)) for row in found.rows]
    if prompts is not None:
        add_prompts(found, prompts, categories)
    return found


def add_prompts(
    dataset: OfficialDataset, prompts: Mapping[str, NDArray[np.float32]], categories: list[str]
) -> None:
    """Give every clip the text of its category.

    Raises:
        DataError: a category has no prompt.
    """
    if without := [name for name in categories if name not in prompts]:
        raise DataError(
            f"{len(without)} categories have no prompt, the first is {without[0]!r}"
            f"{did_you_mean(without[0], prompts)}; complete the prompts csv, or leave text out"
        )
    slots, width = prompts[categories[0]].shape
    dataset.specs["text"] = FeatureSpec(kind=Kind.TOKENS, shape=(width,), dtype="float32")
    dataset.loaders["text"] = PromptRows(prompts, categories)
    dataset.rows = [
        row.model_copy(update={"lengths": row.lengths | {"text": slots}}) for row in dataset.rows
    ]


def read_vggsound_list(layout: Layout, name: str) -> OfficialDataset:
    """A longer list (``vggsound81k``, ``90k``, ``179k``): audio and video, no labels.

    Raises:
        DataError: a part is missing or damaged.
    """
    csv = layout.need(LONGER[name], purpose=name)
    folders = zip_folders(layout, name, ("audio", "video"), "vggsound")
    rows = [clip_row(stem, "train", folders, {}) for stem in read_checked(csv)]
    return zipped_dataset(name, layout, rows, {}, folders, f"From {csv.name}.")


@dataclass(frozen=True)
class _UCFClips:
    """What ``vggsound2ucf.csv`` says: the classes shared with UCF101, and clips by video id."""

    names: list[str]
    clips: dict[str, ListedClip]


def _ucf_clips(layout: Layout) -> _UCFClips | None:
    vggsound, ucf, csv = map(layout.file, (VGGSOUND_NAMES, UCF_NAMES, VGGSOUND_UCF))
    if vggsound is None or ucf is None or csv is None:
        return None
    names = read_shared_names(vggsound, ucf).vggsound
    return _UCFClips(names, {clip.video_id: clip for clip in read_avel(csv, categories=names)})


def _segmented(layout: Layout, row: ClipRow, classes: int) -> ClipRow:
    """The row with its label per second; background is class number `classes`."""
    folder = layout.folder("vggsound40k", "label")
    if folder is None:
        raise DataError(
            f"vggsound40k: nowhere below {layout.root} is a folder label/zip, so there are no "
            "labels per second; leave the segment labels out"
        )
    path = folder / f"{row.meta['video_id']}.zip"
    if not path.is_file():
        return row.model_copy(update={"labels": row.labels | {"segment": None}})
    active = read_clip_zip(path).reshape(-1)
    if len(active) != STEPS or not set(active.tolist()) <= {0, 1}:
        raise DataError(
            f"{path}: {len(active)} values; labels per second are {STEPS} values of 0 or 1. Unpack "
            "the file again, or leave the segment labels out"
        )
    category = row.labels["category"]
    assert isinstance(category, int)
    segment = [category if on else classes for on in active]
    return row.model_copy(update={"labels": row.labels | {"segment": segment}})


def read_ucf101(layout: Layout) -> OfficialDataset:
    """Video of the classes shared with VGGSound, under VGGSound's names.

    Raises:
        DataError: a part is missing or damaged, or a category is unknown.
    """
    _, *files = (layout.need(name, purpose="ucf101") for name in (UCF, VGGSOUND_NAMES, UCF_NAMES))
    names = read_shared_names(*files)
    return _read(layout, "ucf101", UCF, names.ucf, ("video",), "ucf_vgg", names.vggsound)


def read_ucf101all(layout: Layout) -> OfficialDataset:
    """Audio and video of the 51 classes with sound.

    Raises:
        DataError: a part is missing or damaged, or a category is unknown.
    """
    layout.need(UCF51, purpose="ucf101all")
    names = read_lines(layout.need(UCF51_CATEGORIES, purpose="ucf101all"))
    return _read(layout, "ucf101all", UCF51, names, ("audio", "video"), "category", names)


def _read(
    layout: Layout,
    name: str,
    csv_name: str,
    categories: list[str],
    modalities: tuple[str, ...],
    label: str,
    classes: list[str],
) -> OfficialDataset:
    csv = layout.need(csv_name, purpose=name)
    folders = zip_folders(layout, name, modalities)
    number = {name: i for i, name in enumerate(categories)}
    rows = [
        clip_row(clip.video_id, clip.split, folders, {label: number[clip.category]})
        for clip in read_ucf(csv, categories=number)
    ]
    specs = {label: LabelSpec(classes=tuple(classes))}
    return zipped_dataset(name, layout, rows, specs, folders, f"From {csv.name}.")
