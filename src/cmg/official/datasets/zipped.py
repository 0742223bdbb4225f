"""What the readers of zip-per-clip sets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError
from cmg.official.dataset import OfficialDataset
from cmg.official.layout import Layout
from cmg.official.loaders import FeatureLoader, ZipFolder, probed_spec
from cmg.types import Kind

KINDS = {"audio": Kind.VECTORS, "video": Kind.MAPS}


def zip_folders(
    layout: Layout, data_set: str, modalities: Sequence[str], rules: str | None = None
) -> dict[str, ZipFolder]:
    """The folders of zips of a set.

    Args:
        layout: Where the parts are.
        data_set: Whose.
        modalities: Which may be there.
        rules: Set whose length rules apply; the same if not said.

    Raises:
        DataError: none of them is there.
    """
    found = {}
    for modality in modalities:
        folder = layout.folder(data_set, modality)
        if folder is not None:
            found[modality] = ZipFolder.of(folder, rules or data_set, modality)
    if not found:
        raise DataError(
            f"{data_set}: no features; nowhere below {layout.root} is a folder "
            f"{' or '.join(f'{data_set}/feature/{m}/zip' for m in modalities)} (at any depth)"
        )
    return found


def clip_row(
    video_id: str,
    split: str,
    folders: Mapping[str, ZipFolder],
    labels: Mapping[str, Any],
    name: str | None = None,
    **meta: str,
) -> ClipRow:
    """The row of a clip.

    Args:
        video_id: Name of its zips.
        split: Of the clip.
        folders: Where its zips are; it has no step of what it has no zip of.
        labels: Of the clip.
        name: Its id; the name of its zips if not said.
        meta: What else is known of it.
    """
    steps = {m: f.rule.steps if video_id in f.names else 0 for m, f in folders.items()}
    told = {"video_id": video_id, **meta}
    return ClipRow(id=name or video_id, split=split, lengths=steps, labels=dict(labels), meta=told)


def zipped_dataset(
    name: str,
    layout: Layout,
    rows: Sequence[ClipRow],
    labels: Mapping[str, LabelSpec],
    folders: Mapping[str, ZipFolder],
    notes: str,
) -> OfficialDataset:
    """The clips of a list that have features.

    Of rows with the same id the first counts; what has no zip is counted in the remarks.

    Raises:
        DataError: no clip of the list has features that can be read.
    """
    first: dict[str, ClipRow] = {}
    for row in rows:
        first.setdefault(row.id, row)
    distinct = list(first.values())
    kept = [row for row in distinct if any(row.lengths.values())]
    absent = [row.id for row in distinct if not any(row.lengths.values())]
    specs: dict[str, FeatureSpec] = {}
    loaders: dict[str, FeatureLoader] = {}
    for modality, folder in folders.items():
        having = [row for row in kept if row.lengths[modality]]
        spec = probed_spec(folder, having, KINDS[modality])
        if spec is None:
            raise DataError(
                f"{folder.folder}: of the zips of {len(distinct)} clips it holds {len(having)}, "
                "and none that was tried can be read; `cmg data check` says what is wrong"
            )
        specs[modality], loaders[modality] = spec, folder
    remarks = []
    if twice := len(rows) - len(distinct):
        remarks.append(f"{name}: {twice} rows repeat the id of an earlier row and were left out")
    if absent:
        remarks.append(
            f"{name}: {len(absent)} of {len(distinct)} clips have no features and were left out, "
            f"the first is {absent[0]!r}"
        )
    for modality in folders:
        if without := [row.id for row in kept if not row.lengths[modality]]:
            remarks.append(
                f"{name}: {len(without)} of {len(kept)} clips have no {modality}, the first is "
                f"{without[0]!r}"
            )
    return OfficialDataset(
        name, layout.root, kept, specs, dict(labels), loaders, absent, notes, remarks
    )
