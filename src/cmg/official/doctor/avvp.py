"""AVVP and AVE -> AVVP: tables of events, weak lists, and the categories AVE and AVVP share."""

from __future__ import annotations

from collections import Counter

from cmg.official.datasets.avvp import SPLIT_LISTS
from cmg.official.doctor.contents import SENSES, Contents
from cmg.official.doctor.events import check_events
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import CLASSES
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.doctor.names import unmatched
from cmg.official.doctor.parts import PARTS

CATEGORIES = "AVVP_Categories.txt"
SHARED_CATEGORIES = "AVE_AVVP_Categories.txt"
ENOUGH = 0.9
"""Share of the rows below which a list is truncated."""


def check_avvp(exam: Examination, contents: Contents) -> None:
    """Check AVVP's lists, then those of the shared categories against them."""
    _check_number(exam, CATEGORIES, contents.avvp_categories, CLASSES["avvp"])
    for sense in SENSES:
        part = f"AVVP_eval_{sense}_checked_combined.csv"
        if sense in contents.combined:
            table = contents.combined[sense]
            check_rows(exam, part, len(table.rows), exam.expected.rows("avvp", sense))
            check_events(exam, part, table, _trusted(exam, CATEGORIES, contents.avvp_categories))
        if sense in contents.dense:
            _check_dense(exam, contents, sense)
    _check_weak(exam, contents)
    _check_shared(exam, contents)


def check_rows(exam: Examination, part: str, rows: int, wanted: int | None) -> None:
    """Compare the number of rows of a list."""
    exam.complete(part, count(rows), "" if wanted is None else f"{wanted:,}")
    if wanted is None or rows == wanted:
        return
    if rows < ENOUGH * wanted:
        remedy = f"get it again from {PARTS[part].source}"
        exam.say(part, FindingStatus.TRUNCATED, count(rows), f"{wanted:,}", remedy=remedy)
    else:
        exam.warn(part, f"expected {wanted:,}; another version of the list", found=count(rows))


def _check_number(exam: Examination, part: str, names: list[str] | None, wanted: int) -> None:
    if names is not None:
        exam.counted(part, len(names), wanted, "names", ", one a line")


def _trusted(exam: Examination, part: str, names: list[str] | None) -> list[str] | None:
    return None if exam.faulty(part) else names


def _check_dense(exam: Examination, contents: Contents, sense: str) -> None:
    """The list with an event per row says the same as the one with a clip per row."""
    part, table = f"AVVP_eval_{sense}.csv", contents.dense[sense]
    exam.complete(part, f"{len(table.rows):,} events of {len(table.names):,} clips")
    check_events(exam, part, table, _trusted(exam, CATEGORIES, contents.avvp_categories))
    combined = f"AVVP_eval_{sense}_checked_combined.csv"
    if sense not in contents.combined or exam.faulty(part, combined):
        return
    by_row, by_clip = table.events, contents.combined[sense].events
    other = [name for name, events in by_clip.items() if set(events) != set(by_row.get(name, ()))]
    if other:
        exam.warn(
            part,
            f"events that {combined} has otherwise: {some(other)}; the combined list is the one "
            "that is read",
            "keep the official copies of both",
            f"{len(other)} clips differ",
        )


def _check_weak(exam: Examination, contents: Contents) -> None:
    categories = _trusted(exam, CATEGORIES, contents.avvp_categories)
    for split, clips in contents.weak.items():
        part = SPLIT_LISTS[split]
        check_rows(exam, part, len(clips), exam.expected.rows("avvp", split))
        named = [name for names in clips.values() for name in names]
        if categories is not None and (strange := unmatched(named, categories)):
            remedy = "names must be equal to the letter: correct them"
            exam.wrong(part, f"categories that {CATEGORIES} does not have: {strange}", remedy)
    splits = Counter(name for clips in contents.weak.values() for name in clips)
    if twice := [name for name, several in splits.items() if several > 1]:
        parts = [SPLIT_LISTS[s] for s, clips in contents.weak.items() if twice[0] in clips]
        remedy = f"get the lists again from {PARTS[parts[-1]].source}"
        exam.wrong(parts[-1], f"clips that {parts[0]} has too: {some(twice)}", remedy)
    if {"val", "test"} <= set(contents.weak):
        for sense, table in contents.combined.items():
            listed = [*contents.weak["val"], *contents.weak["test"]]
            if unlisted := sorted(set(table.names) - set(listed)):
                exam.note(
                    f"AVVP_eval_{sense}_checked_combined.csv",
                    f"clips of neither validation nor test: {some(unlisted, 4)}; the clean "
                    "protocol leaves them out",
                    f"{len(unlisted)} unlisted",
                )


def _check_shared(exam: Examination, contents: Contents) -> None:
    names = contents.shared_categories
    _check_number(exam, SHARED_CATEGORIES, names, CLASSES["ave_avvp"])
    known = _trusted(exam, CATEGORIES, contents.avvp_categories)
    if names is not None and known is not None and (strange := unmatched(names, known)):
        remedy = "names must be in AVVP's spelling, to the letter: correct the line"
        exam.wrong(SHARED_CATEGORIES, f"lines that {CATEGORIES} does not have: {strange}", remedy)
    for sense, table in contents.shared.items():
        part = f"AVE_AVVP_eval_{sense}_checked_combined.csv"
        check_rows(exam, part, len(table.rows), exam.expected.rows("ave_avvp", sense))
        check_events(exam, part, table, _trusted(exam, SHARED_CATEGORIES, names))
        whole = contents.combined.get(sense)
        if whole is None or exam.faulty(part, f"AVVP_eval_{sense}_checked_combined.csv"):
            continue
        if foreign := [name for name in table.names if name not in whole.events]:
            exam.warn(
                part,
                f"clips that AVVP's own list does not have: {some(foreign)}",
                "the two lists are of different versions; get both from the same place",
                f"{len(foreign)} clips",
            )
