"""One official data set: its clips, and how the features of a clip are loaded."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmg.copying.chunks import OnError
from cmg.data.features import check_numbers
from cmg.data.labels import Event, step_labels
from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError
from cmg.official.h5 import H5Array
from cmg.official.lengths import RULES, LengthRule, fit_length
from cmg.official.zips import read_clip_zip
from cmg.types import Kind

BACKGROUND = "background"


class FeatureLoader(Protocol):
    """Loads one modality of one clip."""

    def load(self, row: ClipRow) -> NDArray[Any]:
        """[T, *shape], as stored.

        Raises:
            DataError: the clip is corrupt; the message names its file.
        """

    def state(self) -> str:
        """What tells this content from another, for a content hash."""


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
        """One clip; see :class:`FeatureLoader`."""
        path = self.folder / f"{row.meta['video_id']}.zip"
        return fit_length(read_clip_zip(path), self.rule, str(path))

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
        """One clip; see :class:`FeatureLoader`."""
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
        """One clip; see :class:`FeatureLoader`."""
        category = row.labels["category"]
        assert isinstance(category, int)
        return self.vectors[self.categories[category]]

    def state(self) -> str:
        """The vectors."""
        digest = hashlib.sha256()
        for name in self.categories:
            digest.update(np.ascontiguousarray(self.vectors[name]).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class UnreadableClip:
    """A clip that was left out because its features cannot be read.

    Attributes:
        id: Of the clip.
        modality: Which of its features.
        reason: The file and what is wrong with it.
    """

    id: str
    modality: str
    reason: str


@dataclass
class OfficialDataset:
    """What a reader found.

    Attributes:
        name: Of the data set, e.g. ``vggsound40k``.
        root: Below which it lies.
        rows: One per clip of the lists that has features of at least one modality.
        specs: How each modality is stored.
        labels: The labels and their classes.
        loaders: How each modality is loaded.
        absent: Ids of the clips of the lists that have no features at all.
        notes: Where it is from.
        remarks: What a user should know: parts that are missing, rows that disagree.
    """

    name: str
    root: Path
    rows: list[ClipRow]
    specs: dict[str, FeatureSpec]
    labels: dict[str, LabelSpec]
    loaders: dict[str, FeatureLoader]
    absent: list[str] = field(default_factory=list)
    notes: str = ""
    remarks: list[str] = field(default_factory=list)

    def clips(
        self, on_error: OnError = "fail", report: Callable[[UnreadableClip], None] | None = None
    ) -> Iterator[tuple[ClipRow, dict[str, NDArray[Any]]]]:
        """Every clip with its features, in the order of the rows.

        Args:
            on_error: A clip that cannot be read ends the iteration, or is left out.
            report: Called with every clip that is left out.

        Raises:
            DataError: a clip is corrupt, and `on_error` is ``fail``.
        """
        for row in self.rows:
            features: dict[str, NDArray[Any]] = {}
            modality = ""
            try:
                for modality in self.specs:
                    if row.lengths.get(modality):
                        features[modality] = self.load(row, modality)
            except DataError as error:
                if on_error == "fail":
                    raise
                if report is not None:
                    report(UnreadableClip(row.id, modality, str(error)))
                continue
            yield row, features

    def without_corrupt(
        self, report: Callable[[UnreadableClip], None] | None = None
    ) -> OfficialDataset:
        """The set without the clips that cannot be read; reads every clip once to know."""
        return replace(self, rows=[row for row, _ in self.clips("skip", report)])

    def load(self, row: ClipRow, modality: str) -> NDArray[Any]:
        """Features of one clip, checked.

        Returns:
            [T, *shape] in the dtype of the spec.

        Raises:
            DataError: the clip is corrupt, of another shape, or not finite; names its id.
        """
        spec = self.specs[modality]
        try:
            block = self.loaders[modality].load(row)
            if block.shape[1:] != spec.shape:
                raise DataError(
                    f"shape {block.shape}, where the other clips have (T, "
                    f"{', '.join(map(str, spec.shape))}); extract it again"
                )
            if len(block) != row.lengths[modality]:
                raise DataError(f"{len(block)} steps instead of {row.lengths[modality]}")
            check_numbers("features", block)
        except DataError as error:
            raise DataError(f"{self.name}, clip {row.id!r}, {modality}: {error}") from error
        return block.astype(spec.dtype, copy=False)


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


def step_label(classes: Sequence[str]) -> LabelSpec:
    """A label per second, several classes at a time, background last."""
    return LabelSpec(classes=(*classes, BACKGROUND), per="step", multiple=True)


def events_as_label(
    events: Sequence[Event], classes: Sequence[str], steps: int, where: str
) -> list[list[int]]:
    """Events as a label of :func:`step_label`.

    Raises:
        DataError: an event of an unknown category.
    """
    try:
        return active_classes(step_labels(events, classes, steps))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def active_classes(labels: Tensor) -> list[list[int]]:
    """Multi-hot [T, C] as the class indices of each step."""
    return [step.nonzero().flatten().tolist() for step in labels > 0]
