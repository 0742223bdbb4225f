"""A stamp has no time axis: the steps of a clip are views of one picture, word and sentence.

Shape legend: P windows of a recording, N views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmg.data.scaling import Components

Array = NDArray[np.float32]
VIEWS = 10
"""N: steps of a clip."""
CROP = 5
"""Side of a view of a 7 x 7 map."""
PARTS = 10
"""Parts that a recording is divided into: their order is what tells one word from another."""
TRIM = 0.12
"""Largest share that a view of a recording leaves out at each end."""
DROP = 0.2
"""Share of the words that a view of a description leaves out."""
COMPONENTS = 128
SAMPLE = 20_000
"""Positions of maps that the principal components are computed from."""


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of every channel."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, rows: Array) -> Scale:
        """Of rows [R, C]."""
        wide = rows.astype(np.float64)
        return cls(wide.mean(0).astype("f4"), (wide.std(0) + 1e-6).astype("f4"))

    def apply(self, x: Array) -> Array:
        """Standardized."""
        return np.asarray((x - self.mean) / self.deviation, dtype=np.float32)


def components_of(positions: Array, seed: int, count: int = COMPONENTS) -> Components:
    """Principal components of the channels of maps, their scale on the whole 1.

    Args:
        positions: Of the training pictures' maps, [R, C]; a part of them, drawn with `seed`, where
            they are many.
        seed: Of the draw.
        count: Most components; there are never more than channels.
    """
    chosen = np.random.default_rng(seed).permutation(len(positions))[:SAMPLE]
    rows = positions[np.sort(chosen)].astype(np.float64)
    mean = rows.mean(0)
    return Components.of(mean, np.atleast_2d(np.cov(rows - mean, rowvar=False)), count)


def picture_views(map_: Array, rng: np.random.Generator) -> Array:
    """Means of windows of a map [H, W, C] at random places: [N, C]."""
    height, width = map_.shape[0], map_.shape[1]
    side = (min(CROP, height), min(CROP, width))
    found = []
    for _ in range(VIEWS):
        top = int(rng.integers(0, height - side[0] + 1))
        left = int(rng.integers(0, width - side[1] + 1))
        found.append(map_[top : top + side[0], left : left + side[1]].mean((0, 1)))
    return np.stack(found).astype(np.float32)


def word_views(windows: Array, rng: np.random.Generator) -> Array:
    """A recording [P, C] with its ends cut a little differently, in ten parts: [N, 10 * C]."""
    found = []
    for _ in range(VIEWS):
        first, last = rng.uniform(0, TRIM, 2) * len(windows)
        found.append(in_parts(windows, first, len(windows) - last).reshape(-1))
    return np.stack(found).astype(np.float32)


def in_parts(windows: Array, first: float, last: float) -> Array:
    """Mean windows of ten equal parts of what lies between two places, [10, C].

    A part has at least one window; short recordings repeat some.
    """
    edges = np.linspace(first, last, PARTS + 1)
    begins = np.minimum(edges[:-1].astype(int), len(windows) - 1)
    ends = np.maximum(np.minimum(np.ceil(edges[1:]).astype(int), len(windows)), begins + 1)
    parts = [windows[a:b].mean(0) for a, b in zip(begins, ends, strict=True)]
    return np.stack(parts).astype(np.float32)


def sentence_views(words: Array, rng: np.random.Generator) -> Array:
    """Means of most of the words [P, C] of a description: [N, C]."""
    found = []
    for _ in range(VIEWS):
        kept = rng.random(len(words)) >= DROP
        found.append(words[kept if kept.any() else slice(None)].mean(0))
    return np.stack(found).astype(np.float32)
