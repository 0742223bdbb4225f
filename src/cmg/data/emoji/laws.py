"""From features to whole numbers and back, by laws that are known without looking at the set.

Nothing here is fitted: what becomes of a drawing or a phrase depends on no other one. Whole
numbers of 4 bits are packed in pairs and compressed by ``lzma``, which knows what is frequent.
"""

from __future__ import annotations

import lzma

import numpy as np
from numpy.typing import NDArray

HIGHEST = 6.0
"""What the last layer of EfficientNet-Lite0, a ReLU6, can give; the lowest is 0."""
STEPS = 15
"""Levels of a feature above 0."""
MOST = 7
"""Most levels of a phrase's vector on either side of 0."""


def levels_of(features: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Features 0 to 6 as levels 0 to 15 of their square root: small ones are told apart better."""
    levels: NDArray[np.uint8] = np.round(np.sqrt(features / HIGHEST) * STEPS).astype(np.uint8)
    return levels


def features_of(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features that levels stand for."""
    return np.square(np.arange(STEPS + 1, dtype=np.float32) / STEPS)[levels] * np.float32(HIGHEST)


def scaled_of(
    vectors: NDArray[np.floating], sides: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Vectors [N, C] as levels around :data:`MOST`, which is zero, and the scale [N] of each.

    Args:
        vectors: None of them zero.
        sides: Levels on either side of zero; the largest number of a vector becomes the last one.
    """
    scale = (np.abs(vectors).max(axis=1) / sides).astype(np.float16)
    levels = np.round(vectors / scale[:, None].astype(np.float32))
    return (np.clip(levels, -sides, sides) + MOST).astype(np.uint8), scale


def vectors_of(levels: NDArray[np.uint8], scale: NDArray[np.float16]) -> NDArray[np.float32]:
    """The vectors that levels and scales stand for."""
    return (levels.astype(np.float32) - MOST) * scale[:, None].astype(np.float32)


def compressed(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels below 16, an even number of them, in their order: bytes."""
    pairs = levels.reshape(-1, 2)
    packed = lzma.compress((pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes())
    return np.frombuffer(packed, np.uint8)


def decompressed(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What was given to :func:`compressed`, flat."""
    pairs = np.frombuffer(lzma.decompress(data.tobytes()), np.uint8)
    return np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)
