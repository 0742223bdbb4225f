"""VGGSound-AVEL: the 40k set with its classes and prompts, and the longer lists without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError, did_you_mean
from cmg.official.dataset import BACKGROUND, OfficialDataset, PromptRows
from cmg.official.datasets.ucf import shared_names
from cmg.official.datasets.zipped import lengths_of, present, zip_folders
from cmg.official.layout import Layout
from cmg.official.lengths import STEPS
from cmg.official.lists.tables import read_lines
from cmg.official.lists.vggsound import read_avel, read_checked
from cmg.official.zips import read_clip_zip
from cmg.types import Kind

CSV = "vggsound-avel40k.csv"
CATEGORIES = "VggsoundAVEL40kCategories.txt"
UCF_CSV = "vggsound2ucf.csv"


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
    csv = layout.need(CSV, purpose="vggsound40k")
    categories = read_lines(layout.need(CATEGORIES, purpose="vggsound40k"))
    index = {name: i for i, name in enumerate(categories)}
    folders = zip_folders(layout, "vggsound40k", ("audio", "video"), "vggsound")
    ucf = _ucf_classes(layout)
    rows = []
    for clip in read_avel(csv):
        if clip.category not in index:
            raise DataError(
                f"{csv}: unknown category {clip.category!r} of clip {clip.video_id!r}"
                f"{did_you_mean(clip.category, index)}"
            )
        shared, split = ucf.get(clip.video_id, (None, None))
        meta = {"video_id": clip.video_id}
        rows.append(
            ClipRow(
                id=clip.video_id,
                split=clip.split,
                lengths=lengths_of(clip.video_id, folders),
                labels={"category": index[clip.category], "ucf_vgg": shared},
                meta=meta if split is None else meta | {"ucf_split": split},
            )
        )
    kept, absent, specs, loaders = present(_distinct(rows), folders)
    labels = {"category": LabelSpec(classes=tuple(categories))}
    names = shared_names(layout)
    if names is not None:
        labels["ucf_vgg"] = LabelSpec(classes=tuple(names.vggsound))
    kept = [_labeled(row, labels) for row in kept]
    if segments:
        labels["segment"] = LabelSpec(classes=(*categories, BACKGROUND), per="step")
        kept = [_segmented(layout, row, len(categories)) for row in kept]
    found = OfficialDataset(
        "vggsound40k", layout.root, kept, specs, labels, loaders, absent, f"From {csv.name}."
    )
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
    csv = layout.need(f"video_name_{name}_checked.csv", purpose=name)
    folders = zip_folders(layout, name, ("audio", "video"), "vggsound")
    rows = [
        ClipRow(
            id=stem,
            split="train",
            lengths=lengths_of(stem, folders),
            labels={},
            meta={"video_id": stem},
        )
        for stem in read_checked(csv)
    ]
    kept, absent, specs, loaders = present(_distinct(rows), folders)
    return OfficialDataset(name, layout.root, kept, specs, {}, loaders, absent, f"From {csv.name}.")


def _distinct(rows: list[ClipRow]) -> list[ClipRow]:
    """The first row of every id; the lists hold a few clips twice."""
    return list({row.id: row for row in reversed(rows)}.values())[::-1]


def _ucf_classes(layout: Layout) -> dict[str, tuple[int | None, str]]:
    """Class shared with UCF101 and split of the clips in ``vggsound2ucf.csv``, by video id."""
    names, csv = shared_names(layout), layout.file(UCF_CSV)
    if names is None or csv is None:
        return {}
    index = {name: i for i, name in enumerate(names.vggsound)}
    return {
        clip.video_id: (index.get(clip.category), clip.split)
        for clip in read_avel(csv)
        if clip.category in index
    }


def _labeled(row: ClipRow, labels: Mapping[str, LabelSpec]) -> ClipRow:
    return row.model_copy(update={"labels": {n: row.labels.get(n) for n in labels}})


def _segmented(layout: Layout, row: ClipRow, classes: int) -> ClipRow:
    """The row with its label per second; background is class number `classes`."""
    folder = layout.folder("vggsound40k", "label")
    if folder is None:
        raise DataError(f"vggsound40k: no folder label/zip below {layout.root}")
    path = folder / f"{row.meta['video_id']}.zip"
    if not path.is_file():
        return row.model_copy(update={"labels": row.labels | {"segment": None}})
    active: Any = read_clip_zip(path).reshape(-1)
    if len(active) != STEPS or not set(active.tolist()) <= {0, 1}:
        raise DataError(f"{path}: {len(active)} values; expected {STEPS}, each 0 or 1")
    category = row.labels["category"]
    assert isinstance(category, int)
    segment = [category if on else classes for on in active]
    return row.model_copy(update={"labels": row.labels | {"segment": segment}})
