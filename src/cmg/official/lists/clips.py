"""Lists of clips: VGGSound-AVEL's with its longer ones, and UCF101's beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.official.catalogue import SPLITS
from cmg.tables import Faults, TableRow, read_lines, read_table

CLIP_COLUMNS = ("category", "video_id", "split")
UCF_COLUMNS = CLIP_COLUMNS[:2]
FILE_COLUMNS = ("id",)
SUFFIX = ".mp4"
"""Of the names in a longer list, which are of files."""


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


def read_avel(path: Path, faults: Faults | None = None) -> list[ListedClip]:
    """Rows with a category, a video id and a split, in the file's order.

    Raises:
        DataError: another dialect, or an unknown split.
    """
    return read_table(path, _listed, required=CLIP_COLUMNS, faults=faults)


def _listed(row: TableRow) -> ListedClip:
    split = row.cells["split"]
    if split not in SPLITS:
        raise DataError(f"split {split!r} is none of {', '.join(SPLITS)}")
    return ListedClip(row.cells["category"], row.cells["video_id"], split)


def read_ucf(path: Path, faults: Faults | None = None) -> list[ListedClip]:
    """Rows of a list without splits, in the file's order; further columns are passed over.

    Raises:
        DataError: another dialect.
    """

    def clip(row: TableRow) -> ListedClip:
        return ListedClip(row.cells["category"], row.cells["video_id"])

    return read_table(path, clip, required=UCF_COLUMNS, faults=faults)


def read_checked(path: Path, faults: Faults | None = None) -> list[str]:
    """Clip names of a longer list, without ``.mp4``.

    Raises:
        DataError: another dialect, or a name without that ending.
    """
    return read_table(path, _stem, required=FILE_COLUMNS, faults=faults)


def _stem(row: TableRow) -> str:
    name = row.cells["id"]
    if not name.endswith(SUFFIX):
        raise DataError(
            f"{name!r} does not end in {SUFFIX}, as ids of this list do; it is another list"
        )
    return name.removesuffix(SUFFIX)


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
