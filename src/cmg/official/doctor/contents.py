"""Every list of a folder, read once; None for one that is absent or unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.official.datasets.avvp import SPLIT_LISTS
from cmg.official.doctor.events import EventTable, read_event_table
from cmg.official.doctor.examination import Examination
from cmg.official.lists.ave import Annotation, read_annotations, read_order
from cmg.official.lists.avvp import read_weak
from cmg.official.lists.ucf import UCFClip, read_ucf
from cmg.official.lists.vggsound import VGGSoundClip, read_avel, read_checked
from cmg.tables import read_lines

SENSES = ("audio", "visual")
_ANY = 1 << 31
Order = NDArray[np.int64]


@dataclass(frozen=True)
class Contents:
    """What the lists say.

    Attributes:
        avel: Rows of ``vggsound-avel40k.csv``.
        vggsound_categories: Lines of the category file.
        prompts: Sentence per label.
        longer: Stems of the longer VGGSound lists that are there.
        annotations: Rows of AVE's ``Annotations.txt``.
        orders: Rows of AVE per split, of the readable order files.
        avvp_categories: Lines of the category file.
        combined: AVVP's events of ``audio`` and ``visual``, where there.
        dense: The same of the files with an event per row.
        weak: Categories per clip of ``val``, ``test`` and ``train``, where there.
        shared_categories: Those of AVE and AVVP.
        shared: Events of the shared categories of ``audio`` and ``visual``.
        ucf_names: UCF101's side of the classes it shares with VGGSound.
        vggsound_names: VGGSound's side.
        ucf: Rows of ``ucf2vggsound.csv``.
        vggsound2ucf: Rows of ``vggsound2ucf.csv``.
        ucf51: Rows of ``ucf51checked.csv``.
        ucf51_categories: Lines of the category file.
    """

    avel: list[VGGSoundClip] | None
    vggsound_categories: list[str] | None
    prompts: dict[str, str] | None
    longer: Mapping[str, list[str]]
    annotations: list[Annotation] | None
    orders: Mapping[str, Order]
    avvp_categories: list[str] | None
    combined: Mapping[str, EventTable]
    dense: Mapping[str, EventTable]
    weak: Mapping[str, dict[str, list[str]]]
    shared_categories: list[str] | None
    shared: Mapping[str, EventTable]
    ucf_names: list[str] | None
    vggsound_names: list[str] | None
    ucf: list[UCFClip] | None
    vggsound2ucf: list[VGGSoundClip] | None
    ucf51: list[UCFClip] | None
    ucf51_categories: list[str] | None


def read_contents(exam: Examination) -> Contents:
    """Read every list; what is wrong with one is said."""
    from cmg.text import read_prompts

    def order(path: Path) -> Order:
        return read_order(path, _ANY)  # Whether rows exist is said with their number.

    orders = {split: exam.read(f"{split}_order.h5", order) for split in ("train", "val", "test")}
    lists = ("vggsound81k", "vggsound90k", "vggsound179k")
    longer = {name: exam.read(f"video_name_{name}_checked.csv", read_checked) for name in lists}
    by_clip = "eval_{}_checked_combined.csv"
    combined = {s: exam.read(f"AVVP_{by_clip.format(s)}", read_event_table) for s in SENSES}
    shared = {s: exam.read(f"AVE_AVVP_{by_clip.format(s)}", read_event_table) for s in SENSES}
    dense = {s: exam.read(f"AVVP_eval_{s}.csv", read_event_table) for s in SENSES}
    weak = {split: exam.read(name, read_weak) for split, name in SPLIT_LISTS.items()}
    return Contents(
        avel=exam.read("vggsound-avel40k.csv", read_avel),
        vggsound_categories=exam.read("VggsoundAVEL40kCategories.txt", read_lines),
        prompts=exam.read("vggsoundCategories2Prompts.csv", read_prompts),
        longer={name: stems for name, stems in longer.items() if stems is not None},
        annotations=exam.read("Annotations.txt", read_annotations),
        orders={split: o for split, o in orders.items() if o is not None},
        avvp_categories=exam.read("AVVP_Categories.txt", read_lines),
        combined={sense: table for sense, table in combined.items() if table is not None},
        dense={sense: table for sense, table in dense.items() if table is not None},
        weak={split: clips for split, clips in weak.items() if clips is not None},
        shared_categories=exam.read("AVE_AVVP_Categories.txt", read_lines),
        shared={sense: table for sense, table in shared.items() if table is not None},
        ucf_names=exam.read("UCF101sameVGGSound.txt", read_lines),
        vggsound_names=exam.read("VGGSoundsameUCF101.txt", read_lines),
        ucf=exam.read("ucf2vggsound.csv", read_ucf),
        vggsound2ucf=exam.read("vggsound2ucf.csv", read_avel),
        ucf51=exam.read("ucf51checked.csv", read_ucf),
        ucf51_categories=exam.read("UCF51Categories.txt", read_lines),
    )
