"""The dialects of the authors' lists: how each is read, and which columns it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cmg.official.catalogue import Part
from cmg.official.lists.ave import read_annotations, read_order
from cmg.official.lists.avsbench import S4_COLUMNS, read_s4
from cmg.official.lists.avvp import EVENT_COLUMNS, WEAK_COLUMNS, read_events, read_weak
from cmg.official.lists.clips import (
    CLIP_COLUMNS,
    FILE_COLUMNS,
    UCF_COLUMNS,
    read_avel,
    read_checked,
    read_ucf,
)
from cmg.tables import Faults, read_lines
from cmg.text import read_prompts


class Read(Protocol):
    """Reads a list."""

    def __call__(self, path: Path, faults: Faults | None = None) -> Any:
        """What it says; `faults` gets what is wrong with lines, which is raised without."""


@dataclass(frozen=True)
class Dialect:
    """How a list is written.

    Attributes:
        read: Reads it.
        columns: Of its header; none for what is no table.
        delimiter: Between the cells.
    """

    read: Read
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def _at_once(read: Callable[[Path], Any]) -> Read:
    """A reader of what has no lines with faults of their own."""
    return lambda path, faults=None: read(path)


DIALECTS = {
    "clips": Dialect(read_avel, CLIP_COLUMNS),
    "clips-without-split": Dialect(read_ucf, UCF_COLUMNS),
    "files": Dialect(read_checked, FILE_COLUMNS),
    "names": Dialect(_at_once(read_lines)),
    "prompts": Dialect(read_prompts, ("label", "prompt")),
    "annotations": Dialect(read_annotations),
    "order": Dialect(_at_once(partial(read_order, rows=1 << 31))),  # which there are is said later
    "events": Dialect(read_events, EVENT_COLUMNS, "\t"),
    "weak": Dialect(read_weak, WEAK_COLUMNS, "\t"),
    "s4": Dialect(read_s4, S4_COLUMNS),
}


def read_list(part: Part, path: Path, faults: Faults | None = None) -> Any:
    """What a list says.

    Args:
        part: Which it is.
        path: Where it is.
        faults: Gets what is wrong with its lines; without, it is raised.

    Raises:
        DataError: it is unreadable, or in another dialect.
    """
    return DIALECTS[part.dialect].read(path, faults)
