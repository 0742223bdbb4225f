"""UCF101 <-> VGGSound, and the open-set cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from cmg.errors import CmgError
from cmg.official.catalogue import (
    ANNOTATIONS,
    AVE_TRAIN,
    KNOWN,
    OPEN_SET,
    ORDERS,
    PARTS,
    UCF,
    UCF51,
    UCF51_CATEGORIES,
    UCF_NAMES,
    VGGSOUND,
    VGGSOUND_NAMES,
    VGGSOUND_UCF,
    cut,
)
from cmg.official.doctor.examination import Examination, count
from cmg.official.lists.categories import misaligned
from cmg.official.lists.clips import ListedClip
from cmg.official.open_set import OpenSetCut, Side, ave_cut, ucf51_cut, ucf_vggsound_cut

FREE = (15, 16)
"""Classes of the aligned lists with clips, officially: one partner has none."""
_TWO_VERSIONS = "the two lists are of different versions; get both from the same place"


def check_ucf(exam: Examination) -> None:
    """Check the aligned names, then both sides' clips."""
    _check_names(exam)
    for part in (UCF, VGGSOUND_UCF):
        _check_used(exam, part)
    _check_inside(exam)


def _check_names(exam: Examination) -> None:
    ucf, vggsound = exam.trusted(UCF_NAMES), exam.trusted(VGGSOUND_NAMES)
    if ucf is None or vggsound is None:
        return
    pairs = [f"line {i + 1}: {ucf[i]!r} beside {vggsound[i]!r}" for i in misaligned(ucf, vggsound)]
    detail = "line i of one list must mean line i of the other: {}"
    exam.wrong(VGGSOUND_NAMES, detail, exam.again(VGGSOUND_NAMES, "both lists"), of=pairs)


def _check_used(exam: Examination, part: str) -> None:
    """Say which of the names that a list may have it has not."""
    clips: list[ListedClip] | None = exam.contents.get(part)
    known: list[str] | None = exam.trusted(PARTS[part].categories)
    if clips is None or known is None:
        return
    seen = {clip.category for clip in clips}
    said = exam.note if len(seen) in FREE else exam.warn
    found = f"{len(seen)} of {len(known)} classes"
    without = [repr(name) for name in known if name not in seen]
    said(part, "names without a clip: {}", found=found, of=without)


def _check_inside(exam: Examination) -> None:
    """The clips are of the 40k list; the clean protocol relies on equal splits."""
    rows: list[ListedClip] | None = exam.trusted(VGGSOUND_UCF)
    avel: list[ListedClip] | None = exam.trusted(VGGSOUND)
    if rows is None or avel is None:
        return
    known = {clip.video_id: clip for clip in avel}
    exam.warn(
        VGGSOUND_UCF,
        f"clips that {VGGSOUND} does not have: {{}}; they have no features and are left out",
        _TWO_VERSIONS,
        "{} clips",
        [row.video_id for row in rows if row.video_id not in known],
    )
    both = [(row, known[row.video_id]) for row in rows if row.video_id in known]
    for field in ("split", "category"):
        exam.wrong(
            VGGSOUND_UCF,
            f"clips with another {field} than in {VGGSOUND}: {{}}; clips to be tested on would be "
            "taken for clips not trained on, or the reverse",
            _TWO_VERSIONS,
            "{} clips",
            [a.video_id for a, b in both if getattr(a, field) != getattr(b, field)],
        )


def check_open_set(exam: Examination) -> None:
    """Every cut that is there holds the classes it says, all of their clips and no other."""
    _check_used(exam, UCF51)
    layout, pairs = exam.layout, (UCF_NAMES, VGGSOUND_NAMES)
    order, ucf51 = ORDERS["train"], (UCF51_CATEGORIES, UCF51)
    for known in KNOWN["UCF51"]:
        _check_cut(exam, known, ucf51[::-1], ucf51, partial(ucf51_cut, layout, known))
    for known in KNOWN["UCF-VGGSound"]:
        for part, side in ((UCF, "ucf101"), (VGGSOUND_UCF, "vggsound40k")):
            read = partial(ucf_vggsound_cut, layout, known, cast(Side, side))
            _check_cut(exam, known, [part], (*pairs, part), read)
    for known in KNOWN["AVE"]:
        whole = (ANNOTATIONS, order)
        _check_cut(exam, known, (order, AVE_TRAIN), whole, partial(ave_cut, layout, known))


def _check_cut(
    exam: Examination,
    known: int,
    of: Sequence[str],
    whole: Sequence[str],
    read: Callable[[], OpenSetCut],
) -> None:
    """Read a cut of which something is there, as far as the lists that it is cut from are right."""
    parts = [cut(name, known) for name in of]
    there = [part for part in parts if exam.path(part) is not None]
    if not there or exam.faulty(*there, *whole) or not all(map(exam.path, whole)):
        return
    try:
        found = read()
    except CmgError as error:
        part = next((part for part in there if part in str(error)), there[0])
        exam.wrong(part, str(error), f"get it again from {OPEN_SET}")
        return
    for part in there:
        exam.complete(part, count(len(found.clips), "clips"), f"{found.known} classes")
