"""Some clips of a source: what batches, encoders and heads are given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import ClipRow
from cmg.data.source import ClipSource
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.types import Modality


def members(source: ClipSource, name: str) -> NDArray[np.int64]:
    """Positions of the clips of one split, or of several joined as in ``train+test``.

    Raises:
        DataError: there is no such split.
    """
    parts = []
    for part in name.split("+"):
        if part not in source.splits:
            raise DataError(
                f"{source.path}: unknown split {part!r}{did_you_mean(part, source.splits)}"
            )
        parts.append([i for i, row in enumerate(source.rows) if row.split == part])
    return np.array([i for part in parts for i in part], dtype=np.int64)


class Split:
    """Some clips of a store: a split of it, or a subset of a split.

    Attributes:
        store: The store.
        name: Name of the split.
        positions: int64 [N], the clips' positions in the store's rows.
    """

    def __init__(self, store: ClipSource, name: str, positions: NDArray[np.int64]) -> None:
        self.store = store
        self.name = name
        self.positions = positions

    def __len__(self) -> int:
        """Number of clips N."""
        return len(self.positions)

    @cached_property
    def rows(self) -> list[ClipRow]:
        """The rows of the clips."""
        return [self.store.rows[i] for i in self.positions]

    @property
    def ids(self) -> list[str]:
        """The clips' ids."""
        return [row.id for row in self.rows]

    @property
    def modalities(self) -> dict[str, Modality]:
        """The modalities of the store."""
        return self.store.modalities

    def subset(self, clips: Sequence[int] | NDArray[np.int64]) -> Split:
        """The clips at these positions of the split, in this order."""
        return Split(self.store, self.name, self.positions[np.asarray(clips, dtype=np.int64)])

    def lengths(self, modality: str) -> Tensor:
        """Steps of each clip, int64 [N], 0 where it lacks the modality.

        Raises:
            ModalityError: the store lacks the modality.
        """
        if modality not in self.modalities:
            raise ModalityError(
                f"{self.store.path}: unknown modality {modality!r}"
                f"{did_you_mean(modality, self.modalities)}"
            )
        return torch.tensor([row.lengths.get(modality, 0) for row in self.rows], dtype=torch.int64)

    def features(
        self, modality: str, clips: Sequence[int] | NDArray[Any] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features of some clips.

        Args:
            modality: Name of the modality.
            clips: Positions in this split, B of them; None for all.

        Returns:
            Features [B, T, *shape] in the stored dtype, zero after each clip's end, T the longest
            of these clips; and their lengths, int64 [B].

        Raises:
            ModalityError: the store lacks the modality.
            DataError: a shard cannot be read.
            IndexError: a position outside the split.
        """
        chosen = slice(None) if clips is None else np.asarray(clips, dtype=np.int64)
        return self.store.gather(modality, self.positions[chosen])

    def labels(self, name: str) -> Tensor:
        """Class indices, -1 where unlabelled.

        Returns:
            int64 [N] for a label per clip; [N, T] for a label per step, T the longest clip,
            -1 after each clip's end. For a multiple label float32 [N, T, C], 1 for every class of
            a step, -1 throughout where a step is unlabelled or does not exist.

        Raises:
            DataError: the store lacks the label.
        """
        known = self.store.labels
        if name not in known:
            raise DataError(f"{self.store.path}: unknown label {name!r}{did_you_mean(name, known)}")
        values = [row.labels.get(name) for row in self.rows]
        if known[name].per == "clip":
            return torch.tensor(
                [v if isinstance(v, int) else -1 for v in values], dtype=torch.int64
            )
        longest = max((row.length for row in self.rows), default=0)
        if known[name].multiple:
            return multi_hot(values, longest, len(known[name].classes))
        out = torch.full((len(values), longest), -1, dtype=torch.int64)
        for clip, value in enumerate(values):
            if isinstance(value, list):
                out[clip, : len(value)] = torch.tensor(value)
        return out


def multi_hot(values: Sequence[Any], steps: int, classes: int) -> Tensor:
    """Lists of class indices per step as numbers.

    Args:
        values: Per clip a list, one entry per step, of lists of class indices; None: unlabelled.
        steps: T.
        classes: C.

    Returns:
        float32 [N, T, C], -1 where nothing is known.
    """
    out = torch.full((len(values), steps, classes), -1.0)
    for clip, value in enumerate(values):
        if value is None:
            continue
        out[clip, : len(value)] = 0.0
        at = [(step, c) for step, active in enumerate(value) for c in active]
        if at:
            step, column = torch.tensor(at).unbind(1)
            out[clip, step, column] = 1.0
    return out
