"""The catalogue of what the authors released: each file told once, in ``catalogue.tsv``.

The readers find their files here, the data doctor what must be there and how much of it, the
simulator what to write where, and `tools/catalogue.py` writes docs/catalogue.md.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

SPLITS = ("train", "val", "test")

AUTHORS = "the authors' data folder (links in the README of github.com/haihuangcode/CMG)"
ATTACHED = (
    f"{AUTHORS}; the first uploads lacked it, it is also attached to their issue #1 "
    "(or name a folder that holds it with --lists)"
)
OPENNLPLAB = "Single-source of github.com/OpenNLPLab/AVSBench (not in the authors' download)"
OPEN_SET = "ICCV25-OSCMG/data of github.com/haihuangcode/CMG"
_SOURCES = {
    "": AUTHORS,
    "attached": ATTACHED,
    "ave": "data/ of github.com/YapengTian/AVE-ECCV18",
    "avvp": "data/ of github.com/YapengTian/AVVP-ECCV20",
    "avsbench": OPENNLPLAB,
    "open-set": OPEN_SET,
    "root": "the root of github.com/haihuangcode/CMG",
}

GENERAL = "folder"
OVERLAPS = "overlaps"
ENCODER = "text-encoder"


@dataclass(frozen=True)
class Part:
    """A file, or a folder of zips: a row of ``catalogue.tsv``, whose columns these are.

    Attributes:
        name: Of the file; of a folder of zips ``vggsound40k/feature/audio``.
        key: What it is to the code; of several files of a kind ``ave_order.train``. A list that is
            simulated is named like the attribute of :class:`~cmg.simulate.lists.Lists`.
        group: Heading it stands under.
        needed: What cannot be run without it; empty for an optional part.
        use: What an optional part is for; empty for one that nothing reads.
        source: Where to get it.
        limits: Whether its absence, although optional, is worth a warning.
        family: Name that optional parts share which come together, and are absent together.
        dialect: How a list is written, see :mod:`cmg.official.lists.readers`; none for what is no
            list, or is read beside another.
        rows: Which counts its rows have: those of a set, or of a set and a split.
        counts: How many rows it has officially, by split; of a file of names how many names.
        categories: The file of names that its categories are from.
        about: What is to be said where it has another number of names.
        folders: Where copies of a list that is simulated lie.
        ends: How its lines end where not by a newline each: ``crlf``, or ``unended`` for the last.
        world: Set whose categories the simulated world must know.
    """

    name: str
    key: str
    group: str
    needed: tuple[str, ...]
    use: str
    source: str
    limits: bool
    family: str
    dialect: str
    rows: tuple[str, ...]
    counts: Mapping[str, int]
    categories: str
    about: str
    folders: tuple[str, ...]
    ends: str
    world: str

    @property
    def names(self) -> int:
        """How many names a file of names has officially; 0 for what is none."""
        return 0 if self.rows else self.counts.get("", 0)


def _part(row: dict[str, str]) -> Part:
    counts = [count.rpartition("=") for count in row["counts"].split()]
    told = row | {
        "needed": tuple(filter(None, row["needed"].split(", "))),
        "source": _SOURCES[row["source"]],
        "limits": row["limits"] == "yes",
        "rows": tuple(row["rows"].split()),
        "counts": {split: int(count) for split, _, count in counts},
        "folders": tuple(row["folders"].split()),
    }
    return Part(**told)  # type: ignore[arg-type]  # the columns are the attributes


def _table() -> list[dict[str, str]]:
    text = files("cmg.official").joinpath("catalogue.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


PARTS = {part.name: part for part in map(_part, _table())}
"""Every part, in the order of the report."""

FOLDERS = {(name.partition("/")[0], name.rpartition("/")[2]): name for name in PARTS if "/" in name}
"""The parts that are folders of zips, by their key in a layout."""


def _counts() -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for part in PARTS.values():
        for split, count in part.counts.items() if part.rows else ():
            found[part.rows[0]][part.rows[-1] if part.rows[1:] else split] = count
    return dict(found)


OFFICIAL_COUNTS = _counts()
"""Rows per set and split, counted in copies of the official lists; AVSBench's as published."""

NAMES = {part.key: part.name for part in PARTS.values() if part.key}
"""The files that the code knows, by their keys."""


def _several(key: str) -> dict[str, str]:
    """The files of a kind, by what follows in their keys."""
    return {k.partition(".")[2]: name for k, name in NAMES.items() if k.partition(".")[0] == key}


VGGSOUND = NAMES["vggsound"]
VGGSOUND_CATEGORIES = NAMES["vggsound_categories"]
VGGSOUND_PROMPTS = NAMES["prompts"]
VGGSOUND_CHECKED = NAMES["vggsound_checked"]
LONGER = {part.family: part.name for part in PARTS.values() if part.dialect == "files"}
"""The longer lists of VGGSound, by data set."""

ANNOTATIONS = NAMES["ave"]
ORDERS = _several("ave_order")
MATCHING = _several("ave_match")
"""Orders of another task, of the same sizes."""
AVE_TRAIN = "trainSet.txt"
"""There are only cuts of it."""
AVE_FEATURES = _several("ave_features")
AVE_LABELS = NAMES["ave_labels"]
AVE_LABELS_AGAIN = NAMES["ave_labels_again"]
AVE_CLASSES = NAMES["ave_classes"]
AVE_EVENTS = NAMES["ave_events"]

AVVP_CATEGORIES = NAMES["avvp_categories"]
AVVP_EVENTS = _several("avvp_combined")
"""A clip a row; by modality, as AVVP's files call them."""
AVVP_DENSE = _several("avvp_dense")
"""An event a row."""
AVVP_WEAK = _several("avvp")

SHARED_CATEGORIES = NAMES["shared_categories"]
SHARED_EVENTS = _several("shared_combined")
SHARED_ORDER = NAMES["shared_order"]
SHARED_LABELS = NAMES["shared_labels"]

UCF_NAMES = NAMES["ucf_names"]
VGGSOUND_NAMES = NAMES["vggsound_names"]
UCF = NAMES["ucf"]
VGGSOUND_UCF = NAMES["vggsound2ucf"]
UCF51 = NAMES["ucf51"]
UCF51_CATEGORIES = NAMES["ucf51_categories"]

S4 = NAMES["avsbench"]
S4_PROMPTS = NAMES["avsbench_prompts"]
FRAMES, MASKS = PICTURES = (NAMES["frames"], NAMES["masks"])
"""Folders of AVSBench's frames and masks."""

COUNTS = NAMES["words"]
KNOWN = {"AVE": (14, 21), "UCF51": (17, 34), "UCF-VGGSound": (8, 12)}
"""Known classes of the open-set cuts."""


def cut(name: str, known: int) -> str:
    """Name of a list's open-set cut."""
    stem, _, suffix = name.partition(".")
    return f"{stem}_{known}{'class' if suffix == 'h5' else ''}.{suffix}"


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
