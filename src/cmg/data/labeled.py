"""Labels from a file of their own, for clips of a store that has none, or others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cmg.data.manifest import ClipRow, LabelSpec
from cmg.data.source import ClipSource
from cmg.data.wrapped import WrappedClips
from cmg.errors import DataError
from cmg.files import StrPath
from cmg.tables import once, read_records

ID = "id"


@dataclass(frozen=True)
class LabelFile:
    """Classes of clips.

    Attributes:
        path: Of the file.
        classes: Class by id, by name of the label; a clip may lack one.
    """

    path: Path
    classes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_labels(path: StrPath) -> LabelFile:
    """Labels of a csv with a header or of JSON lines: a column ``id``, every other is a label.

    An empty cell, or null, says that the class of a clip is not known.

    Raises:
        DataError: unreadable, no column ``id`` or no other, a row of another length, an id that
            occurs twice, or no class at all; the rows are named.
    """
    path = Path(path)
    found: dict[str, dict[str, str]] = {}
    seen: dict[str, int] = {}

    def take(line: int, row: dict[str, Any]) -> None:
        clip = _name(ID, row.get(ID))
        if not clip:
            raise DataError("no id")
        once(seen, clip, line)
        for name, value in row.items():
            if name != ID and (text := _name(name, value)):
                found.setdefault(name, {})[clip] = text

    read_records(path, take, (ID,))
    if not found:
        raise DataError(f"{path} labels no clip; give a column 'id' and one of classes")
    return LabelFile(path, found)


def _name(column: str, value: Any) -> str:
    """A name as it is written in the file; empty for none."""
    if isinstance(value, dict | list):
        raise DataError(f"{column!r} must be one name, not {value!r}")
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


class LabeledClips(WrappedClips):
    """Clips with the labels of a file instead of their own.

    Args:
        source: The clips; left as they are.
        labels: By id.

    Raises:
        DataError: the file labels none of the clips.
    """

    def __init__(self, source: ClipSource, labels: LabelFile) -> None:
        super().__init__(source)
        self.file = labels
        ids = {row.id for row in source.rows}
        named = {clip for classes in labels.classes.values() for clip in classes}
        if not named & ids:
            raise DataError(
                f"{labels.path} labels none of the {len(ids)} clips of {source.path}: it has "
                f"{min(named)!r}, the clips {min(ids)!r}; ids must be equal"
            )
        self.foreign = sorted(named - ids)
        self.unlabeled = sorted(ids - named)

    @property
    def remarks(self) -> list[str]:
        """What does not fit: clips without a label, labels without a clip."""
        found = []
        for what, ids in (("not in the store", self.foreign), ("without a label", self.unlabeled)):
            if ids:
                found.append(f"{self.file.path}: {len(ids)} clips {what}, e.g. {ids[0]!r}")
        return found

    @cached_property
    def labels(self) -> dict[str, LabelSpec]:
        """The file's labels with the classes that occur, in alphabetical order."""
        return {
            name: LabelSpec(classes=tuple(sorted(set(classes.values()))))
            for name, classes in self.file.classes.items()
        }

    @cached_property
    def rows(self) -> list[ClipRow]:
        """Of the source, with the file's labels."""
        index = {name: {c: i for i, c in enumerate(s.classes)} for name, s in self.labels.items()}
        rows = []
        for row in self.source.rows:
            own = {name: self.file.classes[name].get(row.id) for name in index}
            labels = {n: None if value is None else index[n][value] for n, value in own.items()}
            rows.append(row.model_copy(update={"labels": labels}))
        return rows

    @property
    def content_hash(self) -> str:
        """SHA-256 of the source's and the labels."""
        told = json.dumps([self.source.content_hash, self.file.classes], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()
