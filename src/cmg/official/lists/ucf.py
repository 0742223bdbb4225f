"""UCF101 beside VGGSound: two lists of clips, and two lists of names aligned line by line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.tables import read_lines, read_table


@dataclass(frozen=True)
class UCFClip:
    """One row of ``ucf2vggsound.csv`` or ``ucf51checked.csv``."""

    category: str
    video_id: str


@dataclass(frozen=True)
class SharedNames:
    """The classes that both sets have; entry i of one means the same as entry i of the other."""

    vggsound: list[str]
    ucf: list[str]


def read_ucf(path: Path) -> list[UCFClip]:
    """Rows in the file's order.

    Raises:
        DataError: another dialect.
    """
    rows = read_table(path, ",", ("category", "video_id"))
    return [UCFClip(row.cells["category"], row.cells["video_id"]) for row in rows]


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
