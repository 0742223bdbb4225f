"""AVVP and AVE -> AVVP: tables of events, weak lists, and the categories AVE and AVVP share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

from cmg.official.catalogue import (
    AVVP_CATEGORIES,
    AVVP_DENSE,
    AVVP_EVENTS,
    AVVP_WEAK,
    SHARED_CATEGORIES,
    SHARED_EVENTS,
)
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.doctor.vggsound import repeated
from cmg.official.lengths import STEPS
from cmg.official.lists.avvp import EventTable, feature_key


def check_avvp(exam: Examination) -> None:
    """Check AVVP's lists, then those of the shared categories against them."""
    combined = _check_tables(exam, AVVP_EVENTS, AVVP_CATEGORIES)
    dense = _check_tables(exam, AVVP_DENSE, AVVP_CATEGORIES)
    for sense in (s for s in dense if s in combined):
        _check_dense(exam, sense, dense[sense], combined[sense])
    _check_weak(exam, combined)
    remedy = "names must be in AVVP's spelling, to the letter: correct the line"
    shared = exam.contents.get(SHARED_CATEGORIES, ())
    exam.known(SHARED_CATEGORIES, shared, AVVP_CATEGORIES, remedy, "lines{}")
    for sense, table in _check_tables(exam, SHARED_EVENTS, SHARED_CATEGORIES).items():
        _check_shared(exam, sense, table)


def _check_tables(
    exam: Examination, lists: Mapping[str, str], categories: str
) -> Mapping[str, EventTable]:
    """Check the tables of events that are there, each for itself."""
    found: dict[str, EventTable] = exam.there(lists)
    for sense, table in found.items():
        if lists is AVVP_DENSE:
            told = f"{len(table.rows):,} events of {len(table.names):,} clips"
            exam.complete(lists[sense], told)
        else:
            exam.rows(lists[sense], len(table.rows))
        check_events(exam, lists[sense], table, categories)
    return found


def _check_dense(exam: Examination, sense: str, dense: EventTable, combined: EventTable) -> None:
    """The list with an event per row says the same as the one with a clip per row."""
    part, other_part = AVVP_DENSE[sense], AVVP_EVENTS[sense]
    by_row, by_clip = dense.events, combined.events
    other = [name for name, events in by_clip.items() if set(events) != set(by_row.get(name, ()))]
    if other and not exam.faulty(part, other_part):
        exam.warn(
            part,
            f"events that {other_part} has otherwise: {some(other)}; the combined list is the one "
            "that is read",
            "keep the official copies of both",
            f"{len(other)} clips differ",
        )


def _check_weak(exam: Examination, combined: Mapping[str, EventTable]) -> None:
    weak: dict[str, dict[str, list[str]]] = exam.there(AVVP_WEAK)
    for split, clips in weak.items():
        exam.rows(AVVP_WEAK[split], len(clips))
        named = [name for several in clips.values() for name in several]
        remedy = "names must be equal to the letter: correct them"
        exam.known(AVVP_WEAK[split], named, AVVP_CATEGORIES, remedy)
    if twice := repeated(name for clips in weak.values() for name in clips):
        parts = [AVVP_WEAK[s] for s, clips in weak.items() if twice[0] in clips]
        remedy = exam.again(parts[-1], "the lists")
        exam.wrong(parts[-1], f"clips that {parts[0]} has too: {some(twice)}", remedy)
    for sense, table in combined.items() if {"val", "test"} <= set(weak) else ():
        if unlisted := sorted(set(table.names) - set(weak["val"]) - set(weak["test"])):
            exam.note(
                AVVP_EVENTS[sense],
                f"clips of neither validation nor test: {some(unlisted, 4)}; the clean "
                "protocol leaves them out",
                f"{len(unlisted)} unlisted",
            )


def _check_shared(exam: Examination, sense: str, table: EventTable) -> None:
    """The clips of a list of shared categories are of AVVP's own list."""
    whole: EventTable | None = exam.trusted(AVVP_EVENTS[sense])
    if whole is None or exam.faulty(SHARED_EVENTS[sense]):
        return
    if foreign := [name for name in table.names if name not in whole.events]:
        exam.warn(
            SHARED_EVENTS[sense],
            f"clips that AVVP's own list does not have: {some(foreign)}",
            "the two lists are of different versions; get both from the same place",
            f"{len(foreign)} clips",
        )


_NAME = re.compile(r"[\w-]{11}_\d+_\d+")
_ODD = frozenset(
    "17iGUal2M_10_20 CSWQ_HzQ_10_20 7X3oSVoA_90_100 VMTJRpjbE_150_160 P7x4FV4lg_570_580 "
    "19jWnmYnlD8_30_40 19jWnmYnlD8_30_400 AkAfFL5Q4QA_30_40 12eWNawPekw_30_40 "
    "KvIjsmANkxI_10_20`".split()
)
"""Broken or foreign names of the official lists: their ids are cut short, so that the first 11
characters take in part of the time, or they are of no split."""


def is_odd(name: str) -> bool:
    """Whether a clip of this name is known to be broken in the official lists."""
    return name in _ODD


def check_events(exam: Examination, part: str, table: EventTable, categories: str) -> None:
    """Say what is wrong with the rows of a table, and what is odd about them."""
    named = (event.name for _, events in table.rows for event in events)
    remedy = "names must be equal to the letter: correct them, or remove these events"
    exam.known(part, named, categories, remedy, "categories{}; the authors' program stops there")
    known = exam.trusted(categories) or ()
    if replaced := [name for name in table.names if name in known]:
        exam.wrong(
            part,
            f"names of clips replaced by a category: {some(replaced)}; so it is in CPSP's copy "
            "of the list",
            exam.again(part, part),
        )
    _check_names(exam, part, table, known)
    _check_times(exam, part, table)


def _check_names(
    exam: Examination, part: str, table: EventTable, categories: Collection[str]
) -> None:
    names = table.names
    odd = [name for name in names if is_odd(name)]
    strange = [n for n in names if n not in categories and n not in odd and not _NAME.fullmatch(n)]
    if odd:
        exam.note(part, f"known broken or foreign names: {some(odd, 4)}", f"{len(odd)} odd names")
    if strange:
        exam.warn(
            part,
            f"names that are not <11 characters>_<start>_<end>: {some(strange)}; the first 11 "
            "characters are the name of the zip",
            "correct these names",
            f"{len(strange)} odd names",
        )
    keys = Counter(feature_key(name) for name in names)
    if clashing := [name for name in names if keys[feature_key(name)] > 1]:
        exam.note(part, f"clips that share the features of one id: {some(clashing)}")


def _check_times(exam: Examination, part: str, table: EventTable) -> None:
    events = [(name, event) for name, several in table.events.items() for event in several]
    outside = [n for n, e in events if not (0 <= e.onset <= STEPS and 0 <= e.offset <= STEPS)]
    if outside:
        exam.warn(
            part,
            f"events outside the {STEPS} seconds of their clip: {some(outside)}; they are cut",
            found=f"{len(outside)} events",
        )
    empty = [f"{n} {e.onset}-{e.offset}" for n, e in events if e.offset <= e.onset]
    if empty:
        exam.note(
            part, f"empty or reversed events, which label nothing: {some(empty)}", f"{len(empty)}"
        )
    twice = [name for (name, _), several in Counter(events).items() if several > 1]
    if twice:
        clips = some(dict.fromkeys(twice))
        exam.note(part, f"events listed twice, which change nothing: {clips}", f"{len(twice)}")
