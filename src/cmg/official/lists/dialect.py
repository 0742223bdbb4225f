"""A dialect of the authors' lists: its columns, told once for reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cmg.tables import Faults, TableRow, read_table

T = TypeVar("T")
R = TypeVar("R")
Categories = Collection[str] | None
"""The categories that a list may name; None where that is not to be checked."""


@dataclass(frozen=True)
class Dialect(Generic[T, R]):
    """Reads a table with a header.

    Attributes:
        columns: Of the header; a file may have more.
        parse: Makes something of the cells of a row and the categories that it may name.
        gather: Makes something of all of these, in the file's order.
        delimiter: Between the cells.
    """

    columns: tuple[str, ...]
    parse: Callable[[dict[str, str], Categories], T]
    gather: Callable[[list[T]], R]
    delimiter: str = ","

    def __call__(
        self, path: Path, faults: Faults | None = None, categories: Categories = None
    ) -> R:
        """What the file says.

        Raises:
            DataError: another dialect; and where no `faults` get it, what is wrong with rows.
        """

        def parse(row: TableRow) -> T:
            return self.parse(row.cells, categories)

        return self.gather(read_table(path, parse, self.delimiter, self.columns, faults=faults))
