"""Lists of clips: VGGSound-AVEL's with its longer ones, and UCF101's beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.official.names import SPLITS
from cmg.tables import read_lines, read_table

SUFFIX = ".mp4"


@dataclass(frozen=True)
class ListedClip:
    """One row of a list of clips; UCF101's lists have no splits."""

    category: str
    video_id: str
    split: str = "all"


@dataclass(frozen=True)
class SharedNames:
    """The classes that both sets have; entry i of one means the same as entry i of the other."""

    vggsound: list[str]
    ucf: list[str]


def read_avel(path: Path) -> list[ListedClip]:
    """Rows with a category, a video id and a split, in the file's order.

    Raises:
        DataError: another dialect, or an unknown split.
    """
    clips = []
    for row in read_table(path, ",", ("category", "video_id", "split")):
        clip = ListedClip(row.cells["category"], row.cells["video_id"], row.cells["split"])
        if clip.split not in SPLITS:
            raise DataError(
                f"{path}, line {row.line}: split {clip.split!r} is none of {', '.join(SPLITS)}"
            )
        clips.append(clip)
    return clips


def read_ucf(path: Path) -> list[ListedClip]:
    """Rows of ``ucf2vggsound.csv`` or ``ucf51checked.csv``, in the file's order.

    Raises:
        DataError: another dialect.
    """
    rows = read_table(path, ",", ("category", "video_id"))
    return [ListedClip(row.cells["category"], row.cells["video_id"]) for row in rows]


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


def read_shared_names(vggsound: Path, ucf: Path) -> SharedNames:
    """``VGGSoundsameUCF101.txt`` and ``UCF101sameVGGSound.txt``.

    Raises:
        DataError: unreadable, or of different length.
    """
    names = SharedNames(read_lines(vggsound), read_lines(ucf))
    if len(names.vggsound) != len(names.ucf):
        raise DataError(
            f"{vggsound} has {len(names.vggsound)} lines and {ucf} {len(names.ucf)}; "
            "line i of one must mean the same as line i of the other"
        )
    return names
