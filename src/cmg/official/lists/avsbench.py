"""AVSBench-S4: the list of clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cmg.errors import DataError
from cmg.official.catalogue import SPLITS
from cmg.official.lists.categories import check_category
from cmg.tables import Faults, TableRow, once, read_table

CATEGORIES = tuple(files("cmg.official").joinpath("avsbench.txt").read_text("utf-8").split())
"""Every category; a class is a place in this order."""
S4_COLUMNS = ("name", "start", "category", "split")
"""In this order unless the header names them."""


@dataclass(frozen=True)
class S4Clip:
    """One row of ``s4_meta_data.csv``.

    Attributes:
        name: Of the clip, its frames and its features; unique.
        start: Where it begins in its video, in seconds.
        category: One of `CATEGORIES`.
        split: ``train``, ``val`` or ``test``.
    """

    name: str
    start: float
    category: str
    split: str


def read_s4(path: Path, faults: Faults | None = None) -> list[S4Clip]:
    """The clips of AVSBench-S4, in the file's order.

    Columns are found by name (``name``, ``start``, ``category``, ``split``), and by their place,
    in this order, where the header names them otherwise.

    Raises:
        DataError: another dialect, a name twice or one that is no name of a file, an unknown
            category or split, or a start that is no time.
    """
    places: dict[str, int] = {}
    lines: dict[str, int] = {}

    def parse(row: TableRow) -> S4Clip:
        cells = list(row.cells.values())
        clip = _clip({name: cells[at] for name, at in places.items()})
        once(lines, clip.name, row.line)
        return clip

    def find(header: list[str]) -> None:
        places.update(_places(path, header))

    return read_table(path, parse, header=find, faults=faults)


def _places(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Place of every column."""
    if len(header) < len(S4_COLUMNS):
        raise DataError(
            f"{path}, line 1: {len(header)} columns, all with names of their own, where name, "
            "start, category and split are wanted, separated by commas"
        )
    if header[S4_COLUMNS.index("split")] in SPLITS:
        raise DataError(
            f"{path}, line 1 is a clip; put a header above it: name,start,category,split"
        )
    places = {
        name: header.index(name) if name in header else at for at, name in enumerate(S4_COLUMNS)
    }
    if len(set(places.values())) < len(places):
        raise DataError(
            f"{path}, line 1: columns {', '.join(map(repr, header))} are in another order; name "
            "them name, start, category and split"
        )
    return places


def _clip(cells: dict[str, str]) -> S4Clip:
    name, category, split = cells["name"], cells["category"], cells["split"]
    if not is_file_name(name):
        raise DataError(
            f"{name!r} cannot be the name of a clip, which is that of a folder; correct the row"
        )
    check_category(category, CATEGORIES)
    if split not in SPLITS:
        raise DataError(f"split {split!r} is none of {', '.join(SPLITS)}")
    try:
        start = float(cells["start"])
    except ValueError:
        start = math.nan
    if not 0 <= start < math.inf:
        raise DataError(f"start {cells['start']!r} is no time in seconds")
    return S4Clip(name, start, category, split)


def is_file_name(name: str) -> bool:
    """Whether a name can be one of a file, and leads nowhere else."""
    printable = name.isprintable() and name == name.strip()
    return printable and name not in ("", ".", "..") and not set(name) & set("/\\:")
