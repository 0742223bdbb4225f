"""AVVP and AVE -> AVVP: tables of events, weak lists, and the categories AVE and AVVP share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain

from cmg.official.catalogue import (
    AVVP_DENSE,
    AVVP_EVENTS,
    AVVP_WEAK,
    PARTS,
    SHARED_EVENTS,
)
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.doctor.vggsound import repeated
from cmg.official.lengths import STEPS
from cmg.official.lists.avvp import EventTable, feature_key


def check_avvp(exam: Examination) -> None:
    """Check AVVP's lists, then those of the shared categories against them."""
    for part in chain(AVVP_EVENTS.values(), AVVP_DENSE.values(), SHARED_EVENTS.values()):
        table: EventTable | None = exam.contents.get(part)
        if table is not None:
            check_events(exam, part, table)
    for sense in AVVP_EVENTS:
        _check_dense(exam, AVVP_DENSE[sense], AVVP_EVENTS[sense])
        _check_shared(exam, SHARED_EVENTS[sense], AVVP_EVENTS[sense])
    _check_weak(exam)


def _check_dense(exam: Examination, part: str, combined: str) -> None:
    """The list with an event per row says the same as the one with a clip per row."""
    dense: EventTable | None = exam.contents.get(part)
    if dense is None:
        return
    told = f"{len(dense):,} events of {len(dense.names):,} clips"
    exam.complete(part, told)
    table: EventTable | None = exam.trusted(combined)
    if table is None or exam.faulty(part):
        return
    by_row = dense.events
    other = [n for n, events in table.events.items() if set(events) != set(by_row.get(n, ()))]
    exam.warn(
        part,
        f"events that {combined} has otherwise: {{}}; the combined list is the one that is read",
        "keep the official copies of both",
        "{} clips differ",
        other,
    )


def _check_weak(exam: Examination) -> None:
    weak: dict[str, dict[str, list[str]]] = exam.there(AVVP_WEAK)
    if twice := repeated(name for clips in weak.values() for name in clips):
        parts = [AVVP_WEAK[s] for s, clips in weak.items() if twice[0] in clips]
        remedy = exam.again(parts[-1], "the lists")
        exam.wrong(parts[-1], f"clips that {parts[0]} has too: {{}}", remedy, of=twice)
    tables: Mapping[str, EventTable] = exam.there(AVVP_EVENTS)
    listed = {"val", "test"} <= set(weak) and not exam.broken.intersection(AVVP_WEAK.values())
    for sense, table in tables.items() if listed else ():
        unlisted = sorted(set(table.names) - set(weak["val"]) - set(weak["test"]))
        exam.note(
            AVVP_EVENTS[sense],
            "clips of neither validation nor test: {}; the clean protocol leaves them out",
            "",
            "{} unlisted",
            unlisted,
        )


def _check_shared(exam: Examination, part: str, combined: str) -> None:
    """The clips of a list of shared categories are of AVVP's own list."""
    table: EventTable | None = exam.trusted(part)
    whole: EventTable | None = exam.trusted(combined)
    if table is not None and whole is not None:
        exam.warn(
            part,
            "clips that AVVP's own list does not have: {}",
            "the two lists are of different versions; get both from the same place",
            "{} clips",
            [name for name in table.names if name not in whole.events],
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


def check_events(exam: Examination, part: str, table: EventTable) -> None:
    """Say what is odd about the rows of a table."""
    categories = exam.trusted(PARTS[part].categories) or ()
    exam.wrong(
        part,
        "names of clips replaced by a category: {}; so it is in CPSP's copy of the list",
        exam.again(part, part),
        of=[name for name in table.names if name in categories],
    )
    _check_names(exam, part, table.names, categories)
    _check_times(exam, part, table)


def _check_names(
    exam: Examination, part: str, names: Collection[str], categories: Collection[str]
) -> None:
    odd = [name for name in names if is_odd(name)]
    exam.note(part, "known broken or foreign names: {}", "", "{} odd names", odd)
    exam.warn(
        part,
        "names that are not <11 characters>_<start>_<end>: {}; the first 11 characters are the "
        "name of the zip",
        "correct these names",
        "{} odd names",
        [n for n in names if n not in categories and n not in odd and not _NAME.fullmatch(n)],
    )
    keys = Counter(map(feature_key, names))
    clashing = [name for name in names if keys[feature_key(name)] > 1]
    exam.note(part, "clips that share the features of one id: {}", of=clashing)


def _check_times(exam: Examination, part: str, table: EventTable) -> None:
    events = [(name, event) for name, several in table.events.items() for event in several]
    outside = [n for n, e in events if not (0 <= e.onset <= STEPS and 0 <= e.offset <= STEPS)]
    detail = f"events outside the {STEPS} seconds of their clip: {{}}; they are cut"
    exam.warn(part, detail, found="{} events", of=outside)
    empty = [f"{n} {e.onset}-{e.offset}" for n, e in events if e.offset <= e.onset]
    exam.note(part, "empty or reversed events, which label nothing: {}", "", "{}", empty)
    twice = [name for (name, _), several in Counter(events).items() if several > 1]
    if twice:
        clips = some(dict.fromkeys(twice))
        exam.note(part, f"events listed twice, which change nothing: {clips}", "", f"{len(twice)}")
