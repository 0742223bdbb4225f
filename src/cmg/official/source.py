"""An official data set as a source of clips, read where it lies."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import ClipRow, LabelSpec
from cmg.data.source import Split, members
from cmg.errors import ModalityError, did_you_mean
from cmg.official.dataset import OfficialDataset
from cmg.types import Modality


class OfficialSource:
    """Decodes zips and h5 rows when they are asked for; slow, and needs no import.

    Args:
        dataset: What a reader found.
    """

    media: Literal["digits"] | None = None

    def __init__(self, dataset: OfficialDataset) -> None:
        self.dataset = dataset

    @property
    def path(self) -> Path:
        """Root of the folder, with the set's name."""
        return self.dataset.root / self.dataset.name

    @property
    def rows(self) -> Sequence[ClipRow]:
        """One row per clip."""
        return self.dataset.rows

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """What there is of the clips."""
        specs = self.dataset.specs
        return {m: Modality(name=m, kind=s.kind, shape=s.shape) for m, s in specs.items()}

    @property
    def labels(self) -> dict[str, LabelSpec]:
        """The labels with their classes."""
        return self.dataset.labels

    @cached_property
    def splits(self) -> dict[str, int]:
        """Number of clips per split."""
        return dict(Counter(row.split for row in self.rows))

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """Duration of a step per modality."""
        return {m: spec.step_seconds for m, spec in self.dataset.specs.items()}

    @property
    def notes(self) -> str:
        """Where the data are from."""
        return self.dataset.notes

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of rows, labels, and the names, sizes and times of the files of features."""
        dataset = self.dataset
        told = {
            "rows": [row.model_dump(mode="json") for row in dataset.rows],
            "specs": {m: spec.model_dump(mode="json") for m, spec in dataset.specs.items()},
            "labels": {n: spec.model_dump(mode="json") for n, spec in dataset.labels.items()},
            "features": {m: loader.state() for m, loader in dataset.loaders.items()},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def split(self, name: str) -> Split:
        """The clips of one split, or of several joined as in ``train+test``, in that order.

        Raises:
            DataError: there is no such split.
        """
        return Split(self, name, members(self, name))

    def gather(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features of some clips; see :meth:`cmg.data.source.ClipSource.gather`.

        Raises:
            ModalityError: the set lacks the modality.
            DataError: a clip is corrupt; the message names it.
        """
        specs = self.dataset.specs
        if modality not in specs:
            raise ModalityError(
                f"{self.path}: unknown modality {modality!r}{did_you_mean(modality, specs)}"
            )
        spec = specs[modality]
        rows = [self.dataset.rows[i] for i in clips]
        lengths = [row.lengths.get(modality, 0) for row in rows]
        out = np.zeros((len(rows), max(lengths, default=0), *spec.shape), spec.dtype)
        for at, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            if length:
                out[at, :length] = self.dataset.load(row, modality)
        return torch.from_numpy(out), torch.tensor(lengths, dtype=torch.int64)
