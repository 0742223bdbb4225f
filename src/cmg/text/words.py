"""From pieces to words to slots: the arithmetic of the published text pipeline.

Shape legend: P pieces, W words, S slots, H width of the text encoder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_PIECES = 25
"""Pieces of a sentence that are read, the encoder's special ones included (*as coded*)."""

SLOTS = 10
"""Words of a sentence that are kept (*as coded*)."""

CONTINUES = "##"
"""What the name of a word piece starts with when it goes on with a word."""

UNKNOWN_ID = 0
"""Id of a word that is no vocabulary entry, in the numbering cnt.pkl was made with."""


@dataclass(frozen=True)
class Piece:
    """One piece of a tokenizer, special pieces excluded.

    Attributes:
        text: What it adds to its word.
        starts: Whether it starts a word; the first piece of a sentence does anyway.
    """

    text: str
    starts: bool


@dataclass(frozen=True)
class Word:
    """A word glued of the pieces ``first`` to ``last``, the last not included."""

    text: str
    first: int
    last: int


def word_pieces(names: Sequence[str]) -> list[Piece]:
    """WordPiece names as pieces: ``##`` goes on with the word before."""
    return [Piece(n.removeprefix(CONTINUES), not n.startswith(CONTINUES)) for n in names]


def glue(pieces: Sequence[Piece]) -> list[Word]:
    """The words of a sentence. Pieces are glued, not what white space parts.

    Punctuation is a word of its own ("horse-clip" is three words), and a word that the limit on
    pieces cuts is what remains of it (*as coded*).
    """
    words: list[Word] = []
    for index, piece in enumerate(pieces):
        if piece.starts or not words:
            words.append(Word(piece.text, index, index + 1))
        else:
            before = words.pop()
            words.append(Word(before.text + piece.text, before.first, index + 1))
    return words


def word_vectors(words: Sequence[Word], hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each word's pieces.

    Args:
        words: W words over the pieces of `hidden`.
        hidden: [P, H], the last layer without its special pieces.

    Returns:
        float32 [W, H].
    """
    vectors = np.zeros((len(words), hidden.shape[1]), dtype=np.float32)
    for index, word in enumerate(words):
        vectors[index] = hidden[word.first : word.last].mean(axis=0)
    return vectors


def survives(word: str, ids: Mapping[str, int], keep: Collection[int] | None) -> bool:
    """Whether the filter keeps a word.

    A word glued of several pieces is no vocabulary entry and looks up as unknown, so the published
    filter drops it even where every piece of it would pass (*as coded*).

    Args:
        word: The glued word.
        ids: Vocabulary without its special entries, whose ids differ between numberings.
        keep: Ids that pass; None passes every word.
    """
    if keep is None:
        return True
    found = ids.get(word, UNKNOWN_ID)
    return found != UNKNOWN_ID and found in keep


def fill_slots(vectors: NDArray[np.float32], slots: int = SLOTS) -> NDArray[np.float32]:
    """The first `slots` of [W, H] as [S, H]; slots without a word are zero."""
    filled = np.zeros((slots, vectors.shape[1]), dtype=np.float32)
    filled[: len(vectors)] = vectors[:slots]
    return filled
