"""A dialect of the authors' lists: its columns, told once for reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cmg.tables import Faults, read_table

T = TypeVar("T")
Categories = Collection[str] | None
"""The categories that a list may name; None where that is not to be checked."""


@dataclass(frozen=True)
class Dialect(Generic[T]):
    """Reads a table with a header.

    Attributes:
        columns: Of the header; a file may have more.
        parse: Makes something of the cells of a row and the categories that it may name.
        delimiter: Between the cells.
    """

    columns: tuple[str, ...]
    parse: Callable[[dict[str, str], Categories], T]
    delimiter: str = ","

    def __call__(
        self, path: Path, faults: Faults | None = None, categories: Categories = None
    ) -> list[T]:
        """What the rows say, in the file's order.

        Raises:
            DataError: another dialect; and where no `faults` get it, what is wrong with rows.
        """
        return read_table(
            path,
            lambda row: self.parse(row.cells, categories),
            self.delimiter,
            self.columns,
            faults=faults,
        )
