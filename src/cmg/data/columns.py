"""The columns of a store: what is known of its clips beside features, memory mapped at any size.

`clips.safetensors`, for N clips::

    ids, ids.ends        uint8 [bytes], int64 [N + 1]  the ids in UTF-8, one after the other
    split                int32 [N]                     number of the split in the manifest's order
    split.<name>         int64 [clips]                 positions of the clips of the split
    steps.<modality>     int64 [N + 1]                 steps of the modality in all clips before i
    label.<name>         int64 [N]                     of a label per clip, -1 where unlabelled
    rest, rest.ends      uint8 [bytes], int64 [N + 1]  other labels and meta in JSON, or nothing

A row is made of them when it is asked for. What is not read is not trusted: an offset or a text
that makes no sense is an error when it is met, and `cmg data verify` compares all of the file with
its checksum, as opening a store does where that takes a few milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cmg.data.manifest import COLUMNS, ClipRow, LabelSpec, Manifest
from cmg.data.mapped import MappedArrays, Shapes, write_arrays
from cmg.errors import DataError

FORMAT = {"format": "cmg-columns", "version": 1}
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """What is known of clips, by column; positions count all of them.

    Attributes:
        where: Where they are from, for messages.
        arrays: See the module.
        splits: Number of clips per split.
        absent: Number of clips that lack a modality, of all modalities.
        labels: Names, in the order in which rows have them.
        moved: How the numbers of steps [B] of a modality change on their way to a grid.
        given: Labels per clip that take the place of all others.
    """

    where: Path
    arrays: Mapping[str, NDArray[Any]]
    splits: Mapping[str, int]
    absent: Mapping[str, int]
    labels: tuple[str, ...]
    moved: Mapping[str, Callable[[Positions], Positions]] = field(default_factory=dict)
    given: Mapping[str, Positions] | None = None

    def __len__(self) -> int:
        """Number of clips N."""
        return len(self.arrays["split"])

    def members(self, split: str) -> Positions:
        """Positions of the clips of one split, in order."""
        return self.arrays[f"split.{split}"]

    def steps(self, modality: str) -> Positions:
        """Stored steps of all clips before each, int64 [N + 1]."""
        return self.arrays[f"steps.{modality}"]

    def within(self, clips: Positions) -> Positions:
        """Positions of clips, as a split has them.

        Raises:
            DataError: the column is damaged, for there are no such clips.
        """
        if len(clips) and not 0 <= clips.min() <= clips.max() < len(self):
            raise self.damaged("split", int(clips.max()))
        return clips

    def lengths(self, modality: str, clips: Positions) -> Positions:
        """Steps of some clips, int64 [B], 0 where they lack the modality.

        Raises:
            DataError: the column is damaged.
        """
        ends, clips = self.steps(modality), self.within(clips)
        found = np.asarray(ends[1:][clips] - ends[:-1][clips])
        wrong = (found < 0) | (found > ends[-1])
        if wrong.any():
            raise self.damaged(f"steps.{modality}", int(clips[wrong.argmax()]))
        return self.moved[modality](found) if modality in self.moved else found

    def ids(self, clips: Iterable[int]) -> list[str]:
        """Ids of some clips.

        Raises:
            DataError: the column is damaged.
        """
        return [self._text("ids", clip).decode() for clip in clips]

    def label(self, name: str) -> Positions | None:
        """Classes of a label per clip, int64 [N], -1 where unlabelled; None of any other label."""
        if self.given is not None:
            return self.given.get(name)
        return self.arrays.get(f"label.{name}")

    def classes(self, name: str, clips: Positions, known: int) -> Positions:
        """Classes of some clips of a label per clip, int64 [B], -1 where unlabelled.

        Raises:
            DataError: the column is damaged, for there are no more than `known` classes.
        """
        column = self.label(name)
        found = np.full(len(clips), -1) if column is None else np.array(column[clips])
        wrong = (found < -1) | (found >= known)
        if wrong.any():
            raise self.damaged(f"label.{name}", int(clips[wrong.argmax()]))
        return found

    def rows(self, clips: Positions) -> Iterator[ClipRow]:
        """All that is known of some clips, one after the other.

        Raises:
            DataError: a column is damaged.
        """
        lengths = {m: self.lengths(m, clips).tolist() for m in self.absent}
        labels = {name: self._classes(name, clips) for name in self.labels}
        names, parts = list(self.splits), self.arrays["split"][clips].tolist()
        for at, clip in enumerate(clips.tolist()):
            (name,), text = self.ids([clip]), self._text("rest", clip)
            if not 0 <= parts[at] < len(names):
                raise self.damaged("split", clip)
            try:
                rest = json.loads(text or b"{}")
                others = rest.get("labels", {}) if self.given is None else {}
                yield ClipRow(
                    id=name,
                    split=names[parts[at]],
                    lengths={m: n[at] for m, n in lengths.items() if n[at]},
                    labels={name: known[at] for name, known in labels.items()} | others,
                    meta=rest.get("meta", {}),
                )
            except (ValueError, AttributeError, TypeError) as error:  # pydantic's is a ValueError
                raise self.damaged("rest", clip) from error

    def _classes(self, label: str, clips: Positions) -> list[int | None]:
        """Of a label per clip; None where a clip is unlabelled, and of any other label."""
        column = self.label(label)
        found = [-1] * len(clips) if column is None else column[clips].tolist()
        return [None if known < 0 else known for known in found]

    def _text(self, name: str, clip: int) -> bytes:
        """The bytes of one clip in a column of texts."""
        first, last = self.arrays[f"{name}.ends"][clip : clip + 2].tolist()
        texts = self.arrays[name]
        if not 0 <= first <= last <= len(texts):
            raise self.damaged(name, clip)
        found = texts[first:last].tobytes()
        if name == "ids":
            try:
                found.decode()
            except UnicodeDecodeError as error:
                raise self.damaged(name, clip) from error
        return found

    def damaged(self, column: str, clip: int) -> DataError:
        """The error of a column that makes no sense."""
        return DataError(
            f"{self.where}: column {column!r} is damaged at clip {clip} (`cmg data verify` tells "
            "more); restore it, or write the store again"
        )

    def on_grid(self, moved: Mapping[str, Callable[[Positions], Positions]]) -> Columns:
        """The same with other numbers of steps."""
        return replace(self, moved=moved)

    def labelled(self, labels: Mapping[str, Positions]) -> Columns:
        """The same with other labels, one per clip, and no others."""
        return replace(self, given=labels, labels=tuple(labels))


class Rows(Sequence[ClipRow]):
    """Rows of some columns, made when they are asked for; one that is asked for twice, twice.

    Args:
        columns: Of all clips.
        positions: Of those that are chosen; None is all.
    """

    def __init__(self, columns: Columns, positions: Positions | None = None) -> None:
        self.columns = columns
        self.positions = positions

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.columns) if self.positions is None else len(self.positions)

    @overload
    def __getitem__(self, at: int) -> ClipRow: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> ClipRow | Rows:
        """A row, or some of them."""
        if isinstance(at, slice):
            all_ = np.arange(len(self.columns)) if self.positions is None else self.positions
            return Rows(self.columns, all_[at])
        place = range(len(self))[operator.index(at)]
        clip = place if self.positions is None else int(self.positions[place])
        return next(self.columns.rows(np.array([clip])))

    def __iter__(self) -> Iterator[ClipRow]:
        """Every row, read a thousand at a time."""
        all_ = np.arange(len(self)) if self.positions is None else self.positions
        for first in range(0, len(self), 1024):
            yield from self.columns.rows(all_[first : first + 1024])


class ColumnsWriter:
    """Gathers columns row by row; held are some hundred bytes per clip.

    Attributes:
        splits: Number of clips per split so far.
        absent: Number of clips so far that lack a modality.
        labels: Names.

    Args:
        modalities: Names.
        labels: What labels there are.
        hashed: Whether :attr:`clips_sha256` will be asked for.
    """

    def __init__(
        self, modalities: Iterable[str], labels: Mapping[str, LabelSpec], hashed: bool = True
    ) -> None:
        self.splits: dict[str, int] = {}
        self.absent = dict.fromkeys(modalities, 0)
        self.labels = tuple(labels)
        self._steps = {name: array("q", [0]) for name in self.absent}
        self._labels = {n: array("q") for n, spec in labels.items() if spec.per == "clip"}
        self._members: dict[str, array[int]] = {}
        self._split = array("i")
        self._texts = {"ids": bytearray(), "rest": bytearray()}
        self._ends = {name: array("q", [0]) for name in self._texts}
        self._lines = hashlib.sha256() if hashed else None

    def __len__(self) -> int:
        """Number of clips so far."""
        return len(self._split)

    def steps(self, modality: str) -> Positions:
        """Steps of all clips before each, int64 [N + 1]."""
        return np.array(self._steps[modality], np.int64)

    def add(self, row: ClipRow) -> None:
        """Take in the next row.

        Raises:
            OverflowError: a number beyond int64.
        """
        rest: dict[str, Any] = {"labels": {}, "meta": row.meta}
        for name, value in row.labels.items():
            if name not in self._labels or not (value is None or isinstance(value, int)):
                rest["labels"][name] = value
        for name, values in self._labels.items():
            value = row.labels.get(name)
            values.append(value if isinstance(value, int) else -1)
        for name, ends in self._steps.items():
            steps = row.lengths.get(name, 0)
            ends.append(ends[-1] + steps)
            self.absent[name] += not steps
        told = {key: value for key, value in rest.items() if value}
        texts = {"ids": row.id, "rest": _json(told) if told else ""}
        for name, text in texts.items():
            self._texts[name] += text.encode()
            self._ends[name].append(len(self._texts[name]))
        self._members.setdefault(row.split, array("q")).append(len(self._split))
        self.splits[row.split] = self.splits.get(row.split, 0) + 1
        self._split.append(list(self.splits).index(row.split))
        if self._lines is not None:
            self._lines.update(line_of(row))

    @property
    def clips_sha256(self) -> str:
        """SHA-256 of the rows as lines of JSON, see :func:`line_of`."""
        assert self._lines is not None
        return self._lines.hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by the names of the module."""
        found: dict[str, NDArray[Any]] = {"split": np.array(self._split, np.int32)}
        for name, text in self._texts.items():
            found[name] = np.frombuffer(bytes(text), np.uint8)
            found[f"{name}.ends"] = np.array(self._ends[name], np.int64)
        for prefix, columns in (
            ("split", self._members),
            ("steps", self._steps),
            ("label", self._labels),
        ):
            found |= {f"{prefix}.{n}": np.array(x, np.int64) for n, x in columns.items()}
        return found

    def columns(self, where: Path) -> Columns:
        """What was gathered, in memory."""
        return Columns(where, self.arrays(), dict(self.splits), dict(self.absent), self.labels)

    def write(self, folder: Path) -> None:
        """Write what was gathered into a store on its way."""
        write_columns(folder, self.arrays(), self.absent)


def line_of(row: ClipRow) -> bytes:
    """A row as a line of JSON, as version 1 stored it."""
    lengths = {m: n for m, n in row.lengths.items() if n}
    told = {"id": row.id, "split": row.split, "lengths": lengths, "labels": row.labels}
    return (_json(told | {"meta": row.meta}) + "\n").encode()


def _json(told: Mapping[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


def write_columns(
    folder: Path, arrays: Mapping[str, NDArray[Any]], absent: Mapping[str, int]
) -> None:
    """Write columns into a store on its way.

    Args:
        folder: The store to be.
        arrays: See the module.
        absent: Number of clips that lack a modality.
    """
    write_arrays(folder / COLUMNS, arrays, FORMAT | {"absent": dict(absent)})


def open_columns(folder: Path, manifest: Manifest) -> Columns:
    """The columns of a store, memory mapped.

    Raises:
        DataError: they are missing, damaged, or not those of the manifest.
    """
    arrays = MappedArrays(folder / COLUMNS, _shapes(manifest))
    absent = arrays.facts.pop("absent", None)
    if arrays.facts != FORMAT:
        raise arrays.refused(f"is of format {arrays.facts}, not {FORMAT}")
    if not isinstance(absent, dict) or set(absent) != set(manifest.modalities):
        raise arrays.refused("does not say which modalities are absent")
    if not all(isinstance(n, int) and 0 <= n <= manifest.clips for n in absent.values()):
        raise arrays.refused("has strange counts of absent modalities")
    for name in ("ids", "rest"):
        ends = arrays[f"{name}.ends"]
        if ends[0] != 0 or ends[-1] != len(arrays[name]):
            raise arrays.refused(f"has strange ends of {name}")
    for name in manifest.modalities:
        ends = arrays[f"steps.{name}"]
        if ends[0] != 0 or ends[-1] < 0:
            raise arrays.refused(f"has strange steps of {name}")
    absent = {name: absent[name] for name in manifest.modalities}
    return Columns(arrays.path, arrays, manifest.splits, absent, tuple(manifest.labels))


def _shapes(manifest: Manifest) -> Shapes:
    clips = manifest.clips
    texts: dict[str, tuple[str, int | None]] = {"split": ("int32", clips)}
    for name in ("ids", "rest"):
        texts |= {name: ("uint8", None), f"{name}.ends": ("int64", clips + 1)}
    labels = [name for name, spec in manifest.labels.items() if spec.per == "clip"]
    return {
        **texts,
        **{f"split.{name}": ("int64", n) for name, n in manifest.splits.items()},
        **{f"steps.{name}": ("int64", clips + 1) for name in manifest.modalities},
        **{f"label.{name}": ("int64", clips) for name in labels},
    }


def read_lines(path: Path) -> Iterator[ClipRow]:
    """The rows of a `clips.jsonl`, as stores of version 1 have it; one at a time is held.

    Raises:
        DataError: it cannot be read, or a line is no row.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    yield ClipRow.model_validate_json(line)
                except ValidationError as error:
                    first = error.errors()[0]
                    raise DataError(
                        f"{path}, line {number}: {first['loc']}: {first['msg']}; rewrite the store"
                    ) from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; restore or rewrite it") from error
