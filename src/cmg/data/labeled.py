"""Labels from a file of their own, for clips of a store that has none, or others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def remarks(self, ids: Sequence[str], where: str) -> list[str]:
        """What does not fit: clips without a label, labels without a clip.

        Args:
            ids: Of all clips.
            where: These are, for the message.

        Raises:
            DataError: the file labels none of the clips.
        """
        named = {clip for classes in self.classes.values() for clip in classes}
        if not named & set(ids):
            raise DataError(
                f"{self.path} labels none of the {len(ids)} clips of {where}: it has "
                f"{min(named)!r}, the clips {min(ids)!r}; ids must be equal"
            )
        foreign, unlabeled = sorted(named - set(ids)), sorted(set(ids) - named)
        return [
            f"{self.path}: {len(wrong)} clips {what}, e.g. {wrong[0]!r}"
            for what, wrong in (("not in the store", foreign), ("without a label", unlabeled))
            if wrong
        ]

    def classes_of(self, label: str) -> tuple[str, ...]:
        """The classes that occur, in alphabetical order."""
        return tuple(sorted(set(self.classes[label].values())))

    def column(self, label: str, ids: Sequence[str]) -> NDArray[np.int64]:
        """Class indices of clips, -1 where the file does not say."""
        index = {name: i for i, name in enumerate(self.classes_of(label))}
        named = self.classes[label]
        return np.array([index[named[clip]] if clip in named else -1 for clip in ids], np.int64)


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
