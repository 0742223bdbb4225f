"""Rows that are read when they are asked for: a store of ten million clips opens as one of ten."""

from __future__ import annotations

import hashlib
import mmap
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cmg.data.index import BLOCK, RowIndex
from cmg.data.manifest import CLIPS, ClipRow
from cmg.errors import DataError


class LazyRows(Sequence[ClipRow]):
    """Rows that are not kept in memory; a row that is asked for twice is made twice."""

    @abstractmethod
    def row(self, at: int) -> ClipRow:
        """One row, `at` is in ``range(len(self))``."""

    def chosen(self, at: range) -> Sequence[ClipRow]:
        """Some rows."""
        return [self.row(i) for i in at]

    @overload
    def __getitem__(self, at: int) -> ClipRow: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ClipRow]: ...
    def __getitem__(self, at: int | slice) -> ClipRow | Sequence[ClipRow]:
        """A row, or some of them."""
        if isinstance(at, slice):
            return self.chosen(range(*at.indices(len(self))))
        place = operator.index(at)
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"no row {at}; there are {len(self)}")
        return self.row(place)


class IndexedRows(LazyRows):
    """The rows of a `clips.jsonl` with an index.

    Lines are read from a memory map, by any number of threads. Each block of lines is compared
    with its checksum once per process. Pickled is only where the rows are.

    Args:
        folder: The store.
        index: Of its rows.
    """

    def __init__(self, folder: Path, index: RowIndex) -> None:
        self.path = folder / CLIPS
        self.folder = folder
        self.known = index
        self._map: mmap.mmap | None = None
        self._sound = np.zeros(len(index.blocks), np.bool_)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled are folder and index."""
        return IndexedRows, (self.folder, self.known)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.known)

    def row(self, at: int) -> ClipRow:
        """One row.

        Raises:
            DataError: its block was edited after the store was written.
        """
        (found,) = self._within(at, at + 1)
        return found

    def chosen(self, at: range) -> list[ClipRow]:
        """Some rows, read block by block where they follow each other."""
        if at.step == 1:
            return list(self._following(at.start, at.stop))
        return [self.row(i) for i in at]

    def __iter__(self) -> Iterator[ClipRow]:
        """All rows, block by block."""
        return self._following(0, len(self))

    def _following(self, first: int, last: int) -> Iterator[ClipRow]:
        while first < last:
            end = min(last, (first // BLOCK + 1) * BLOCK)
            yield from self._within(first, end)
            first = end

    def _within(self, first: int, last: int) -> list[ClipRow]:
        """The rows [first, last), all of one block."""
        self._check(first // BLOCK)
        lines = self.known.lines[first : last + 1].tolist()
        text = self._text(lines[0], lines[-1])
        rows = []
        try:
            for start, end in pairwise(lines):
                line = text[start - lines[0] : end - lines[0]]
                rows.append(ClipRow.model_validate_json(line))
        except ValidationError as error:
            raise self.known.refused(f"is not that of {self.path}: no line at {start}") from error
        for name, ends in self.known.steps.items():
            steps = ends[first : last + 1].tolist()
            if any(
                b - a != r.lengths.get(name, 0)
                for (a, b), r in zip(pairwise(steps), rows, strict=True)
            ):
                raise self.known.refused(f"and {self.path} differ in lengths of {name}")
        return rows

    def _check(self, block: int) -> None:
        """Compare a block with its checksum, unless that was done."""
        if self._sound[block]:
            return
        first, last = block * BLOCK, min((block + 1) * BLOCK, len(self))
        text = self._text(int(self.known.lines[first]), int(self.known.lines[last]))
        if hashlib.sha256(text).digest() != self.known.blocks[block].tobytes():
            raise DataError(
                f"{self.path}, lines {first + 1} to {last}, was edited or damaged after the store "
                "was written (checksum differs); restore it, or write the store again"
            )
        self._sound[block] = True  # threads that come at the same time say the same

    def _text(self, first: int, last: int) -> bytes:
        kept = self._map
        if kept is None:
            try:
                with self.path.open("rb") as stream:
                    kept = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise DataError(f"{self.path}: {error}; restore or rewrite it") from error
            self._map = kept
        return kept[first:last]


class ChosenRows(LazyRows):
    """Some of the rows of another sequence.

    Args:
        rows: All.
        positions: int64 [N], of the chosen ones.
    """

    def __init__(self, rows: Sequence[ClipRow], positions: NDArray[np.int64]) -> None:
        self.rows = rows
        self.positions = positions

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.positions)

    def row(self, at: int) -> ClipRow:
        """One row."""
        return self.rows[int(self.positions[at])]

    def chosen(self, at: range) -> ChosenRows:
        """Some rows, as lazy as these."""
        return ChosenRows(self.rows, self.positions[_slice(at)])


class ChangedRows(LazyRows):
    """Rows of another sequence, changed as they are read.

    Args:
        rows: As they are.
        change: Makes a row of a row; can be pickled if this is to be.
    """

    def __init__(self, rows: Sequence[ClipRow], change: Callable[[ClipRow], ClipRow]) -> None:
        self.rows = rows
        self.change = change

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def row(self, at: int) -> ClipRow:
        """One row."""
        return self.change(self.rows[at])

    def __iter__(self) -> Iterator[ClipRow]:
        """All rows."""
        return map(self.change, self.rows)


def _slice(at: range) -> slice:
    """The slice that selects a range; one that ends before the first element has no number."""
    if not len(at):
        return slice(0, 0)
    return slice(at.start, at.stop if at.stop >= 0 else None, at.step)
