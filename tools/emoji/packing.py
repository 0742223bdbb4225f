"""From features, pictures and words to the arrays of archives, for `cmg.data.emoji.archive`.

Nothing here is fitted: what becomes of a drawing or a phrase depends on no other one.
"""

from __future__ import annotations

import json
import lzma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.emoji.archive import TEXT
from cmg.data.emoji.laws import HIGHEST, MOST, STEPS

SIDES = {TEXT: 7}
OTHER_SIDES = 3
"""Levels on either side of zero, of English and of other languages' vectors."""


def levels_of(features: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Features 0 to 6 as levels 0 to 15 of their square root: small ones are told apart better."""
    levels: NDArray[np.uint8] = np.round(np.sqrt(features / HIGHEST) * STEPS).astype(np.uint8)
    return levels


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


def compressed(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels below 16, an even number of them, in their order: bytes."""
    pairs = levels.reshape(-1, 2)
    packed = lzma.compress((pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes())
    return np.frombuffer(packed, np.uint8)


def packed_features(features: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Features [N, 4, C] as bytes, channel by channel."""
    return compressed(levels_of(features).transpose(2, 0, 1))


def packed_pictures(
    palettes: dict[str, NDArray[np.uint8]], indices: dict[str, NDArray[np.uint8]]
) -> dict[str, NDArray[Any]]:
    """Colors [N, 16, 3] and which of them every pixel [N, 32, 32] has, as arrays of an archive."""
    colors = {f"{who}_colors": palette for who, palette in palettes.items()}
    return colors | {who: compressed(index) for who, index in indices.items()}


def packed_words(
    concepts: list[dict[str, Any]], vectors: dict[str, NDArray[np.floating]]
) -> dict[str, NDArray[Any]]:
    """Concepts as in `Emoji`, and the vectors of their phrases, as arrays of an archive.

    Args:
        concepts: The fields of each; they hold the phrases in full.
        vectors: By modality [P, C], of its phrases in alphabetical order.
    """
    told = json.dumps(concepts, ensure_ascii=False, separators=(",", ":")).encode()
    found: dict[str, NDArray[Any]] = {"concepts": np.frombuffer(lzma.compress(told), np.uint8)}
    for modality, values in vectors.items():
        levels, found[f"{modality}_scale"] = scaled_of(values, SIDES.get(modality, OTHER_SIDES))
        found[modality] = compressed(levels)
    return found
