"""AVVP (LLP): events per second and modality, on the features of the Uni-Code authors."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.data.labels import Event
from cmg.official.catalogue import (
    AVVP_CATEGORIES,
    AVVP_DENSE,
    AVVP_EVENTS,
    AVVP_WEAK,
    SHARED_CATEGORIES,
    SHARED_EVENTS,
)
from cmg.official.dataset import OfficialDataset, events_as_label, step_label
from cmg.official.datasets.zipped import clip_row, zip_folders, zipped_dataset
from cmg.official.layout import Layout
from cmg.official.lengths import STEPS
from cmg.official.lists.avvp import feature_key, read_events, read_weak
from cmg.tables import read_lines

UNLISTED = "unlisted"
Events = dict[str, list[Event]]


def read_avvp(layout: Layout) -> OfficialDataset:
    """AVVP: clips with events that are heard, seen, or both; and the weakly labeled ones.

    Raises:
        DataError: a part is missing or damaged, or an event has an unknown category.
    """
    categories = read_lines(layout.need(AVVP_CATEGORIES, purpose="avvp"))
    folders = zip_folders(layout, "avvp", ("audio", "video"))
    heard = _events(layout, "audio", categories)
    seen = _events(layout, "visual", categories)
    lists = {
        split: read_weak(path, categories=categories if split == "train" else None)
        for split, name in AVVP_WEAK.items()
        if (path := layout.file(name))
    }
    split_of = {name: split for split, clips in lists.items() for name in clips}
    dense: dict[str, tuple[list[str], Events]] = {
        "audio": (categories, heard),
        "visual": (categories, seen),
    }
    shared_file = layout.file(SHARED_CATEGORIES)
    if shared_file is not None:
        shared = read_lines(shared_file)
        for sense, name in SHARED_EVENTS.items():
            path = layout.file(name)
            events = read_events(path, categories=shared).events if path else {}
            dense[f"shared_{sense}"] = (shared, events)
    weak = lists.get("train", {})
    rows = []
    named = [name for _, events in dense.values() for name in events]
    for name in dict.fromkeys([*named, *weak]):
        key = feature_key(name)
        labels = {
            label: _label(events.get(name), classes, name)
            for label, (classes, events) in dense.items()
        }
        labels["weak"] = _weak_label(weak.get(name), categories)
        rows.append(clip_row(key, split_of.get(name, UNLISTED), folders, labels, name))
    specified = {label: step_label(classes) for label, (classes, _) in dense.items()}
    specified["weak"] = step_label(categories)
    notes = "AVVP (LLP); a clip is absent from `audio` (`visual`) where its list leaves it out."
    return zipped_dataset("avvp", layout, rows, specified, folders, notes)


def _events(layout: Layout, sense: str, categories: Sequence[str]) -> Events:
    path = layout.need(AVVP_EVENTS[sense], AVVP_DENSE[sense], purpose="avvp")
    return read_events(path, categories=categories).events


def _label(
    events: Sequence[Event] | None, classes: Sequence[str], name: str
) -> list[list[int]] | None:
    if events is None:
        return None
    return events_as_label(events, classes, STEPS, f"AVVP clip {name!r}")


def _weak_label(names: Sequence[str] | None, categories: Sequence[str]) -> list[list[int]] | None:
    """Every listed class at every second, no background, as the release's weak loader has it."""
    if names is None:
        return None
    return [sorted({categories.index(name) for name in names})] * STEPS
