"""VGGSound-AVEL: the 40k list, and the longer lists of file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.tables import read_table

SPLITS = ("train", "val", "test")
SUFFIX = ".mp4"


@dataclass(frozen=True)
class VGGSoundClip:
    """One row of ``vggsound-avel40k.csv`` or ``vggsound2ucf.csv``."""

    category: str
    video_id: str
    split: str


def read_avel(path: Path) -> list[VGGSoundClip]:
    """Rows with a category, a video id and a split, in the file's order.

    Raises:
        DataError: another dialect, or an unknown split.
    """
    clips = []
    for row in read_table(path, ",", ("category", "video_id", "split")):
        clip = VGGSoundClip(row.cells["category"], row.cells["video_id"], row.cells["split"])
        if clip.split not in SPLITS:
            raise DataError(
                f"{path}, line {row.line}: split {clip.split!r} is none of {', '.join(SPLITS)}"
            )
        clips.append(clip)
    return clips


def read_checked(path: Path) -> list[str]:
    """Clip names of ``video_name_vggsound81k_checked.csv`` and its like, without ``.mp4``.

    Raises:
        DataError: another dialect, or a name without that ending.
    """
    names = []
    for row in read_table(path, ",", ("id",)):
        name = row.cells["id"]
        if not name.endswith(SUFFIX):
            raise DataError(
                f"{path}, line {row.line}: {name!r} does not end in {SUFFIX}, as ids of this list "
                "do; it is another list"
            )
        names.append(name.removesuffix(SUFFIX))
    return names
