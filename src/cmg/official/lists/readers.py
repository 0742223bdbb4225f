"""The dialects of the authors' lists by their names in the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cmg.official.lists.ave import read_annotations
from cmg.official.lists.avsbench import S4_COLUMNS, read_s4
from cmg.official.lists.avvp import read_events, read_weak
from cmg.official.lists.clips import read_avel, read_checked, read_names, read_ucf
from cmg.official.lists.dialect import Categories, Dialect
from cmg.tables import Faults
from cmg.text.prompts import read_prompts

Read = Callable[[Path, Faults | None, Categories], Any]
"""What a list says; `faults` get what is wrong with lines, which is raised without."""


def _of_all(read: Callable[[Path, Faults | None], Any]) -> Read:
    """A reader that knows what the categories are, or names none."""
    return lambda path, faults, categories: read(path, faults)


READERS: dict[str, Read] = {
    "clips": read_avel,
    "clips-without-split": read_ucf,
    "files": read_checked,
    "names": read_names,
    "prompts": _of_all(read_prompts),
    "annotations": _of_all(read_annotations),
    "events": read_events,
    "weak": read_weak,
    "s4": _of_all(read_s4),
}
TABLES = {name: read for name, read in READERS.items() if isinstance(read, Dialect)}
COLUMNS = {name: table.columns for name, table in TABLES.items()} | {
    "prompts": ("label", "prompt"),
    "s4": S4_COLUMNS,
}
"""Of the dialects that are tables with a header."""
TABBED = [name for name, table in TABLES.items() if table.delimiter == "\t"]
"""Those with tabs between the cells, where others have commas."""
