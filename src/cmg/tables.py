"""Delimited text with a header, JSON lines, and plain lines; all that is wrong is told at once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cmg.errors import DataError
from cmg.files import read_text

T = TypeVar("T")

DELIMITERS = {",": "commas", "\t": "tabs", "&": "ampersands"}


TOLD = 10
"""Kinds of faults of a file that are told at once, with as many lines each; of more, the number."""


@dataclass(frozen=True)
class TableRow:
    """One row; `line` counts from 1, the header's."""

    line: int
    cells: dict[str, str]


class Faults:
    """What is wrong with the lines of a file: collected, and told at once.

    A reader that is handed one gives what it could read, and its caller looks here; without, it
    makes one of its own and raises what is in it.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, list[int]] = {}
        """Where every kind of fault is."""

    @contextmanager
    def line(self, number: int) -> Iterator[None]:
        """Where a line is read: what is wrong with it does not end the reading of the others."""
        try:
            yield
        except DataError as error:
            self.lines.setdefault(str(error), []).append(number)

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def __str__(self) -> str:
        told = [
            f"line{'s' if len(lines) > 1 else ''} {_few(lines)}: {fault}"
            for fault, lines in self.lines.items()
        ]
        if len(told) == 1:
            return f"{self.path}, {told[0]}"
        more = [f"and {len(told) - TOLD:,} other faults"] if len(told) > TOLD else []
        shown = "\n  ".join([*told[:TOLD], *more])
        return f"{self.path}: {len(self):,} lines are wrong\n  {shown}"

    def refuse(self) -> None:
        """Raise what was collected, if anything was.

        Raises:
            DataError: something is wrong.
        """
        if self.lines:
            raise DataError(str(self))


def _few(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - TOLD:,} more" if len(lines) > TOLD else ""
    return ", ".join(map(str, lines[:TOLD])) + more


def read_table(
    path: Path,
    parse: Callable[[TableRow], T],
    delimiter: str = ",",
    required: Sequence[str] = (),
    strip: bool = False,
    header: Callable[[list[str]], None] | None = None,
    faults: Faults | None = None,
) -> list[T]:
    """What the rows of a table with a header say.

    Args:
        path: UTF-8, lines ending in LF or CRLF.
        parse: Makes something of a row, or raises a :class:`DataError` that needs name no place.
        delimiter: Between cells.
        required: Columns that must be there; others may be.
        strip: Whether white space around cells is no part of them, and what is nothing else is no
            row and no name of a column.
        header: Told the names of the columns before any row is parsed.
        faults: Gets what is wrong with rows; without, it is raised.

    Raises:
        DataError: unreadable, another dialect, a missing column, a column without a name of its
            own, or no row; and what is wrong with rows, all at once.
    """
    lines = _cells(path, delimiter, strip)
    names = [cell.strip() for cell in lines[0][1]] if lines else []
    told = DELIMITERS[delimiter]
    if missing := [column for column in required if column not in names]:
        raise DataError(
            f"{path}, line 1: no column {missing[0]!r} in {names}; expected a header with "
            f"{', '.join(required)}, separated by {told}"
        )
    if len(set(names)) < len(names) or (strip and "" in names):
        raise DataError(f"{path}, line 1: every column needs a name of its own, not {names}")
    if len(lines) < 2:
        raise DataError(f"{path} lists nothing: there is no row below its header")
    if header is not None:
        header(names)
    found, rows = Faults(path) if faults is None else faults, []
    for line, cells in lines[1:]:
        with found.line(line):
            if len(cells) != len(names):
                raise DataError(
                    f"{len(cells)} cells where the header has {len(names)}; cells are separated "
                    f"by {told}, and in double quotes where they hold one"
                )
            rows.append(parse(TableRow(line, dict(zip(names, cells, strict=True)))))
    if faults is None:
        found.refuse()
    return rows


def read_records(
    path: Path,
    parse: Callable[[int, dict[str, Any]], T],
    required: Sequence[str] = (),
    header: Callable[[list[str]], None] | None = None,
) -> list[T]:
    """What the rows of a comma-separated table say, or the objects of JSON lines.

    Args:
        path: JSON lines if it ends in ``.jsonl`` or ``.json``.
        parse: Makes something of a line's number and what is in it, as for :func:`read_table`.
        required: Columns that a table must have.
        header: As for :func:`read_table`.

    Raises:
        DataError: as :func:`read_table` does; a line is no JSON, has NaN, a key twice or half a
            character, or is no object.
    """
    if path.suffix.lower() not in (".jsonl", ".json"):
        return read_table(path, lambda row: parse(row.line, row.cells), ",", required, True, header)
    found, faults = [], Faults(path)
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            with faults.line(number):
                found.append(parse(number, _object(line)))
    faults.refuse()
    return found


def once(lines: dict[str, int], name: str, line: int) -> None:
    """Take note of an id, which is one of a kind.

    Args:
        lines: By the ids before it; gets the new one.
        name: The id.
        line: It is in.

    Raises:
        DataError: it was there before.
    """
    if lines.setdefault(name, line) != line:
        raise DataError(f"the id {name!r} is in line {lines[name]} already; remove one of the two")


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON in UTF-8 ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"not an object: {line.strip()[:40]}")
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key is there twice: {', '.join(name for name, _ in pairs)}")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON; write null")


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
        told = ", ".join(map(repr, dict.fromkeys(twice)))
        raise DataError(f"{path} lists {told} twice; every line is a class of its own")
    return names
