"""AVVP and AVE -> AVVP: tables of events, weak lists, and the categories AVE and AVVP share."""

from __future__ import annotations

from collections.abc import Mapping

from cmg.official.catalogue import PARTS
from cmg.official.doctor.events import check_events
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.doctor.vggsound import repeated
from cmg.official.lists.avvp import EventTable
from cmg.official.names import (
    AVVP_CATEGORIES,
    AVVP_DENSE,
    AVVP_EVENTS,
    AVVP_WEAK,
    SHARED_CATEGORIES,
    SHARED_EVENTS,
)


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
        remedy = f"get the lists again from {PARTS[parts[-1]].source}"
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
