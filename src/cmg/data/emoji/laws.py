"""From whole numbers back to features, by laws that are known without looking at the set.

Whole numbers of 4 bits are packed in pairs and compressed by ``lzma``, which knows what is
frequent; ``tools/emoji/packing.py`` has the way there.
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


def features_of(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features that levels stand for."""
    return np.square(np.arange(STEPS + 1, dtype=np.float32) / STEPS)[levels] * np.float32(HIGHEST)


def vectors_of(levels: NDArray[np.uint8], scale: NDArray[np.float16]) -> NDArray[np.float32]:
    """The vectors that levels and scales stand for."""
    return (levels.astype(np.float32) - MOST) * scale[:, None].astype(np.float32)


def decompressed(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The levels in some bytes, flat."""
    pairs = np.frombuffer(lzma.decompress(data.tobytes()), np.uint8)
    return np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)
