"""Modalities with steps of different duration, brought to a common one: aligned by time, not index.

A step of the grid is the mean of the steps that it overlaps, weighted by how long; where the grid
is finer than a modality, its steps repeat. Words have no duration and keep their own steps.

Shape legend: T steps of a modality, G steps of the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Grid = float | Literal["auto"] | None
"""Duration of a step in seconds; None leaves every modality as it is; ``auto`` is the longest of
the durations in use where they differ, and None where they do not."""
SAME = 1e-6
"""Relative difference of durations that counts as none."""


def chosen_grid(
    seconds: Mapping[str, float | None], wanted: Grid, modalities: Sequence[str] | None = None
) -> float | None:
    """The duration that steps are brought to; None where nothing is to be done.

    Args:
        seconds: Duration of a step per modality, None where there is none.
        wanted: What was asked for.
        modalities: In use; None is all.
    """
    if wanted is None:
        return None
    names = seconds if modalities is None else modalities
    used = [d for m in names if (d := seconds.get(m)) is not None]
    if not used:
        return None
    grid = max(used) if wanted == "auto" else wanted
    return None if all(_same(d, grid) for d in used) else grid


def _same(seconds: float, grid: float) -> bool:
    return abs(seconds - grid) <= SAME * grid


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


def moved_steps(steps: NDArray[np.int64], *, seconds: float, grid: float) -> NDArray[np.int64]:
    """G of each of some numbers of steps T, int64 [B]."""
    known, which = np.unique(steps, return_inverse=True)
    moved = [grid_steps(int(n), seconds, grid) for n in known]
    return np.array(moved, dtype=np.int64)[which]


@dataclass(frozen=True)
class OnGrid:
    """Reads features of clips and brings their steps to a grid.

    Attributes:
        read: Reads them as they are stored: modality and positions to [B, T, *shape] and lengths.
        seconds: Durations of the steps of modalities that have one.
        grid: Duration of a step of the grid.
    """

    read: Callable[[str, NDArray[np.int64]], tuple[Tensor, Tensor]]
    seconds: Mapping[str, float]
    grid: float

    def __call__(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features [B, G, *shape] and lengths; see :data:`cmg.data.about.Read`."""
        block, lengths = self.read(modality, clips)
        seconds = self.seconds.get(modality)
        if seconds is None or _same(seconds, self.grid):
            return block, lengths
        found = torch.from_numpy(moved_steps(lengths.numpy(), seconds=seconds, grid=self.grid))
        longest = max(found.tolist(), default=0)
        moved = block.new_zeros(len(block), longest, *block.shape[2:])
        for row, steps, new, old in zip(block, moved, found, lengths, strict=True):
            if int(old):
                x = row[: int(old)].float().numpy()
                steps[: int(new)] = torch.from_numpy(on_grid(x, seconds, self.grid)).to(steps.dtype)
        return moved, found
