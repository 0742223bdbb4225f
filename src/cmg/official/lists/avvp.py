"""AVVP (LLP): events per second, and weak labels per clip."""

from __future__ import annotations

from pathlib import Path

from cmg.data.labels import Event, parse_events
from cmg.errors import DataError
from cmg.tables import read_table

KEY_LENGTH = 11


def feature_key(filename: str) -> str:
    """Name of a clip's features, as the release cuts it: the first 11 characters.

    A few names in the lists carry a shorter id, so that their key takes in part of the time.
    """
    return filename[:KEY_LENGTH]


def read_events(path: Path) -> dict[str, list[Event]]:
    """Events per clip, from a dense list (an event per row) or a combined one (a clip per row).

    Raises:
        DataError: another dialect, lists of different length in a row, or a time that is no whole
            second.
    """
    clips: dict[str, list[Event]] = {}
    for row in read_table(path, "\t", ("filename", "onset", "offset", "event_labels")):
        try:
            events = parse_events(row.cells)
        except DataError as error:
            raise DataError(f"{path}, line {row.line}: {error}") from error
        clips.setdefault(row.cells["filename"], []).extend(events)
    return clips


def read_weak(path: Path) -> dict[str, list[str]]:
    """Categories per clip of ``AVVP_train.csv``, ``AVVP_val_pd.csv`` or ``AVVP_test_pd.csv``.

    Raises:
        DataError: another dialect.
    """
    rows = read_table(path, "\t", ("filename", "event_labels"))
    return {row.cells["filename"]: row.cells["event_labels"].split(",") for row in rows}
