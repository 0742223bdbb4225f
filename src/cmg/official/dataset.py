"""One official data set as a source of clips, read where it lies; and what its labels are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.about import About
from cmg.data.clips import Clips
from cmg.data.features import check_numbers
from cmg.data.labels import Event, step_labels
from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError
from cmg.official.loaders import FeatureLoader

BACKGROUND = "background"


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

    @property
    def path(self) -> Path:
        """Root of the folder, with the set's name."""
        return self.root / self.name

    def opened(self) -> Clips:
        """The set as clips; zips and h5 rows are decoded when they are asked for."""
        about = About(
            path=self.path,
            specs=self.specs,
            labels=self.labels,
            fingerprint=self.content_hash,
            notes=self.notes,
            remarks=tuple(self.remarks),
        )
        return Clips.of_rows(about, self.rows, ReadOfficial(self))

    def content_hash(self) -> str:
        """SHA-256 of rows, labels, and the names, sizes and times of the files of features."""
        told = {
            "rows": [row.model_dump(mode="json") for row in self.rows],
            "specs": {m: spec.model_dump(mode="json") for m, spec in self.specs.items()},
            "labels": {n: spec.model_dump(mode="json") for n, spec in self.labels.items()},
            "features": {m: loader.state() for m, loader in self.loaders.items()},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def without_corrupt(self) -> OfficialDataset:
        """The set without the clips that cannot be read; reads every clip once to know."""
        kept, left_out = [], []
        for row in self.rows:
            try:
                for modality in self.specs:
                    if row.lengths.get(modality):
                        self.load(row, modality)
                kept.append(row)
            except DataError as error:
                left_out.append(f"left out: {error}")
        return replace(self, rows=kept, remarks=[*left_out, *self.remarks])

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


@dataclass(frozen=True)
class ReadOfficial:
    """Reads features where they lie; a :data:`~cmg.data.about.Read`.

    Attributes:
        dataset: Whose rows the positions count.
    """

    dataset: OfficialDataset

    def __call__(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features [B, T, *shape] and lengths.

        Raises:
            DataError: a clip is corrupt; the message names it.
        """
        spec = self.dataset.specs[modality]
        rows = [self.dataset.rows[i] for i in clips]
        lengths = [row.lengths.get(modality, 0) for row in rows]
        blocks = [
            self.dataset.load(row, modality) if n else None
            for row, n in zip(rows, lengths, strict=True)
        ]
        out = np.zeros((len(rows), max(lengths, default=0), *spec.shape), spec.dtype)
        for at, block in enumerate(blocks):
            if block is not None:
                out[at, : len(block)] = block
        return torch.from_numpy(out), torch.tensor(lengths, dtype=torch.int64)


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
        active = step_labels(events, classes, steps) > 0
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    return [step.nonzero().flatten().tolist() for step in active]
