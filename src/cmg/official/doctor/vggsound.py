"""VGGSound-AVEL: the 40k list with its categories and prompts, and the longer lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

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
from cmg.official.lists.categories import beside_nearest
from cmg.official.lists.clips import SUFFIX, ListedClip
from cmg.tables import read_table

ENOUGH = 30_000 / 40_801
"""Share of the rows below which the list is the 20k one of the first upload."""
ID_LENGTH = 11
H = TypeVar("H", bound=Hashable)


def check_vggsound(exam: Examination) -> None:
    """Compare the lists with the official counts and with each other."""
    clips: list[ListedClip] | None = exam.contents.get(VGGSOUND)
    categories = exam.trusted(VGGSOUND_CATEGORIES)
    if clips is not None:
        _check_count(exam, clips)
        _check_ids(exam, clips)
        if not exam.faulty(VGGSOUND):
            if categories is not None:
                exam.spread(VGGSOUND, clips, categories)
            _check_checked(exam, {clip.video_id for clip in clips})
    check_prompts(exam, VGGSOUND_PROMPTS, PARTS[VGGSOUND_CATEGORIES].names, categories)
    for csv in LONGER.values():
        twice = repeated(exam.contents.get(csv, ()))
        exam.warn(csv, "clips twice: {}; the first counts", found="{}", of=twice)


def check_prompts(
    exam: Examination, part: str, wanted: int, categories: Collection[str] | None
) -> None:
    """Say which categories have no prompt, and which prompts no category."""
    prompts: dict[str, str] | None = exam.contents.get(part)
    if prompts is None or part in exam.broken:
        return
    exam.complete(part, count(len(prompts), "prompts"), str(wanted))
    if categories is None:
        return
    without = [beside_nearest(name, prompts) for name in categories if name not in prompts]
    exam.wrong(
        part,
        "categories without a prompt: {}",
        f"labels must be equal to the letter; {exam.again(part)}",
        "{} categories without",
        without,
    )
    if not without:
        more = [name for name in prompts if name not in categories]
        exam.note(part, "prompts of no category: {}", "", "{} more", more)


def _check_count(exam: Examination, clips: Sequence[ListedClip]) -> None:
    found = Counter(clip.split for clip in clips)
    wanted = exam.expected.counts["vggsound40k"]
    total = sum(wanted.values())
    shown, compared = (
        f"{number:,}: {_by_split(counts)}"
        for number, counts in ((len(clips), found), (total, wanted))
    )
    exam.complete(VGGSOUND, shown, compared)
    if VGGSOUND in exam.broken:
        return
    if len(clips) < ENOUGH * total:
        exam.truncated(
            VGGSOUND,
            "the first upload held only about 20,000 of some 40,800 rows (README and issue #13 of "
            "the authors' repository); models trained on it are much worse",
            f"{exam.again(VGGSOUND)}, in its present version",
            shown,
            expected=compared,
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


def repeated(items: Iterable[H]) -> list[H]:
    """What occurs more than once, by first appearance."""
    return [item for item, several in Counter(items).items() if several > 1]


def _check_ids(exam: Examination, clips: Sequence[ListedClip]) -> None:
    odd = [clip.video_id for clip in clips if len(clip.video_id) != ID_LENGTH]
    files = all(name.endswith(SUFFIX) for name in odd)
    exam.wrong(
        VGGSOUND,
        f"ids of other than {ID_LENGTH} characters: {{}}"
        + ("; names of files belong to the 81k list" if files else ""),
        "ids are the names of the zips: correct these rows"
        if len(odd) < len(clips)
        else f"this is another list under this name; {exam.again(VGGSOUND)}",
        "{} odd ids",
        odd,
    )
    rows = defaultdict(set)
    for clip in clips:
        rows[clip.video_id].add((clip.category, clip.split))
    contradictory = [name for name, several in rows.items() if len(several) > 1]
    exam.wrong(
        VGGSOUND,
        "one id, two categories or splits: {}",
        "remove the wrong rows of these clips",
        "{} contradictions",
        contradictory,
    )
    if not contradictory:
        twice = repeated(clip.video_id for clip in clips)
        exam.warn(VGGSOUND, "clips twice: {}; the first row counts", found="{}", of=twice)


def _check_checked(exam: Examination, ids: set[str]) -> None:
    """The list of names beside the 40k csv, which no program reads."""
    path = exam.path(VGGSOUND_CHECKED)
    if path is None:
        return
    try:
        rows = read_table(path, lambda r: r.cells["id"].removesuffix(SUFFIX), required=("id",))
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
