"""Lists of clips: VGGSound-AVEL's with its longer ones, and UCF101's beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.official.catalogue import SPLITS
from cmg.official.lists.categories import check_category
from cmg.official.lists.dialect import Categories, Dialect
from cmg.tables import Faults, read_lines

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


def _clip(cells: Mapping[str, str], categories: Categories) -> ListedClip:
    check_category(cells["category"], categories)
    if cells["split"] not in SPLITS:
        raise DataError(f"split {cells['split']!r} is none of {', '.join(SPLITS)}")
    return ListedClip(cells["category"], cells["video_id"], cells["split"])


def _action(cells: Mapping[str, str], categories: Categories) -> ListedClip:
    check_category(cells["category"], categories)
    return ListedClip(cells["category"], cells["video_id"])


def _stem(cells: Mapping[str, str], _: Categories) -> str:
    name = cells["id"]
    if not name.endswith(SUFFIX):
        raise DataError(
            f"{name!r} does not end in {SUFFIX}, as ids of this list do; it is another list"
        )
    return name.removesuffix(SUFFIX)


read_avel = Dialect(("category", "video_id", "split"), _clip, list[ListedClip])
"""VGGSound-AVEL's clips."""
read_ucf = Dialect(("category", "video_id"), _action, list[ListedClip])
"""UCF101's; of a list with splits, these are passed over."""
read_checked = Dialect(("id",), _stem, list[str])
"""The names of a longer list, without ``.mp4``."""


def read_names(
    path: Path, faults: Faults | None = None, categories: Categories = None
) -> list[str]:
    """The lines of a file of categories, which may all have to be those of another.

    Raises:
        DataError: unreadable, empty, a name twice, or one that the other file does not have.
    """
    names, found = read_lines(path), Faults(path) if faults is None else faults
    for number, name in enumerate(names, 1):
        with found.line(number):
            check_category(name, categories)
    if faults is None:
        found.refuse()
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
