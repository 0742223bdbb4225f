"""UCF101 <-> VGGSound, and the open-set cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from cmg.errors import CmgError
from cmg.official.doctor.avvp import check_rows
from cmg.official.doctor.contents import Contents
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import CLASSES
from cmg.official.doctor.findings import some
from cmg.official.doctor.names import misaligned, unmatched
from cmg.official.doctor.parts import ATTACHED, KNOWN, OPEN_SET
from cmg.official.doctor.vggsound import CSV
from cmg.official.lists.ucf import UCFClip
from cmg.official.lists.vggsound import VGGSoundClip
from cmg.official.open_set import OpenSetCut, Side, ave_cut, ucf51_cut, ucf_vggsound_cut

UCF_NAMES = "UCF101sameVGGSound.txt"
VGGSOUND_NAMES = "VGGSoundsameUCF101.txt"
UCF_CSV = "ucf2vggsound.csv"
VGGSOUND_CSV = "vggsound2ucf.csv"
FREE = (15, 16)
"""Classes of the aligned lists with clips, officially: one partner has none."""


def check_ucf(exam: Examination, contents: Contents) -> None:
    """Check the aligned names, then both sides' clips."""
    _check_names(exam, contents)
    if contents.ucf is not None:
        check_rows(exam, UCF_CSV, len(contents.ucf), exam.expected.rows("ucf101"))
        _check_categories(exam, UCF_CSV, contents.ucf, UCF_NAMES, contents.ucf_names)
    if contents.vggsound2ucf is not None:
        rows = contents.vggsound2ucf
        check_rows(exam, VGGSOUND_CSV, len(rows), exam.expected.rows("vggsound2ucf"))
        _check_categories(exam, VGGSOUND_CSV, rows, VGGSOUND_NAMES, contents.vggsound_names)
        if contents.avel is not None and not exam.faulty(CSV, VGGSOUND_CSV):
            _check_inside(exam, rows, contents.avel)


def _check_names(exam: Examination, contents: Contents) -> None:
    ucf, vggsound, wanted = contents.ucf_names, contents.vggsound_names, CLASSES["ucf_vgg"]
    for part, names in ((UCF_NAMES, ucf), (VGGSOUND_NAMES, vggsound)):
        if names is not None:
            detail = f"; line i of {UCF_NAMES} means line i of {VGGSOUND_NAMES}"
            exam.counted(part, len(names), wanted, "names", detail)
    if ucf is None or vggsound is None or exam.faulty(UCF_NAMES, VGGSOUND_NAMES):
        return
    if lines := misaligned(ucf, vggsound):
        pairs = some(f"line {i + 1}: {ucf[i]!r} beside {vggsound[i]!r}" for i in lines)
        detail = f"line i of one list must mean line i of the other: {pairs}"
        exam.wrong(VGGSOUND_NAMES, detail, f"get both lists again from {ATTACHED}")


def _check_categories(
    exam: Examination,
    part: str,
    rows: Sequence[UCFClip] | Sequence[VGGSoundClip],
    names_part: str,
    names: Sequence[str] | None,
) -> None:
    if names is None or exam.faulty(names_part):
        return
    if strange := unmatched((row.category for row in rows), names):
        remedy = "names must be equal to the letter: correct the csv"
        exam.wrong(part, f"categories that {names_part} does not have: {strange}", remedy)
        return
    seen = {row.category for row in rows}
    without = [name for name in names if name not in seen]
    if without:
        said = exam.note if len(seen) in FREE else exam.warn
        found = f"{len(seen)} of {len(names)} classes"
        said(part, f"names without a clip: {some(map(repr, without))}", found=found)


def _check_inside(
    exam: Examination, rows: Sequence[VGGSoundClip], avel: Sequence[VGGSoundClip]
) -> None:
    """The clips are of the 40k list; the clean protocol relies on equal splits."""
    known = {clip.video_id: clip for clip in avel}
    outside = [row.video_id for row in rows if row.video_id not in known]
    if outside:
        exam.warn(
            VGGSOUND_CSV,
            f"clips that {CSV} does not have: {some(outside)}; they have no features and are left "
            "out",
            "the two lists are of different versions; get both from the same place",
            f"{len(outside):,} clips",
        )
    for field in ("split", "category"):
        other = [
            row.video_id
            for row in rows
            if row.video_id in known and getattr(known[row.video_id], field) != getattr(row, field)
        ]
        if other:
            exam.wrong(
                VGGSOUND_CSV,
                f"clips with another {field} than in {CSV}: {some(other)}; clips to be tested on "
                "would be taken for clips not trained on, or the reverse",
                "the two lists are of different versions; get both from the same place",
                f"{len(other):,} clips",
            )


def check_open_set(exam: Examination, contents: Contents) -> None:
    """Every cut that is there holds the classes it says, all of their clips and no other."""
    categories = contents.ucf51_categories
    if categories is not None:
        exam.counted("UCF51Categories.txt", len(categories), CLASSES["ucf51"], "names")
    if contents.ucf51 is not None:
        part = "ucf51checked.csv"
        check_rows(exam, part, len(contents.ucf51), exam.expected.rows("ucf101all"))
        _check_categories(exam, part, contents.ucf51, "UCF51Categories.txt", categories)
    layout, pairs = exam.layout, (UCF_NAMES, VGGSOUND_NAMES)
    for known in KNOWN["UCF51"]:
        parts = (f"ucf51checked_{known}.csv", f"UCF51Categories_{known}.txt")
        whole = ("UCF51Categories.txt", "ucf51checked.csv")
        _check_cut(exam, parts, whole, partial(ucf51_cut, layout, known))
    for known in KNOWN["UCF-VGGSound"]:
        for part, side in ((UCF_CSV, "ucf101"), (VGGSOUND_CSV, "vggsound40k")):
            cut = partial(ucf_vggsound_cut, layout, known, cast(Side, side))
            _check_cut(exam, [part.replace(".csv", f"_{known}.csv")], (*pairs, part), cut)
    for known in KNOWN["AVE"]:
        parts = (f"train_order_{known}class.h5", f"trainSet_{known}.txt")
        whole = ("Annotations.txt", "train_order.h5")
        _check_cut(exam, parts, whole, partial(ave_cut, layout, known))


def _check_cut(
    exam: Examination, parts: Sequence[str], whole: Sequence[str], cut: Callable[[], OpenSetCut]
) -> None:
    """Read a cut of which something is there, as far as the lists that it is cut from are right."""
    there = [part for part in parts if exam.path(part) is not None]
    if not there or exam.faulty(*there, *whole) or not all(map(exam.path, whole)):
        return
    try:
        found = cut()
    except CmgError as error:
        part = next((part for part in there if part in str(error)), there[0])
        exam.wrong(part, str(error), f"get it again from {OPEN_SET}")
        return
    for part in there:
        exam.complete(part, count(len(found.clips), "clips"), f"{found.known} classes")
