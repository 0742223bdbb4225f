"""A text encoder of ``transformers``, read from a folder: pieces and their last hidden states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.text.places import INSTALL, EncoderFiles, find_encoder, search_encoder
from cmg.text.words import CONTINUES, MAX_PIECES, Piece, word_pieces

BATCH = 32
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
    """A frozen text encoder: float32, eval mode, on the CPU.

    Opening one looks at its files only. Tokenizer and weights are read when they are first needed,
    so that prompts in the cache need neither.

    Args:
        files: The encoder's folder; see :meth:`open`.
    """

    def __init__(self, files: EncoderFiles) -> None:
        self.files = files

    @classmethod
    def open(cls, name: str | Path) -> TextEncoder:
        """Open a folder, or a name of the Hugging Face cache such as ``bert-base-uncased``.

        Raises:
            ConfigError: it is in neither, or lacks files.
        """
        return cls(find_encoder(str(name)))

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
        from_folder = _transformers().AutoTokenizer.from_pretrained
        with self._reading("tokenizer"):
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
        from_folder = _transformers().AutoModel.from_pretrained
        with self._reading("weights"), torch.random.fork_rng(devices=[]):
            model, loading = from_folder(
                self.folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=not self.files.pickled,
                weights_only=True,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
            )
        lacking = sorted(n for n in loading["missing_keys"] if not n.startswith(UNUSED_HEADS))
        if lacking:
            raise ConfigError(
                f"the weights in {self.folder} lack {len(lacking)} tensors of its config.json, "
                f"the first {lacking[0]!r}; download the encoder again"
            )
        self._check_kind(model)
        return model.eval()

    def _check_kind(self, model: Any) -> None:
        config = model.config
        if config.is_encoder_decoder or getattr(config, "hidden_size", None) is None:
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
        entries = model.get_input_embeddings().num_embeddings
        if max(self.tokenizer.get_vocab().values()) >= entries:
            raise ConfigError(
                f"{self.folder}: the tokenizer knows {len(self.tokenizer)} pieces, the weights "
                f"only {entries}; they are not of the same encoder"
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

    def _pieces(self, cut: Any, index: int, sentence: str) -> tuple[Piece, ...]:
        """The pieces of a sentence; other tokenizers than BERT's say which word each is of."""
        made = cut[index]
        own = [p for p, special in enumerate(made.special_tokens_mask) if not special]
        if self.reads_word_pieces:
            return tuple(word_pieces([made.tokens[p] for p in own]))
        pieces = []
        before = None
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
                layer = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            for row, sentence in enumerate(batch):
                own = [p for p, special in enumerate(sentence.special) if not special]
                found.append(layer[row, own].numpy())
        return found

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Read files quietly, and say of which encoder they are when that fails."""
        from transformers.utils import logging

        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        except Exception as error:  # transformers lets through whatever a broken file causes
            reason = (str(error) or type(error).__name__).splitlines()[0]
            remedy = (
                "pickled weights are read as weights only; use model.safetensors"
                if self.files.pickled and what == "weights"
                else "download the encoder again, or name another"
            )
            raise ConfigError(
                f"cannot read the {what} of the text encoder in {self.folder}: {reason}; {remedy}"
            ) from error
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()


def load_text_encoder(root: Path | None = None, name: str | None = None) -> TextEncoder:
    """The text encoder to use: the one named, else ROOT's, the environment's or the cached default.

    Args:
        root: Official folder; its ``text-encoder`` comes before ``CMG_TEXT_ENCODER`` and the
            Hugging Face cache.
        name: Folder, or name in the Hugging Face cache; comes before everything.

    Raises:
        ConfigError: there is none, with what to put where. Nothing is downloaded.
    """
    if name is not None:
        return TextEncoder.open(name)
    return TextEncoder(search_encoder(root))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(f"text encoders need transformers: {INSTALL}") from error
    return transformers
