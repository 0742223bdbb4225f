"""UCF101: the classes it shares with VGGSound, and the 51 classes with sound."""

from __future__ import annotations

from cmg.data.manifest import ClipRow, LabelSpec
from cmg.errors import DataError, did_you_mean
from cmg.official.dataset import OfficialDataset
from cmg.official.datasets.zipped import lengths_of, zip_folders, zipped_dataset
from cmg.official.layout import Layout
from cmg.official.lists.clips import SharedNames, read_shared_names, read_ucf
from cmg.official.names import UCF, UCF51, UCF51_CATEGORIES, UCF_NAMES, VGGSOUND_NAMES
from cmg.tables import read_lines


def shared_names(layout: Layout) -> SharedNames | None:
    """The classes VGGSound and UCF101 share; None where a list is missing."""
    vggsound, ucf = layout.file(VGGSOUND_NAMES), layout.file(UCF_NAMES)
    return None if vggsound is None or ucf is None else read_shared_names(vggsound, ucf)


def read_ucf101(layout: Layout) -> OfficialDataset:
    """Video of the classes shared with VGGSound, under VGGSound's names.

    Raises:
        DataError: a part is missing or damaged, or a category is unknown.
    """
    csv = layout.need(UCF, purpose="ucf101")
    layout.need(VGGSOUND_NAMES, purpose="ucf101")
    layout.need(UCF_NAMES, purpose="ucf101")
    names = shared_names(layout)
    assert names is not None
    label = LabelSpec(classes=tuple(names.vggsound))
    return _read(layout, "ucf101", csv.name, names.ucf, "ucf_vgg", label, ("video",))


def read_ucf101all(layout: Layout) -> OfficialDataset:
    """Audio and video of the 51 classes with sound.

    Raises:
        DataError: a part is missing or damaged, or a category is unknown.
    """
    csv = layout.need(UCF51, purpose="ucf101all")
    names = read_lines(layout.need(UCF51_CATEGORIES, purpose="ucf101all"))
    label = LabelSpec(classes=tuple(names))
    return _read(layout, "ucf101all", csv.name, names, "category", label, ("audio", "video"))


def _read(
    layout: Layout,
    name: str,
    csv_name: str,
    categories: list[str],
    label: str,
    spec: LabelSpec,
    modalities: tuple[str, ...],
) -> OfficialDataset:
    csv = layout.need(csv_name, purpose=name)
    folders = zip_folders(layout, name, modalities)
    rows = []
    for clip in read_ucf(csv):
        if clip.category not in categories:
            raise DataError(
                f"{csv}: unknown category {clip.category!r} of clip {clip.video_id!r}"
                f"{did_you_mean(clip.category, categories)}"
            )
        rows.append(
            ClipRow(
                id=clip.video_id,
                split=clip.split,
                lengths=lengths_of(clip.video_id, folders),
                labels={label: categories.index(clip.category)},
                meta={"video_id": clip.video_id},
            )
        )
    return zipped_dataset(name, layout, rows, {label: spec}, folders, f"From {csv.name}.")
