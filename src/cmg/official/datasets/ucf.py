"""UCF101: the classes it shares with VGGSound, and the 51 classes with sound."""

from __future__ import annotations

from cmg.data.manifest import LabelSpec
from cmg.official.dataset import OfficialDataset
from cmg.official.datasets.zipped import class_numbers, clip_row, zip_folders, zipped_dataset
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
    for name in (UCF, VGGSOUND_NAMES, UCF_NAMES):
        layout.need(name, purpose="ucf101")
    names = shared_names(layout)
    assert names is not None
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
    clips = read_ucf(csv)
    numbers = class_numbers(csv, clips, categories)
    rows = [
        clip_row(clip.video_id, clip.split, folders, {label: number})
        for clip, number in zip(clips, numbers, strict=True)
    ]
    specs = {label: LabelSpec(classes=tuple(classes))}
    return zipped_dataset(name, layout, rows, specs, folders, f"From {csv.name}.")
