"""One official data set: its clips, and how the features of a clip are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.labels import Event, step_labels
from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError
from cmg.official.h5 import H5Array
from cmg.official.lengths import RULES, LengthRule, fit_length
from cmg.official.zips import read_clip_zip
from cmg.types import Kind

BACKGROUND = "background"


class Loader(Protocol):
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
            names = (p.stem for p in folder.iterdir() if p.suffix == ".zip")
            return cls(folder, RULES[data_set, modality], frozenset(names))
        except OSError as error:
            raise DataError(f"cannot read {folder}: {error.strerror}") from error

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip; see :class:`Loader`."""
        path = self.folder / f"{row.meta['video_id']}.zip"
        return fit_length(read_clip_zip(path), self.rule, str(path))

    def state(self) -> str:
        """The names; a file that changes under its name is not noticed."""
        return f"{len(self.names)} zips {hash_of_names(self.names)}"


@dataclass(frozen=True)
class H5Rows:
    """Rows of an h5 file; a clip's is `meta["row"]`."""

    array: H5Array

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip; see :class:`Loader`."""
        return self.array.row(row.meta["row"])

    def state(self) -> str:
        """Shape and size of the file."""
        return f"{self.array.shape} {self.array.path.stat().st_size}"


@dataclass(frozen=True)
class PromptRows:
    """The vectors of the prompt of a clip's category."""

    vectors: Mapping[str, NDArray[np.float32]]
    categories: Sequence[str]

    def load(self, row: ClipRow) -> NDArray[Any]:
        """One clip; see :class:`Loader`."""
        category = row.labels["category"]
        assert isinstance(category, int)
        return self.vectors[self.categories[category]]

    def state(self) -> str:
        """The vectors."""
        import hashlib

        digest = hashlib.sha256()
        for name in self.categories:
            digest.update(np.ascontiguousarray(self.vectors[name]).tobytes())
        return digest.hexdigest()


@dataclass
class OfficialDataset:
    """What a reader found.

    Attributes:
        name: Of the data set, e.g. ``vggsound40k``.
        root: Below which it lies.
        rows: One per clip.
        specs: How each modality is stored.
        labels: The labels and their classes.
        loaders: How each modality is loaded.
        absent: Clips of the lists that have no features at all.
        notes: Where it is from, and what its reader remarked.
    """

    name: str
    root: Path
    rows: list[ClipRow]
    specs: dict[str, FeatureSpec]
    labels: dict[str, LabelSpec]
    loaders: dict[str, Loader]
    absent: list[str] = field(default_factory=list)
    notes: str = ""

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
            if not np.isfinite(block).all():
                raise DataError("a feature is NaN or infinite; extract it again")
        except DataError as error:
            raise DataError(f"{self.name}, clip {row.id!r}, {modality}: {error}") from error
        return block.astype(spec.dtype, copy=False)


def hash_of_names(names: frozenset[str]) -> str:
    """SHA-256 of a set of names."""
    import hashlib

    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def probed_spec(
    loader: Loader, rows: Sequence[ClipRow], kind: Kind, step_seconds: float | None = 1.0
) -> FeatureSpec | None:
    """What a modality's clips look like, from the first that can be read; None if none can."""
    for row in rows:
        try:
            block = loader.load(row)
        except DataError:
            continue
        rank = 4 if kind is Kind.MAPS else 2
        if block.ndim == rank and block.dtype.kind in "fiu":
            dtype = "float64" if block.dtype.itemsize == 8 else "float32"
            return FeatureSpec(
                kind=kind, shape=block.shape[1:], dtype=dtype, step_seconds=step_seconds
            )
    return None


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
