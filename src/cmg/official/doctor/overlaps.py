"""Clips that several lists share: what is trained on and then tested on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cmg.official.catalogue import (
    ANNOTATIONS,
    AVVP_EVENTS,
    LONGER,
    ORDERS,
    OVERLAPS,
    VGGSOUND,
    VGGSOUND_UCF,
)
from cmg.official.doctor.examination import Examination
from cmg.official.lists.avvp import EventTable, feature_key

_KNOW = "know of it: `cmg evaluate` counts such clips in its leak report"


def check_overlaps(exam: Examination) -> None:
    """Count shared ids; a warning at most, since the official lists overlap."""
    ave = _ave_ids(exam)
    _check_ave_splits(exam, ave)
    tables: dict[str, EventTable] = exam.there(AVVP_EVENTS)
    avvp = {feature_key(name) for table in tables.values() for name in table.names}
    evaluated = {
        "ave": set().union(*ave.values()) if ave else set(),
        "avvp": avvp,
        "ucf-vgg (VGGSound)": {clip.video_id for clip in exam.contents.get(VGGSOUND_UCF, ())},
    }
    for name, ids in _trained_on(exam).items():
        shared = {task: len(ids & clips) for task, clips in evaluated.items()}
        if any(shared.values()):
            told = ", ".join(
                f"{number:,} of {len(evaluated[task]):,} clips of {task}"
                for task, number in shared.items()
                if number
            )
            exam.warn(OVERLAPS, f"pre-training list {name} holds {told}", _KNOW)
    _check_avvp(exam, tables, evaluated["ave"], avvp)


def _ave_ids(exam: Examination) -> dict[str, set[str]]:
    rows = exam.trusted(ANNOTATIONS)
    orders = exam.there(ORDERS)
    if rows is None or exam.faulty(*(ORDERS[split] for split in orders)):
        return {}
    return {split: {rows[i].video_id for i in order} for split, order in orders.items()}


def _check_ave_splits(exam: Examination, ave: dict[str, set[str]]) -> None:
    pairs = (("train", "val"), ("train", "test"), ("val", "test"))
    shared = {f"{a} and {b}": len(ave[a] & ave[b]) for a, b in pairs if a in ave and b in ave}
    if any(shared.values()):
        told = ", ".join(f"{number} in {names}" for names, number in shared.items() if number)
        exam.warn(OVERLAPS, f"ids of AVE in two splits (a clip with two events): {told}", _KNOW)


def _trained_on(exam: Examination) -> dict[str, set[str]]:
    lists: dict[str, set[str]] = {}
    if (clips := exam.contents.get(VGGSOUND)) is not None:
        lists["24k"] = {clip.video_id for clip in clips if clip.split == "train"}
        lists["40k"] = {clip.video_id for clip in clips}
    for name, stems in exam.there(LONGER).items():
        lists[name.removeprefix("vggsound")] = {feature_key(stem) for stem in stems}
    return lists


def _check_avvp(
    exam: Examination, tables: Mapping[str, EventTable], ave: Collection[str], avvp: Collection[str]
) -> None:
    both = set(ave) & set(avvp)
    if both:
        exam.warn(OVERLAPS, f"ids in AVE and in AVVP (task ave-avvp): {len(both)}", _KNOW)
    if len(tables) == len(AVVP_EVENTS):
        heard, seen = (set(tables[s].names) for s in AVVP_EVENTS)
        if heard & seen:
            exam.note(
                OVERLAPS,
                f"avvp: {len(heard & seen):,} clips are in the audio list ({len(heard):,}) and in "
                f"the visual list ({len(seen):,}): the published protocol trains on one and tests "
                "on the other, so on the same videos",
            )
