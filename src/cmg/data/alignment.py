"""Modalities with steps of different duration, brought to a common one: aligned by time, not index.

A step of the grid is the mean of the steps that it overlaps, weighted by how long; where the grid
is finer than a modality, its steps repeat. Words have no duration and keep their own steps.

Shape legend: T steps of a modality, G steps of the grid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import ClipRow
from cmg.data.rows import ChangedRows, LazyRows
from cmg.data.source import ClipSource, lengths_of
from cmg.data.wrapped import WrappedClips
from cmg.errors import DataError

Grid = float | Literal["auto"] | None
"""Duration of a step in seconds; None leaves every modality as it is; ``auto`` is the longest of
the durations in use where they differ, and None where they do not."""
SAME = 1e-6
"""Relative difference of durations that counts as none."""


def grid_of(source: ClipSource, wanted: Grid, modalities: Sequence[str] | None = None) -> Grid:
    """The duration that steps are brought to; None where nothing is to be done.

    Args:
        source: The clips.
        wanted: What was asked for.
        modalities: In use; None is all of the source.
    """
    if wanted is None:
        return None
    names = source.modalities if modalities is None else modalities
    used = [d for m in names if (d := source.step_seconds.get(m)) is not None]
    if not used:
        return None
    grid = max(used) if wanted == "auto" else wanted
    return None if all(abs(d - grid) <= SAME * grid for d in used) else grid


def aligned(
    source: ClipSource, wanted: Grid, modalities: Sequence[str] | None = None
) -> ClipSource:
    """The clips with steps of one duration; the source itself where they have one.

    Args:
        source: The clips.
        wanted: Duration, see :data:`Grid`.
        modalities: In use; None is all of the source.

    Raises:
        DataError: it has labels per step, whose steps would not be those of the features.
    """
    grid = grid_of(source, wanted, modalities)
    if grid is None or isinstance(grid, str):
        return source
    return AlignedClips(source, grid)


def native_steps(source: ClipSource) -> dict[str, float | None]:
    """Durations of the steps as they are stored, whatever grid they are brought to."""
    return source.source.step_seconds if isinstance(source, AlignedClips) else source.step_seconds


def step_weights(steps: int, seconds: float, grid: float) -> NDArray[np.float64]:
    """The part of each step in each step of the grid.

    Args:
        steps: T, at least 1.
        seconds: Duration of a step.
        grid: Duration of a step of the grid.

    Returns:
        [G, T], rows add up to 1. G is how many steps of the grid are filled, a last one that is at
        least half full included, and at least 1.
    """
    count = grid_steps(steps, seconds, grid)
    begins, ends = np.arange(steps) * seconds, np.arange(1, steps + 1) * seconds
    first = np.arange(count)[:, None] * grid
    overlap = np.minimum(ends, first + grid) - np.maximum(begins, first)
    overlap = np.where(overlap > SAME * min(grid, seconds), overlap, 0.0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def grid_steps(steps: int, seconds: float, grid: float) -> int:
    """G of T steps, see :func:`step_weights`; 0 of none."""
    return max(1, int(steps * seconds / grid + 0.5 + SAME)) if steps else 0


def on_grid(features: NDArray[np.float32], seconds: float, grid: float) -> NDArray[np.float32]:
    """Features [T, *shape] as [G, *shape]."""
    if not len(features):
        return features
    weights = step_weights(len(features), seconds, grid)
    found = weights @ features.reshape(len(features), -1).astype(np.float64)
    return found.reshape(len(found), *features.shape[1:]).astype(np.float32)


class AlignedClips(WrappedClips):
    """A :class:`~cmg.data.source.ClipSource` whose timed modalities have steps of one duration.

    Args:
        source: The clips.
        grid: Duration of a step in seconds.

    Raises:
        DataError: the source has labels per step.
    """

    def __init__(self, source: ClipSource, grid: float) -> None:
        for name, label in source.labels.items():
            if label.per == "step":
                durations = ", ".join(f"{m} {d:g} s" for m, d in source.step_seconds.items() if d)
                raise DataError(
                    f"{source.path}: the label {name!r} is per step, but steps are of {durations}; "
                    "say data.step_seconds=null to take steps by their index"
                )
        super().__init__(source)
        self.grid = grid

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """The grid's, of modalities that have a duration."""
        return {m: None if d is None else self.grid for m, d in self.source.step_seconds.items()}

    @cached_property
    def rows(self) -> Sequence[ClipRow]:
        """Of the source, with their lengths on the grid; as lazy as those."""
        rows = self.source.rows
        if isinstance(rows, LazyRows):
            return ChangedRows(rows, self._on_grid)
        return [self._on_grid(row) for row in rows]

    def _on_grid(self, row: ClipRow) -> ClipRow:
        lengths = {m: self._length(m, n) for m, n in row.lengths.items()}
        return row.model_copy(update={"lengths": lengths})

    def lengths_of(self, modality: str, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        steps, which = np.unique(lengths_of(self.source, modality, clips), return_inverse=True)
        moved = [self._length(modality, int(n)) for n in steps]
        return np.array(moved, dtype=np.int64)[which]

    @property
    def content_hash(self) -> str:
        """SHA-256 of the source's and the grid."""
        told = f"{self.source.content_hash} on steps of {self.grid!r} s"
        return hashlib.sha256(told.encode()).hexdigest()

    def gather(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """See :class:`~cmg.data.source.ClipSource`."""
        block, lengths = self.source.gather(modality, clips)
        seconds = self.source.step_seconds[modality]
        if seconds is None or abs(seconds - self.grid) <= SAME * self.grid:
            return block, lengths
        found = torch.tensor([self._length(modality, int(n)) for n in lengths])
        longest = max(found.tolist(), default=0)
        moved = block.new_zeros(len(block), longest, *block.shape[2:])
        for row, steps, new, old in zip(block, moved, found, lengths, strict=True):
            if int(old):
                x = row[: int(old)].float().numpy()
                steps[: int(new)] = torch.from_numpy(on_grid(x, seconds, self.grid)).to(steps.dtype)
        return moved, found

    def _length(self, modality: str, steps: int) -> int:
        seconds = self.source.step_seconds[modality]
        return steps if seconds is None else grid_steps(steps, seconds, self.grid)
