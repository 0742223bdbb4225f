"""How the features of a clip are loaded: from a zip of its own, a row of an h5 file, a prompt."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmg.data.manifest import ClipRow, FeatureSpec
from cmg.errors import DataError
from cmg.official.h5 import H5Array
from cmg.official.lengths import RULES, LengthRule, fit_length
from cmg.official.zips import read_clip_zip
from cmg.types import Kind


@dataclass(frozen=True)
class ZipFolder:
    """A folder with a zip per clip, named by the clip's video id.

    Attributes:
        folder: Where the zips are.
        rule: How a clip is brought to its steps.
        names: Stems of the files in it.
    """

    folder: Path
    rule: LengthRule
    names: frozenset[str]

    @classmethod
    def of(cls, folder: Path, data_set: str, modality: str) -> ZipFolder:
        """List a folder.

        Raises:
            DataError: it cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                names = frozenset(e.name[:-4] for e in entries if e.name.endswith(".zip"))
        except OSError as error:
            raise DataError(f"cannot read {folder}: {error.strerror}") from error
        return cls(folder, RULES[data_set, modality], names)

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip [T, *shape], as stored."""
        path = self.path(row.meta["video_id"])
        return fit_length(read_clip_zip(path), self.rule, str(path))

    def path(self, video_id: str) -> Path:
        """The zip of a clip."""
        return self.folder / f"{video_id}.zip"

    def state(self) -> str:
        """Names, sizes and times of the zips."""
        digest = hashlib.sha256()
        with os.scandir(self.folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name[:-4] in self.names:
                    digest.update(f"{entry.name} {_size_and_time(entry.stat())}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class H5Rows:
    """Rows of an h5 file; a clip's is `meta["row"]`."""

    array: H5Array

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip [T, *shape], as stored."""
        return self.array.row(row.meta["row"])

    def state(self) -> str:
        """Shape, size and time of the file."""
        return f"{self.array.shape} {_size_and_time(self.array.path.stat())}"


@dataclass(frozen=True)
class PromptRows:
    """The vectors of the prompt of a clip's category."""

    vectors: Mapping[str, NDArray[np.float32]]
    categories: Sequence[str]

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip [T, *shape], as stored."""
        category = row.labels["category"]
        assert isinstance(category, int)
        return self.vectors[self.categories[category]]

    def state(self) -> str:
        """The vectors."""
        digest = hashlib.sha256()
        for name in self.categories:
            digest.update(np.ascontiguousarray(self.vectors[name]).tobytes())
        return digest.hexdigest()


FeatureLoader = ZipFolder | H5Rows | PromptRows
"""Loads one modality of one clip, and says by its `state` what tells this content from another."""


def _size_and_time(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns}"


PROBED = 5
"""Clips that are read to learn what a modality's features look like."""


def probed_spec(
    loader: FeatureLoader, rows: Sequence[ClipRow], kind: Kind, step_seconds: float | None = 1.0
) -> FeatureSpec | None:
    """What a modality's clips look like, by the majority of a few of them.

    A few that cannot be read are passed over; whoever loads them is told.

    Returns:
        The spec; None if no clip that was tried can be read.
    """
    found: Counter[tuple[tuple[int, ...], Literal["float32", "float64"]]] = Counter()
    spread = [rows[i * len(rows) // PROBED] for i in range(PROBED)] if rows else []
    for row in (*spread, *rows[:PROBED]):
        if found.total() >= PROBED:
            break
        try:
            block = loader.load(row)
        except DataError:
            continue
        if block.ndim == (4 if kind is Kind.MAPS else 2) and block.dtype.kind in "fiu":
            found[block.shape[1:], "float64" if block.dtype.itemsize == 8 else "float32"] += 1
    if not found:
        return None
    (shape, dtype), _ = found.most_common(1)[0]
    return FeatureSpec(kind=kind, shape=shape, dtype=dtype, step_seconds=step_seconds)
