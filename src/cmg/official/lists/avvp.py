"""AVVP (LLP): events per second, and weak labels per clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cmg.data.labels import Event, parse_events
from cmg.tables import Faults, TableRow, read_table

EVENT_COLUMNS = ("filename", "onset", "offset", "event_labels")
WEAK_COLUMNS = ("filename", "event_labels")
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


def read_events(path: Path, faults: Faults | None = None) -> EventTable:
    """Read a dense list (an event a row) or a combined one (a clip a row).

    Raises:
        DataError: another dialect, lists of different length in a row, or a time that is no whole
            second.
    """

    def clip(row: TableRow) -> tuple[str, list[Event]]:
        return row.cells["filename"], parse_events(row.cells)

    return EventTable(read_table(path, clip, "\t", EVENT_COLUMNS, faults=faults))


def read_weak(path: Path, faults: Faults | None = None) -> dict[str, list[str]]:
    """Categories per clip of a weakly labeled list.

    Raises:
        DataError: another dialect.
    """

    def clip(row: TableRow) -> tuple[str, list[str]]:
        return row.cells["filename"], row.cells["event_labels"].split(",")

    return dict(read_table(path, clip, "\t", WEAK_COLUMNS, faults=faults))
