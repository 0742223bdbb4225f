"""The embedded drawings, names and keywords: what was made of the packages, before any fold.

``tools/emoji/make.py`` made the archives; ``NOTICE.md`` says where they are from.

Shape legend: N concepts, C channels, P phrases.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.embedded import read_archive
from cmg.data.emoji.laws import decompressed, features_of, vectors_of

SHA256 = {
    "drawings.npz": "1d604ede2e5c56f9c9dc95b754d22117749d952b9fe413bb5855df882742e3ad",
    "pictures.npz": "825bf34891d1b960f1ddda6df7205761ea0c4eb0e214e8e43565ef820d3ba127",
    "words.npz": "49327285ee87e2fb02c2bbd5e3466dc6c99e6f9c6d08b4ad6eaaf6b2e49a1367",
}
DESIGNERS = ("noto", "fluent", "twemoji")
QUADRANTS = 4
CHANNELS = 1280
SIDE = 32
"""Pixels of a thumbnail."""
COLORS = 16
TEXT = "text"
"""The modality of English; that of German is ``text_de``."""


@dataclass(frozen=True)
class Emoji:
    """One concept.

    Attributes:
        code: Its code points, ``1F408``.
        emoji: The character itself.
        label: Its English name.
        group: One of 8.
        subgroup: One of 94.
        phrases: Name and keywords by modality, ``text`` and ``text_de`` among them.
    """

    code: str
    emoji: str
    label: str
    group: str
    subgroup: str
    phrases: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class EmojiWords:
    """What text encoders made of names and keywords.

    Attributes:
        concepts: In the order of emojibase.
        vectors: By modality, of every phrase float32 [C].
    """

    concepts: tuple[Emoji, ...]
    vectors: dict[str, dict[str, NDArray[np.float32]]]


@lru_cache(maxsize=1)
def load_words() -> EmojiWords:
    """The concepts and their phrases.

    Raises:
        DataError: the archive is missing or damaged.
    """
    return unpacked_words(_read("words.npz"))


def load_drawings() -> dict[str, NDArray[np.float32]]:
    """What EfficientNet-Lite0 saw in the quadrants of the drawings, by designer: [N, 4, 1280].

    A quadrant is the mean of 4 x 4 positions of the map of 7 x 7; they share the middle row and
    column. In the order of :func:`load_words`.

    Raises:
        DataError: the archive is missing or damaged.
    """
    return {who: unpacked_features(data) for who, data in _read("drawings.npz").items()}


@lru_cache(maxsize=1)
def load_pictures() -> dict[str, NDArray[np.uint8]]:
    """The drawings for reports, by designer: RGB [N, 32, 32, 3], 16 colors each.

    Raises:
        DataError: the archive is missing or damaged.
    """
    return unpacked_pictures(_read("pictures.npz"))


def _read(name: str) -> dict[str, NDArray[Any]]:
    return read_archive(__package__, name, SHA256[name])


def unpacked_features(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features [N, 4, C], as near as their law allows, of bytes channel by channel."""
    levels = decompressed(data).reshape(CHANNELS, -1, QUADRANTS)
    return features_of(np.ascontiguousarray(levels.transpose(1, 2, 0)))


def unpacked_pictures(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.uint8]]:
    """RGB pictures [N, 32, 32, 3], of colors [N, 16, 3] and which of them every pixel has."""
    found = {}
    for who in DESIGNERS:
        index = decompressed(arrays[who]).reshape(-1, SIDE * SIDE, 1)
        colors = np.take_along_axis(arrays[f"{who}_colors"], index.astype(np.int64), axis=1)
        found[who] = colors.reshape(-1, SIDE, SIDE, 3)
    return found


def unpacked_words(arrays: dict[str, NDArray[Any]]) -> EmojiWords:
    """Concepts, and the vectors of their phrases in alphabetical order."""
    rows = json.loads(lzma.decompress(arrays["concepts"].tobytes()))
    concepts = tuple(
        Emoji(**(row | {"phrases": {m: tuple(p) for m, p in row["phrases"].items()}}))
        for row in rows
    )
    vectors = {}
    for modality in concepts[0].phrases:
        scale = arrays[f"{modality}_scale"]
        values = vectors_of(decompressed(arrays[modality]).reshape(len(scale), -1), scale)
        known = sorted({phrase for c in concepts for phrase in c.phrases[modality]})
        vectors[modality] = dict(zip(known, values, strict=True))
    return EmojiWords(concepts, vectors)
