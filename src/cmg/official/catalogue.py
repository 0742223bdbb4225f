"""The catalogue of the official folder: what each part is for, what it holds, where to get it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from cmg.official.lists.ave import read_annotations, read_order
from cmg.official.lists.avsbench import read_s4
from cmg.official.lists.avvp import read_events, read_weak
from cmg.official.lists.clips import read_avel, read_checked, read_ucf
from cmg.tables import Faults, read_lines
from cmg.text import read_prompts

AUTHORS = "the authors' data folder (links in the README of github.com/haihuangcode/CMG)"
ATTACHED = (
    f"{AUTHORS}; the first uploads lacked it, it is also attached to their issue #1 "
    "(or name a folder that holds it with --lists)"
)
OPENNLPLAB = "Single-source of github.com/OpenNLPLab/AVSBench (not in the authors' download)"
OPEN_SET = "ICCV25-OSCMG/data of github.com/haihuangcode/CMG"


class Read(Protocol):
    """Reads a list."""

    def __call__(self, path: Path, faults: Faults | None = None) -> Any:
        """What it says; `faults` gets what is wrong with lines, which is raised without."""


GENERAL = "folder"
OVERLAPS = "overlaps"
ENCODER = "text-encoder"

_SOURCES = {
    "": AUTHORS,
    "attached": ATTACHED,
    "ave": "data/ of github.com/YapengTian/AVE-ECCV18",
    "avvp": "data/ of github.com/YapengTian/AVVP-ECCV20",
    "avsbench": OPENNLPLAB,
    "open-set": OPEN_SET,
    "root": "the root of github.com/haihuangcode/CMG",
}


def _at_once(read: Callable[[Path], Any]) -> Read:
    """A reader of what has no lines with faults of their own."""
    return lambda path, faults=None: read(path)


_READERS: dict[str, Read | None] = {
    "": None,
    "clips": read_avel,
    "clips-without-split": read_ucf,
    "files": read_checked,
    "names": _at_once(read_lines),
    "prompts": read_prompts,
    "annotations": read_annotations,
    "order": _at_once(partial(read_order, rows=1 << 31)),  # whether they exist is said elsewhere
    "events": read_events,
    "weak": read_weak,
    "s4": read_s4,
}


@dataclass(frozen=True)
class Part:
    """A file, or a folder of zips.

    Attributes:
        name: Of the file; of a folder of zips ``vggsound40k/feature/audio``.
        group: Heading it stands under.
        needed: What cannot be run without it; empty for an optional part.
        use: What an optional part is for; empty for one that nothing reads.
        source: Where to get it.
        limits: Whether its absence, although optional, is worth a warning.
        family: Name that optional parts share which come together, and are absent together.
        read: Reads a list; None for what is no list, or is read beside another.
        rows: Which of the official counts its rows have: a list, or a list and a split.
        lines: How many names a file of names has officially, a name a line.
        about: What is to be said where it has another number of names.
    """

    name: str
    group: str
    needed: tuple[str, ...] = ()
    use: str = ""
    source: str = AUTHORS
    limits: bool = False
    family: str = ""
    read: Read | None = None
    rows: tuple[str, ...] = ()
    lines: int = 0
    about: str = ""


def feature_part(data_set: str, feature: str) -> str:
    """Name of a folder of zips."""
    return f"{data_set}/feature/{feature}"


def _part(row: dict[str, str]) -> Part:
    """A part from a row of the catalogue, whose columns are the attributes."""
    return Part(
        row["name"],
        row["group"],
        tuple(filter(None, row["needed"].split(", "))),
        row["use"],
        _SOURCES[row["source"]],
        row["limits"] == "yes",
        row["family"],
        _READERS[row["reader"]],
        tuple(row["rows"].split()),
        int(row["lines"] or 0),
        row["about"],
    )


def _parts() -> Iterable[Part]:
    text = files("cmg.official").joinpath("catalogue.tsv").read_text(encoding="utf-8")
    return map(_part, csv.DictReader(text.splitlines(), delimiter="\t"))


PARTS = {part.name: part for part in _parts()}
"""Every part, in the order of the report."""

FOLDERS = {(name.partition("/")[0], name.rpartition("/")[2]): name for name in PARTS if "/" in name}
"""The parts that are folders of zips, by their key in a layout."""


def family_parts(family: str) -> list[Part]:
    """The parts of a family, in order."""
    return [part for part in PARTS.values() if part.family == family]


def group_of(part: str) -> str:
    """Heading that a part, a family, or a remark about several parts stands under."""
    members = [*family_parts(part), *(one for one in [PARTS.get(part)] if one)]
    return members[0].group if members else "In general"


def position(part: str) -> int:
    """Place of a part or family in the report; remarks about several come last."""
    order, members = list(PARTS), family_parts(part)
    first = members[0].name if members else part
    return order.index(first) if first in PARTS else len(order)
