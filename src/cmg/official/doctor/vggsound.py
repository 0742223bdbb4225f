"""VGGSound-AVEL: the 40k list with its categories and prompts, and the longer lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from cmg.errors import DataError
from cmg.official.catalogue import (
    LONGER,
    PARTS,
    SPLITS,
    VGGSOUND,
    VGGSOUND_CATEGORIES,
    VGGSOUND_CHECKED,
    VGGSOUND_PROMPTS,
)
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.findings import some
from cmg.official.doctor.names import unmatched
from cmg.official.lists.clips import ListedClip
from cmg.tables import read_table

ENOUGH = 30_000 / 40_801
"""Share of the rows below which the list is the 20k one of the first upload."""
ID_LENGTH = 11


def check_vggsound(exam: Examination) -> None:
    """Compare the lists with the official counts and with each other."""
    clips: list[ListedClip] | None = exam.contents.get(VGGSOUND)
    if clips is not None:
        _check_count(exam, clips)
        _check_ids(exam, clips)
        remedy = "names must be equal to the letter: correct the csv, or the category file"
        known = exam.known(VGGSOUND, (c.category for c in clips), VGGSOUND_CATEGORIES, remedy)
        if not exam.faulty(VGGSOUND):
            if known:
                exam.spread(VGGSOUND, clips, exam.contents[VGGSOUND_CATEGORIES])
            _check_checked(exam, {clip.video_id for clip in clips})
    categories = exam.trusted(VGGSOUND_CATEGORIES)
    check_prompts(exam, VGGSOUND_PROMPTS, PARTS[VGGSOUND_CATEGORIES].names, categories)
    for csv in LONGER.values():
        _check_longer(exam, csv)


def check_prompts(
    exam: Examination, part: str, wanted: int, categories: Collection[str] | None
) -> None:
    """Say which categories have no prompt, and which prompts no category."""
    prompts: dict[str, str] | None = exam.contents.get(part)
    if prompts is None:
        return
    exam.complete(part, count(len(prompts), "prompts"), str(wanted))
    if categories is None:
        return
    if without := unmatched(categories, prompts):
        missing = [name for name in categories if name not in prompts]
        exam.wrong(
            part,
            f"categories without a prompt: {without}",
            f"labels must be equal to the letter; {exam.again(part)}",
            f"{len(missing)} categories without",
        )
    elif more := [name for name in prompts if name not in categories]:
        exam.note(part, f"prompts of no category: {some(more)}", f"{len(more)} more")


def _check_count(exam: Examination, clips: Sequence[ListedClip]) -> None:
    found = Counter(clip.split for clip in clips)
    wanted = exam.expected.counts["vggsound40k"]
    total = sum(wanted.values())
    shown, compared = (
        f"{number:,}: {_by_split(counts)}"
        for number, counts in ((len(clips), found), (total, wanted))
    )
    exam.complete(VGGSOUND, shown, compared)
    if len(clips) < ENOUGH * total:
        exam.truncated(
            VGGSOUND,
            shown,
            compared,
            "the first upload held only about 20,000 of some 40,800 rows (README and issue #13 of "
            "the authors' repository); models trained on it are much worse",
            f"{exam.again(VGGSOUND)}, in its present version",
        )
    elif found != Counter(wanted):
        exam.warn(
            VGGSOUND,
            f"expected {compared}; another version of the list",
            "numbers are comparable only on the same list",
            shown,
        )


def _by_split(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts.get(split, 0):,} {split}" for split in SPLITS)


def repeated(items: Iterable[Hashable]) -> list[Hashable]:
    """What occurs more than once, by first appearance."""
    return [item for item, several in Counter(items).items() if several > 1]


def _check_ids(exam: Examination, clips: Sequence[ListedClip]) -> None:
    odd = [clip.video_id for clip in clips if len(clip.video_id) != ID_LENGTH]
    if odd:
        files = all(name.endswith(".mp4") for name in odd)
        exam.wrong(
            VGGSOUND,
            f"ids of other than {ID_LENGTH} characters: {some(odd)}"
            + ("; names of files belong to the 81k list" if files else ""),
            "ids are the names of the zips: correct these rows"
            if len(odd) < len(clips)
            else f"this is another list under this name; {exam.again(VGGSOUND)}",
            f"{len(odd):,} odd ids",
        )
    rows = defaultdict(set)
    for clip in clips:
        rows[clip.video_id].add((clip.category, clip.split))
    if contradictory := [name for name, several in rows.items() if len(several) > 1]:
        exam.wrong(
            VGGSOUND,
            f"one id, two categories or splits: {some(contradictory)}",
            "remove the wrong rows of these clips",
            f"{len(contradictory):,} contradictions",
        )
    elif twice := repeated(clip.video_id for clip in clips):
        detail = f"clips twice: {some(twice)}; the first row counts"
        exam.warn(VGGSOUND, detail, found=f"{len(twice):,}")


def _check_checked(exam: Examination, ids: set[str]) -> None:
    """The list of names beside the 40k csv, which no program reads."""
    path = exam.path(VGGSOUND_CHECKED)
    if path is None:
        return
    try:
        rows = read_table(path, lambda r: r.cells["id"].removesuffix(".mp4"), required=("id",))
    except DataError as error:
        exam.note(VGGSOUND_CHECKED, f"in another dialect, and no program reads it ({error})")
        return
    exam.complete(VGGSOUND_CHECKED, count(len(rows)), f"{len(ids):,}, as the csv")
    if set(rows) != ids:
        exam.warn(
            VGGSOUND_CHECKED,
            f"{len(set(rows) - ids):,} names that {VGGSOUND} does not have, "
            f"{len(ids - set(rows)):,} of its clips are not named; no program reads this list",
            f"one of the two is of an old upload: look at the counts of {VGGSOUND}",
            count(len(rows)),
        )


def _check_longer(exam: Examination, csv: str) -> None:
    stems: list[str] | None = exam.contents.get(csv)
    if stems is not None:
        exam.rows(csv, len(stems))
        if twice := repeated(stems):
            exam.warn(csv, f"clips twice: {some(twice)}; the first counts", found=f"{len(twice):,}")
