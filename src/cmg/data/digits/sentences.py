"""Sentences that mention a digit, and the token features of their words."""

from __future__ import annotations

import hashlib
import itertools
import re
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TOKEN_WIDTH = 96
_GRAMS = (2, 3, 4)


def _sections() -> dict[str, tuple[str, ...]]:
    """What ``sentences.txt`` has below each heading: whole sentences, and words for a place."""
    text = resources.files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8")
    parts = (part.splitlines() for part in text.split("\n\n"))
    return {heading.strip("[]"): tuple(lines) for heading, *lines in parts}


_SAID = _sections()
_PATTERNS = (
    "who did {digit} where",
    "where who did {digit}",
    "thing {digit} state",
    "where thing {digit} state",
    "do {digit} where",
    "{digit} is where",
)


def _composed(limit: int = 1200) -> tuple[str, ...]:
    """Up to `limit` sentences of every pattern, evenly spread over all it can say.

    A few dozen frames would be learned by heart; thousands of them make the digit's word the only
    thing to go by.
    """
    found = []
    for pattern in _PATTERNS:
        slots = (_SAID.get(slot, (slot,)) for slot in pattern.split())
        said = [" ".join(parts) + "." for parts in itertools.product(*slots)]
        said = [text for text in said if 5 <= len(text.split()) <= 10]
        # A stride coprime to most products, so that every slot runs through all its choices.
        found += [said[i * 7919 % len(said)] for i in range(min(limit, len(said)))]
    return tuple(dict.fromkeys(found))


TRAIN_TEMPLATES = _SAID["train"] + _composed()
TEST_TEMPLATES = _SAID["test"]


def sentence(template: str, digit: int) -> str:
    """The template with the word of the digit in its place."""
    text = template.format(digit=DIGIT_WORDS[digit])
    return text[0].upper() + text[1:]


def words(text: str) -> list[str]:
    """The words of a sentence, lower case and without punctuation."""
    return re.findall(r"[a-z']+", text.lower())


@lru_cache(maxsize=4096)
def token(word: str) -> NDArray[np.float32]:
    """The feature of a word: its hashed, signed character n-grams, of unit mean square.

    Words with common parts have similar features, and a word never seen has one, too.

    Returns:
        float32 [96].
    """
    marked = f"<{word}>"
    grams = [marked[i : i + n] for n in _GRAMS for i in range(len(marked) - n + 1)]
    vector = np.zeros(TOKEN_WIDTH, dtype=np.float32)
    for gram in [marked, *grams]:
        digest = hashlib.blake2b(gram.encode(), digest_size=5).digest()
        vector[int.from_bytes(digest[:4], "little") % TOKEN_WIDTH] += 1 if digest[4] & 1 else -1
    norm = float(np.linalg.norm(vector))
    # The n-grams of a very short word may cancel; its whole mark never does alone.
    if not norm:
        return token(f"{word}_")
    vector *= TOKEN_WIDTH**0.5 / norm
    return vector


def tokens(text: str) -> NDArray[np.float32]:
    """The features of the words of a sentence, float32 [words, 96]."""
    return np.stack([token(word) for word in words(text)])
