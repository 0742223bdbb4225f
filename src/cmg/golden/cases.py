"""Reading recorded cases: `cases.json` and one `.npz` of plain arrays per case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmg.data.array_files import read_arrays
from cmg.errors import DataError

CASES = "cases.json"


@dataclass(frozen=True)
class CaseRecord:
    """One entry of `cases.json`.

    Attributes:
        name: For reports only; nothing is recognized by it.
        cls: The official class or procedure that was recorded.
        entry: The whole entry.
        folder: Where its files are.
    """

    name: str
    cls: str
    entry: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Case:
    """A recorded case with its arrays.

    Attributes:
        record: Its entry.
        arrays: By key, ``in/...``, ``param/...`` and ``out/...``.
    """

    record: CaseRecord
    arrays: Mapping[str, Tensor]

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Arrays below ``in/``."""
        return self.below("in/")

    @property
    def params(self) -> dict[str, Tensor]:
        """Weights and buffers by official name."""
        return self.below("param/")

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Arrays whose keys start with `prefix`, without it."""
        return {k.removeprefix(prefix): x for k, x in self.arrays.items() if k.startswith(prefix)}

    def array(self, key: str) -> Tensor:
        """An array that the case must have.

        Raises:
            DataError: it has not.
        """
        if key not in self.arrays:
            raise DataError(f"{self.path} has no array {key!r}")
        return self.arrays[key]

    def size(self, param: str, axis: int = 0) -> int:
        """Size of a recorded weight along an axis."""
        weight = self.array(f"param/{param}")
        if weight.dim() <= axis:
            raise DataError(f"{self.path}: 'param/{param}' has shape {list(weight.shape)}")
        return weight.shape[axis]

    def setting(self, name: str, default: Any = None) -> Any:
        """A constructor argument of the official class.

        Raises:
            DataError: it is not recorded and has no default.
        """
        settings = self.record.entry.get("ctor") or {}
        value = settings.get(name, default)
        if value is None:
            raise DataError(f"{self.path}: the entry in {CASES} records no 'ctor' value {name!r}")
        return value

    @property
    def path(self) -> Path:
        """The file of the arrays."""
        return self.record.folder / str(self.record.entry.get("file"))


def read_records(folder: Path) -> list[CaseRecord]:
    """The entries of `cases.json`.

    Raises:
        DataError: the file is absent, unreadable, or holds no case.
    """
    path = folder / CASES
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    entries = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} holds no list 'cases' of recorded cases")
    records = []
    for place, entry in enumerate(entries):
        fields = ("name", "file", "cls")
        if not isinstance(entry, dict) or not all(isinstance(entry.get(f), str) for f in fields):
            raise DataError(f"{path}: case {place} needs the strings {', '.join(fields)}")
        records.append(CaseRecord(entry["name"], entry["cls"], entry, folder))
    return records


def beside(record: CaseRecord, field: str) -> Path:
    """A file of the case's folder that its entry names.

    Raises:
        DataError: no name, or one that leads out of the folder.
    """
    name = record.entry.get(field)
    if not isinstance(name, str) or Path(name).name != name:
        raise DataError(f"case {record.name!r}: {field!r} must be a file name, got {name!r}")
    return record.folder / name


def read_case(record: CaseRecord) -> Case:
    """The arrays of a case.

    Raises:
        DataError: the file is absent or truncated, holds anything but numbers, or lacks an array
            that its entry lists.
    """
    path = beside(record, "file")
    try:
        arrays = {key: torch.from_numpy(x) for key, x in read_arrays(path).items()}
    except TypeError as error:  # torch: an array of something else than numbers
        raise DataError(f"cannot read {path}: {error}; it holds more than numbers") from error
    missing = [key for key in record.entry.get("arrays") or {} if key not in arrays]
    if missing:
        raise DataError(f"{path} lacks arrays that {CASES} lists: {', '.join(missing[:3])}")
    return Case(record, arrays)
