"""Delimited text with a header, and plain lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.files import read_text

DELIMITERS = {",": "commas", "\t": "tabs", "&": "ampersands"}


@dataclass(frozen=True)
class TableRow:
    """One row; `line` counts from 1, the header's."""

    line: int
    cells: dict[str, str]


def read_table(
    path: Path, delimiter: str = ",", required: Sequence[str] = (), strip: bool = False
) -> list[TableRow]:
    """Rows of a table with a header.

    Args:
        path: UTF-8, lines ending in LF or CRLF.
        delimiter: Between cells.
        required: Columns that must be there; others may be.
        strip: Whether white space around cells is no part of them, and what is nothing else is no
            row and no name of a column.

    Raises:
        DataError: unreadable, another dialect, a missing column, a column without a name of its
            own, or rows of another width.
    """
    lines = _cells(path, delimiter, strip)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    told = DELIMITERS[delimiter]
    if missing := [column for column in required if column not in header]:
        raise DataError(
            f"{path}, line 1: no column {missing[0]!r} in {header}; expected a header with "
            f"{', '.join(required)}, separated by {told}"
        )
    if len(set(header)) < len(header) or (strip and "" in header):
        raise DataError(f"{path}, line 1: every column needs a name of its own, not {header}")
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}; "
                f"cells are separated by {told}, and in double quotes where they hold one"
            )
        rows.append(TableRow(line, dict(zip(header, cells, strict=True))))
    if not rows:
        raise DataError(f"{path} lists nothing: there is no row below its header")
    return rows


def _cells(path: Path, delimiter: str, strip: bool) -> list[tuple[int, list[str]]]:
    """The cells of every line that has some."""
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: no table ({error}); repair it or get it again"
        ) from error
    if not strip:
        return lines
    stripped = [(line, [cell.strip() for cell in cells]) for line, cells in lines]
    return [(line, cells) for line, cells in stripped if any(cells)]


def read_lines(path: Path) -> list[str]:
    """Stripped lines of a category file, empty ones left out.

    Raises:
        DataError: unreadable, empty, or a name twice.
    """
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path} lists nothing")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise DataError(f"{path} lists {twice[0]!r} twice; every line is a class of its own")
    return names
