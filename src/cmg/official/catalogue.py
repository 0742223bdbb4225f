"""The catalogue of the official folder: what each part is for, what it holds, where to get it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cmg.official import names
from cmg.official.lists.ave import read_annotations, read_order
from cmg.official.lists.avsbench import read_s4
from cmg.official.lists.avvp import read_events, read_weak
from cmg.official.lists.clips import read_avel, read_checked, read_ucf
from cmg.tables import read_lines
from cmg.text import read_prompts

AUTHORS = "the authors' data folder (links in the README of github.com/haihuangcode/CMG)"
ATTACHED = (
    f"{AUTHORS}; the first uploads lacked it, it is also attached to their issue #1 "
    "(or name a folder that holds it with --lists)"
)
AVE_GIT = "data/ of github.com/YapengTian/AVE-ECCV18"
AVVP_GIT = "data/ of github.com/YapengTian/AVVP-ECCV20"
OPENNLPLAB = "Single-source of github.com/OpenNLPLab/AVSBench (not in the authors' download)"
OPEN_SET = "ICCV25-OSCMG/data of github.com/haihuangcode/CMG"

PRETRAIN, TEXT = "pre-training", "pre-training with text"
AVE, AVVP, SHARED, UCF_VGG = "ave", "avvp", "ave-avvp", "ucf-vgg"

GENERAL = "folder"
OVERLAPS = "overlaps"
ENCODER = "text-encoder"

_ORDER = partial(read_order, rows=1 << 31)
"""Whether the rows of an order exist is said with their number."""
_EVENTS = partial(read_events, strict=False)


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
    read: Callable[[Path], Any] | None = None
    rows: tuple[str, ...] = ()
    lines: int = 0
    about: str = ""


def feature_part(data_set: str, feature: str) -> str:
    """Name of a folder of zips."""
    return f"{data_set}/feature/{feature}"


def _names(name: str, group: str, lines: int, about: str = "", **more: Any) -> Part:
    """A file of names, one a line."""
    return Part(name, group, read=read_lines, lines=lines, about=about, **more)


def _vggsound() -> Iterator[Part]:
    group = "VGGSound"
    yield Part(names.VGGSOUND, group, (PRETRAIN, UCF_VGG), read=read_avel, rows=("vggsound40k",))
    about = "; every line is a class, and names may hold commas"
    yield _names(names.VGGSOUND_CATEGORIES, group, 141, about, needed=(PRETRAIN,))
    yield Part(names.VGGSOUND_PROMPTS, group, (TEXT,), source=ATTACHED, read=read_prompts)
    yield Part(feature_part("vggsound40k", "audio"), group, (PRETRAIN, UCF_VGG))
    yield Part(feature_part("vggsound40k", "video"), group, (PRETRAIN, UCF_VGG))
    yield Part(feature_part("vggsound40k", "label"), group, use="labels per second")
    yield Part(names.VGGSOUND_CHECKED, group)
    for name, csv in names.LONGER.items():
        use = f"pre-training with list={name.removeprefix('vggsound')}"
        yield Part(csv, group, use=use, family=name, read=read_checked, rows=(name,))
        for modality in ("audio", "video"):
            yield Part(feature_part(name, modality), group, use=use, family=name)


def _ave() -> Iterator[Part]:
    group, needed = "AVE", (AVE, SHARED)
    yield Part(
        names.ANNOTATIONS, group, needed, source=AVE_GIT, read=read_annotations, rows=("ave",)
    )
    for split, name in names.ORDERS.items():
        yield Part(name, group, needed, source=AVE_GIT, read=_ORDER, rows=("ave", split))
    for name in names.AVE_FEATURES.values():
        yield Part(name, group, needed)
    for name in ("labels.h5", "right_labels.h5", "mil_labels.h5", "labels_closs.h5"):
        yield Part(name, group, source=AVE_GIT)
    for split in names.SPLITS:
        yield Part(f"{split}_order_match.h5", group, source=AVE_GIT)


def _avvp() -> Iterator[Part]:
    group = "AVVP"
    yield _names(names.AVVP_CATEGORIES, group, 25, ", one a line", needed=(AVVP,))
    for sense, name in names.AVVP_EVENTS.items():
        yield Part(name, group, (AVVP,), read=_EVENTS, rows=("avvp", sense))
    for modality in ("audio", "video"):
        yield Part(feature_part("avvp", modality), group, (AVVP, SHARED))
    clean = f"the clean protocol of {AVVP} and {SHARED}, which parts validation from test clips"
    for split, name in names.AVVP_WEAK.items():
        use, limits = (
            clean if split != "train" else "weakly labeled training clips",
            split != "train",
        )
        rows = ("avvp", split)
        yield Part(name, group, (), use, AVVP_GIT, limits, read=read_weak, rows=rows)
    for name in names.AVVP_DENSE.values():
        yield Part(name, group, source=AVVP_GIT, read=_EVENTS)


def _shared() -> Iterator[Part]:
    group, needed = "AVE -> AVVP", (SHARED,)
    yield _names(names.SHARED_CATEGORIES, group, 12, ", one a line", needed=needed)
    yield Part(names.SHARED_ORDER, group, needed)
    yield Part(names.SHARED_LABELS, group, needed)
    for sense, name in names.SHARED_EVENTS.items():
        yield Part(name, group, needed, read=_EVENTS, rows=("ave_avvp", sense))


def _ucf() -> Iterator[Part]:
    group, needed = "UCF101 <-> VGGSound", (UCF_VGG,)
    about = f"; line i of {names.UCF_NAMES} means line i of {names.VGGSOUND_NAMES}"
    for name in (names.UCF_NAMES, names.VGGSOUND_NAMES):
        yield _names(name, group, 16, about, needed=needed, source=ATTACHED)
    yield Part(names.UCF, group, needed, source=ATTACHED, read=read_ucf, rows=("ucf101",))
    rows = ("vggsound2ucf",)
    yield Part(names.VGGSOUND_UCF, group, needed, source=ATTACHED, read=read_avel, rows=rows)
    yield Part(feature_part("ucf101", "video"), group, needed)


def _open_set() -> Iterator[Part]:
    group = "Open-set cuts"
    cuts = {
        "AVE": (names.ORDERS["train"], names.AVE_TRAIN),
        "UCF51": (names.UCF51_CATEGORIES, names.UCF51),
        "UCF-VGGSound": (names.UCF, names.VGGSOUND_UCF),
    }
    for task, whole in cuts.items():
        how: dict[str, Any] = {"use": f"the open-set task of {task}"}
        how["family"] = f"open-set cuts of {task}"
        if task == "UCF51":
            yield _names(names.UCF51_CATEGORIES, group, 51, source=OPEN_SET, **how)
            rows = ("ucf101all",)
            yield Part(names.UCF51, group, source=OPEN_SET, read=read_ucf, rows=rows, **how)
        for known in names.KNOWN[task]:
            for name in whole:
                yield Part(names.cut(name, known), group, source=OPEN_SET, **how)
        for modality in ("audio", "video") if task == "UCF51" else ():
            yield Part(feature_part("ucf101all", modality), group, **how)


def _others() -> Iterator[Part]:
    group, use = "AVSBench", "audio-visual segmentation"
    how: dict[str, Any] = {"use": use, "family": "avsbench"}
    yield Part(names.S4_PROMPTS, group, source=ATTACHED, read=read_prompts, **how)
    yield Part(feature_part("avsbench", "audio"), group, **how)
    yield Part(names.S4, group, source=OPENNLPLAB, read=read_s4, rows=("avsbench",), **how)
    for name in names.PICTURES:
        yield Part(name, group, source=OPENNLPLAB, **how)
    words = f"{TEXT} with the published word filter"
    root = "the root of github.com/haihuangcode/CMG"
    yield Part(names.COUNTS, "Text", use=words, source=root, limits=True)
    yield Part(ENCODER, "Text", use=TEXT, limits=True)


PARTS: dict[str, Part] = {
    part.name: part
    for group in (_vggsound, _ave, _avvp, _shared, _ucf, _open_set, _others)
    for part in group()
}
"""Every part, in the order of the report."""

FOLDERS = {
    (data_set, feature): feature_part(data_set, feature)
    for data_set in (
        "vggsound40k vggsound81k vggsound90k vggsound179k avvp ucf101 ucf101all avsbench".split()
    )
    for feature in ("audio", "video", "label")
    if feature_part(data_set, feature) in PARTS
}
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
