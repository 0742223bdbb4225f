"""VGGSound-AVEL: the 40k list with its categories and prompts, and the longer lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from cmg.errors import DataError
from cmg.official.doctor.contents import Contents
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import CLASSES
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.doctor.names import unmatched
from cmg.official.doctor.parts import ATTACHED, AUTHORS
from cmg.official.lists.vggsound import SPLITS, VGGSoundClip
from cmg.tables import read_table

CSV = "vggsound-avel40k.csv"
CATEGORIES = "VggsoundAVEL40kCategories.txt"
PROMPTS = "vggsoundCategories2Prompts.csv"
CHECKED = "video_name_vggsound40k_checked.csv"
LONGER = ("vggsound81k", "vggsound90k", "vggsound179k")

ENOUGH = 30_000 / 40_801
"""Share of the rows below which the list is the 20k one of the first upload."""
ID_LENGTH = 11


def check_vggsound(exam: Examination, contents: Contents) -> None:
    """Compare the lists with the official counts and with each other."""
    if contents.vggsound_categories is not None:
        detail = "; every line is a class, and names may hold commas"
        names = len(contents.vggsound_categories)
        exam.counted(CATEGORIES, names, CLASSES["vggsound40k"], "names", detail)
    if contents.avel is not None:
        _check_count(exam, contents.avel)
        _check_ids(exam, contents.avel)
        _check_categories_of(exam, contents.avel, contents.vggsound_categories)
        if not exam.faulty(CSV):
            _check_checked(exam, {clip.video_id for clip in contents.avel})
    _check_prompts(exam, contents)
    for name in LONGER:
        _check_longer(exam, contents, name)


def _check_count(exam: Examination, clips: Sequence[VGGSoundClip]) -> None:
    found = Counter(clip.split for clip in clips)
    wanted = exam.expected.counts["vggsound40k"]
    total = sum(wanted.values())
    shown, compared = _by_split(found), f"{total:,}: {_by_split(wanted)}"
    exam.complete(CSV, f"{len(clips):,}: {shown}", compared)
    if len(clips) < ENOUGH * total:
        exam.say(
            CSV,
            FindingStatus.TRUNCATED,
            f"{len(clips):,}: {shown}",
            compared,
            "the first upload held only about 20,000 of some 40,800 rows (README and issue #13 of "
            "the authors' repository); models trained on it are much worse",
            f"get it again from {AUTHORS}, in its present version",
        )
    elif found != Counter(wanted):
        exam.warn(
            CSV,
            f"expected {compared}; another version of the list",
            "numbers are comparable only on the same list",
            f"{len(clips):,}: {shown}",
        )


def _by_split(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts.get(split, 0):,} {split}" for split in SPLITS)


def _check_ids(exam: Examination, clips: Sequence[VGGSoundClip]) -> None:
    odd = [clip.video_id for clip in clips if len(clip.video_id) != ID_LENGTH]
    if odd:
        files = all(name.endswith(".mp4") for name in odd)
        exam.wrong(
            CSV,
            f"ids of other than {ID_LENGTH} characters: {some(odd)}"
            + ("; names of files belong to the 81k list" if files else ""),
            "ids are the names of the zips: correct these rows"
            if len(odd) < len(clips)
            else f"this is another list under this name; get it again from {AUTHORS}",
            f"{len(odd):,} odd ids",
        )
    rows = defaultdict(set)
    for clip in clips:
        rows[clip.video_id].add((clip.category, clip.split))
    twice = [name for name, several in Counter(c.video_id for c in clips).items() if several > 1]
    if not twice:
        return
    if contradictory := [name for name in twice if len(rows[name]) > 1]:
        exam.wrong(
            CSV,
            f"one id, two categories or splits: {some(contradictory)}",
            "remove the wrong rows of these clips",
            f"{len(contradictory):,} contradictions",
        )
    else:
        exam.warn(CSV, f"clips twice: {some(twice)}; the first row counts", found=f"{len(twice):,}")


def _check_categories_of(
    exam: Examination, clips: Sequence[VGGSoundClip], categories: Sequence[str] | None
) -> None:
    if categories is None or exam.faulty(CATEGORIES):
        return
    if strange := unmatched((clip.category for clip in clips), categories):
        exam.wrong(
            CSV,
            f"categories that {CATEGORIES} does not have: {strange}",
            "names must be equal to the letter: correct the csv, or the category file",
        )
        return
    if exam.faulty(CSV):
        return
    seen = {(clip.category, clip.split) for clip in clips}
    without = [name for name in categories if any((name, split) not in seen for split in SPLITS)]
    if without:
        exam.warn(
            CSV,
            f"categories without a clip in some split: {some(without)}",
            f"the list is cut; get it again from {AUTHORS}",
            f"{len(without)} of {len(categories)}",
        )


def _check_checked(exam: Examination, ids: set[str]) -> None:
    """The list of names beside the 40k csv, which no program reads."""
    path = exam.path(CHECKED)
    if path is None:
        return
    try:
        rows = [row.cells["id"].removesuffix(".mp4") for row in read_table(path, ",", ("id",))]
    except DataError as error:
        exam.note(CHECKED, f"in another dialect, and no program reads it ({error})")
        return
    exam.complete(CHECKED, count(len(rows)), f"{len(ids):,}, as the csv")
    if set(rows) != ids:
        exam.warn(
            CHECKED,
            f"{len(set(rows) - ids):,} names that {CSV} does not have, "
            f"{len(ids - set(rows)):,} of its clips are not named; no program reads this list",
            f"one of the two is of an old upload: look at the counts of {CSV}",
            count(len(rows)),
        )


def _check_prompts(exam: Examination, contents: Contents) -> None:
    prompts, categories = contents.prompts, contents.vggsound_categories
    if prompts is None:
        return
    wanted = str(CLASSES["vggsound40k"])
    exam.complete(PROMPTS, count(len(prompts), "prompts"), wanted)
    if categories is None or exam.faulty(CATEGORIES):
        return
    if without := unmatched(categories, prompts):
        missing = [name for name in categories if name not in prompts]
        exam.wrong(
            PROMPTS,
            f"categories without a prompt: {without}",
            f"labels must be equal to the letter; get it again from {ATTACHED}",
            f"{len(missing)} categories without",
        )
    elif len(prompts) > len(categories):
        more = [name for name in prompts if name not in categories]
        exam.note(PROMPTS, f"prompts of no category: {some(more)}", f"{len(more)} more")


def _check_longer(exam: Examination, contents: Contents, name: str) -> None:
    csv, stems = f"video_name_{name}_checked.csv", contents.longer.get(name)
    if stems is None:
        return
    total = exam.expected.rows(name)
    exam.complete(csv, count(len(stems)), "" if total is None else f"{total:,}")
    if total is not None and len(stems) < ENOUGH * total:
        exam.say(
            csv,
            FindingStatus.TRUNCATED,
            count(len(stems)),
            f"{total:,}",
            remedy=f"get it again from {AUTHORS}",
        )
    if len(set(stems)) < len(stems):
        twice = [stem for stem, several in Counter(stems).items() if several > 1]
        exam.warn(csv, f"clips twice: {some(twice)}; the first counts", found=f"{len(twice):,}")
