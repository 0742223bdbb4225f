"""UCF101 <-> VGGSound, and the open-set cuts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmg.official.doctor.avvp import check_rows
from cmg.official.doctor.contents import Contents
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import CLASSES
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.doctor.names import misaligned, unmatched
from cmg.official.doctor.parts import ATTACHED, KNOWN, OPEN_SET
from cmg.official.doctor.vggsound import CSV
from cmg.official.lists.ave import categories_of, read_annotations, read_order
from cmg.official.lists.ucf import UCFClip, read_ucf
from cmg.official.lists.vggsound import VGGSoundClip, read_avel
from cmg.tables import read_lines

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
    for known in KNOWN["UCF51"]:
        names = exam.read(f"UCF51Categories_{known}.txt", read_lines)
        if names is not None and categories is not None:
            _same(exam, f"UCF51Categories_{known}.txt", names, categories[:known])
        _check_clips(exam, f"ucf51checked_{known}.csv", known, categories, contents.ucf51)
    for known in KNOWN["UCF-VGGSound"]:
        _check_clips(exam, f"ucf2vggsound_{known}.csv", known, contents.ucf_names, contents.ucf)
        names, rows = contents.vggsound_names, contents.vggsound2ucf
        _check_clips(exam, f"vggsound2ucf_{known}.csv", known, names, rows)
    for known in KNOWN["AVE"]:
        _check_ave_cut(exam, contents, known)


def _check_clips(
    exam: Examination,
    part: str,
    known: int,
    names: Sequence[str] | None,
    whole: Sequence[UCFClip] | Sequence[VGGSoundClip] | None,
) -> None:
    """A csv holds the clips of the first `known` classes."""

    def read(path: Path) -> Sequence[UCFClip] | Sequence[VGGSoundClip]:
        return read_avel(path) if part.startswith("vggsound") else read_ucf(path)

    rows = exam.read(part, read)
    if rows is None or names is None or whole is None:
        return
    wanted = sorted(row.video_id for row in whole if row.category in names[:known])
    _same(exam, part, sorted(row.video_id for row in rows), wanted)


def _check_ave_cut(exam: Examination, contents: Contents, known: int) -> None:
    """The training rows of the first classes, as indices and as text."""
    rows, train = contents.annotations, contents.orders.get("train")
    if rows is None or train is None or exam.faulty("Annotations.txt", "train_order.h5"):
        return
    names = categories_of(rows)[:known]
    wanted = [int(i) for i in train if rows[i].category in names]
    part = f"train_order_{known}class.h5"
    order = exam.read(part, lambda path: read_order(path, len(rows)))
    if order is not None:
        _same(exam, part, order.tolist(), wanted)
    part = f"trainSet_{known}.txt"
    texts = exam.read(part, read_annotations)
    if texts is not None:
        _same(exam, part, texts, [rows[i] for i in wanted])


def _same(exam: Examination, part: str, found: Sequence[object], wanted: Sequence[object]) -> None:
    exam.complete(part, count(len(found), "entries"), f"{len(wanted):,}")
    if list(found) == list(wanted):
        return
    other = [str(one) for one in found if one not in set(map(str, wanted)) and one not in wanted]
    exam.say(
        part,
        FindingStatus.WRONG,
        count(len(found), "entries"),
        f"{len(wanted):,}, those of its classes",
        f"other entries: {some(other)}" if other else "entries are missing or in another order",
        f"get it again from {OPEN_SET}",
    )
