"""AVVP (LLP): events per second, and weak labels per clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cmg.data.labels import Event, parse_events
from cmg.errors import DataError
from cmg.tables import read_table

EVENT_COLUMNS = ("filename", "onset", "offset", "event_labels")
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
        malformed: Messages about rows that cannot be read.
    """

    rows: list[tuple[str, list[Event]]]
    malformed: list[str]

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


def read_events(path: Path, strict: bool = True) -> EventTable:
    """Read a dense list (an event a row) or a combined one (a clip a row).

    Args:
        path: The list.
        strict: Whether a row that cannot be read is an error; otherwise it is told in the table.

    Raises:
        DataError: another dialect; or, if `strict`, lists of different length in a row, or a time
            that is no whole second.
    """
    rows, malformed = [], []
    for row in read_table(path, "\t", EVENT_COLUMNS):
        try:
            rows.append((row.cells["filename"], parse_events(row.cells)))
        except DataError as error:
            if strict:
                raise DataError(f"{path}, line {row.line}: {error}") from error
            malformed.append(f"line {row.line}: {error}")
    return EventTable(rows, malformed)


def read_weak(path: Path) -> dict[str, list[str]]:
    """Categories per clip of ``AVVP_train.csv``, ``AVVP_val_pd.csv`` or ``AVVP_test_pd.csv``.

    Raises:
        DataError: another dialect.
    """
    rows = read_table(path, "\t", ("filename", "event_labels"))
    return {row.cells["filename"]: row.cells["event_labels"].split(",") for row in rows}
