"""Tables of events, AVVP's and those of the shared categories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from cmg.official.catalogue import PARTS
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.lengths import STEPS
from cmg.official.lists.avvp import EventTable, feature_key

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
    if broken := table.malformed:
        exam.wrong(
            part,
            some(broken, 2),
            f"get {part} again from {PARTS[part].source}",
            f"{len(broken)} broken rows",
        )
    named = (event.name for _, events in table.rows for event in events)
    remedy = "names must be equal to the letter: correct them, or remove these events"
    exam.known(part, named, categories, remedy, "categories{}; the authors' program stops there")
    known = exam.trusted(categories) or ()
    if replaced := [name for name in table.names if name in known]:
        exam.wrong(
            part,
            f"names of clips replaced by a category: {some(replaced)}; so it is in CPSP's copy "
            "of the list",
            f"get {part} again from {PARTS[part].source}",
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
