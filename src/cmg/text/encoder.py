"""A text encoder of ``transformers``, read from a folder: pieces and their last hidden states."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.files import StrPath
from cmg.text.places import ModelFiles, find_model, search_encoder
from cmg.text.pretrained import load_network, reading, transformers
from cmg.text.words import CONTINUES, MAX_PIECES, Piece, word_pieces

BATCH = 32
LONGEST = 512
"""Pieces that are read at once of a long text; attention takes their square."""
UNUSED_HEADS = ("pooler.",)
"""Weights a checkpoint may lack: `AutoModel` adds them, the last layer does not need them."""


@dataclass(frozen=True)
class Sentence:
    """What the tokenizer made of a sentence.

    Attributes:
        ids: Of the pieces that are read, special ones included.
        pieces: Without the special ones.
        special: Per id, whether it is a special piece.
        truncated: Whether pieces were cut off.
    """

    ids: tuple[int, ...]
    pieces: tuple[Piece, ...]
    special: tuple[bool, ...]
    truncated: bool


class TextEncoder:
    """A frozen text encoder: float32, eval mode.

    Opening one looks at its files only. Tokenizer and weights are read when they are first needed,
    so that prompts in the cache need neither.

    Args:
        files: The encoder's folder; see :meth:`open`.
        device: Where the network computes.
    """

    def __init__(self, files: ModelFiles, device: str = "cpu") -> None:
        self.files = files
        self.device = device

    @classmethod
    def open(cls, name: StrPath) -> TextEncoder:
        """Open a folder, or a name of the Hugging Face cache such as ``bert-base-uncased``.

        Raises:
            ConfigError: it is in neither, or lacks files.
        """
        return cls(find_model(os.fspath(name)))

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.files.folder

    @property
    def identity(self) -> str:
        """SHA-256 over the files that decide what it computes."""
        return self.files.identity

    @cached_property
    def tokenizer(self) -> Any:
        """The fast tokenizer.

        Raises:
            ConfigError: unreadable, slow (it runs Python of its own), or one without words.
        """
        from_folder = transformers(self.files.noun).AutoTokenizer.from_pretrained
        with reading("tokenizer", self.files):
            tokenizer = from_folder(
                self.folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
        if not getattr(tokenizer, "is_fast", False) or (
            tokenizer.backend_tokenizer.pre_tokenizer is None
        ):
            raise ConfigError(
                f"the tokenizer in {self.folder} does not tell where words start; use an encoder "
                "with a fast tokenizer that does (BERT, MPNet, RoBERTa, ...)"
            )
        tokenizer.truncation_side = "right"
        return tokenizer

    @cached_property
    def reads_word_pieces(self) -> bool:
        """Whether its pieces are BERT's: words of a vocabulary, ``##`` where one goes on."""
        model = self.tokenizer.backend_tokenizer.model
        return getattr(model, "continuing_subword_prefix", None) == CONTINUES

    @cached_property
    def word_ids(self) -> Mapping[str, int]:
        """Vocabulary entry to id, special entries left out."""
        special = set(self.tokenizer.all_special_ids)
        return {w: i for w, i in self.tokenizer.get_vocab().items() if i not in special}

    @cached_property
    def model(self) -> Any:
        """The network.

        Raises:
            ConfigError: unreadable, lacking weights, pickled with more than weights, or of a kind
                that does not read sentences alone.
        """
        model = self._text_part(load_network(self.files, UNUSED_HEADS))
        self._check_kind(model)
        return model.to(self.device)

    def _text_part(self, model: Any) -> Any:
        """What of the network reads text: all of it."""
        return model

    def _check_kind(self, model: Any) -> None:
        config = model.config
        words = _word_embeddings(model)
        if config.is_encoder_decoder or getattr(config, "hidden_size", None) is None or not words:
            raise ConfigError(
                f"{self.folder} holds a {type(model).__name__}, which does not read sentences "
                "alone; use an encoder such as BERT"
            )
        if getattr(config, "max_position_embeddings", MAX_PIECES) < MAX_PIECES:
            raise ConfigError(
                f"{self.folder}/config.json: max_position_embeddings "
                f"{config.max_position_embeddings} is less than the {MAX_PIECES} pieces that are "
                "read of a sentence"
            )
        if max(self.tokenizer.get_vocab().values()) >= words:
            raise ConfigError(
                f"{self.folder}: the tokenizer knows {len(self.tokenizer)} pieces, the weights "
                f"only {words}; they are not of the same encoder"
            )

    def read(self, sentences: Sequence[str]) -> list[Sentence]:
        """Cut sentences into pieces, at most :data:`~cmg.text.words.MAX_PIECES` of each.

        The special ones count. What a sentence spells like a special piece ("[SEP]") is text.
        """
        if not sentences:
            return []
        whole = self.tokenizer(
            list(sentences), split_special_tokens=True, add_special_tokens=False, verbose=False
        )
        cut = self.tokenizer(
            list(sentences),
            split_special_tokens=True,
            truncation=True,
            max_length=MAX_PIECES,
            return_special_tokens_mask=True,
        )
        read = []
        for index, sentence in enumerate(sentences):
            special = tuple(flag == 1 for flag in cut["special_tokens_mask"][index])
            pieces = self._pieces(cut, index, sentence)
            truncated = len(pieces) < len(whole["input_ids"][index])
            read.append(Sentence(tuple(cut["input_ids"][index]), pieces, special, truncated))
        return read

    def read_whole(self, text: str) -> list[Sentence]:
        """Cut a text of any length into as few sentences as the encoder can read.

        None has more pieces than the encoder has positions; a word may go on in the next one.
        Nothing is truncated, and a text without words is one sentence without pieces.
        """
        cut = self.tokenizer(
            text,
            split_special_tokens=True,
            truncation=True,
            max_length=self.longest,
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
        )
        read: list[Sentence] = []
        before = None
        for index, ids in enumerate(cut["input_ids"]):
            special = tuple(flag == 1 for flag in cut["special_tokens_mask"][index])
            pieces = self._pieces(cut, index, text, before)
            read.append(Sentence(tuple(ids), pieces, special, truncated=False))
            before = max((w for w in cut[index].word_ids if w is not None), default=None)
        return read

    @property
    def longest(self) -> int:
        """Pieces that are read at once, special ones included, at most :data:`LONGEST`."""
        positions = getattr(self.model.config, "max_position_embeddings", LONGEST)
        embeddings = getattr(self.model, "embeddings", None)
        # RoBERTa and its kind count positions from behind the id of the padding.
        unused = 1 + getattr(embeddings, "padding_idx", -1)
        return min(positions - unused, LONGEST)

    def _pieces(
        self, cut: Any, index: int, sentence: str, before: int | None = None
    ) -> tuple[Piece, ...]:
        """The pieces of a sentence; other tokenizers than BERT's say which word each is of.

        `before` is the word of the piece before the first one, None where there is none.
        """
        made = cut[index]
        own = [p for p, special in enumerate(made.special_tokens_mask) if not special]
        if self.reads_word_pieces:
            return tuple(word_pieces([made.tokens[p] for p in own]))
        pieces = []
        for p in own:
            first, last = made.offsets[p]
            pieces.append(Piece(sentence[first:last].strip(), made.word_ids[p] != before))
            before = made.word_ids[p]
        return tuple(pieces)

    def hidden(self, sentences: Sequence[Sentence]) -> list[NDArray[np.float32]]:
        """The last hidden layer of each sentence, without its special pieces: float32 [P, H].

        Sentences of a batch are padded and masked; what one gives does not depend on the others.
        """
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(sentences), BATCH):
            batch = sentences[start : start + BATCH]
            longest = max(len(s.ids) for s in batch)
            ids = torch.full((len(batch), longest), self.tokenizer.pad_token_id or 0)
            mask = torch.zeros_like(ids)
            for row, sentence in enumerate(batch):
                ids[row, : len(sentence.ids)] = torch.tensor(sentence.ids)
                mask[row, : len(sentence.ids)] = 1
            with torch.inference_mode():
                given = {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}
                layer = self.model(**given).last_hidden_state.cpu()
            for row, sentence in enumerate(batch):
                own = [p for p, special in enumerate(sentence.special) if not special]
                found.append(layer[row, own].numpy())
        return found


def _word_embeddings(model: Any) -> int:
    """How many a network has; 0 for one that reads no words."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):
        return 0


def load_text_encoder(root: StrPath | None = None, name: str | None = None) -> TextEncoder:
    """The text encoder to use: the one named, else ROOT's, the environment's or the cached default.

    Args:
        root: Official folder; its ``text-encoder`` comes before ``CMG_TEXT_ENCODER`` and the
            Hugging Face cache.
        name: Folder, or name in the Hugging Face cache; comes before everything.

    Raises:
        ConfigError: there is none, with what to put where. Nothing is downloaded.
    """
    root = None if root is None else Path(root)
    if name is not None:
        return TextEncoder.open(name)
    return TextEncoder(search_encoder(root))
