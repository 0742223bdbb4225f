"""AVVP (LLP): events per second, and weak labels per clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cmg.data.labels import Event, parse_events
from cmg.official.lists.categories import check_category
from cmg.official.lists.dialect import Categories, Dialect

KEY_LENGTH = 11


def feature_key(filename: str) -> str:
    """Name of a clip's features, as the release cuts it: the first 11 characters.

    A few names in the lists carry a shorter id, so that their key takes in part of the time.
    """
    return filename[:KEY_LENGTH]


@dataclass(frozen=True)
class EventTable:
    """The rows of a list of events.

    Attributes:
        rows: (name of the clip, its events in that row).
    """

    rows: list[tuple[str, list[Event]]]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def names(self) -> list[str]:
        """Names of the clips, by first appearance."""
        return list(dict.fromkeys(name for name, _ in self.rows))

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        """Events per clip."""
        clips: dict[str, list[Event]] = {}
        for name, events in self.rows:
            clips.setdefault(name, []).extend(events)
        return clips


def _events(cells: Mapping[str, str], categories: Categories) -> tuple[str, list[Event]]:
    events = parse_events(cells)
    for event in events:
        check_category(event.name, categories)
    return cells["filename"], events


def _weak(cells: Mapping[str, str], categories: Categories) -> tuple[str, list[str]]:
    names = cells["event_labels"].split(",")
    for name in names:
        check_category(name, categories)
    return cells["filename"], names


read_events = Dialect(("filename", "onset", "offset", "event_labels"), _events, EventTable, "\t")
"""A dense list (an event a row) or a combined one (a clip a row)."""
read_weak = Dialect(("filename", "event_labels"), _weak, dict[str, list[str]], "\t")
"""Categories per clip of a weakly labeled list."""
