"""A small random BERT in Hugging Face format, whose vocabulary is the words of the prompts.

It says nothing of the world; it lets the text pipeline run where the real weights are not.
"""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from cmg.simulate.scripts import generator, rank

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LONGEST_WORD = 8
"""Longer words are in the vocabulary only as pieces."""
_PIECE = 5
_LAYERS = 2
_POSITIONS = 64
_COMMON = 3
"""Words of so many prompts survive the vocabulary filter; of the others every second one."""


def write_text_encoder(folder: Path, prompts: Sequence[str], width: int, seed: int) -> None:
    """Write ``config.json``, tokenizer files and ``model.safetensors``.

    Args:
        folder: Is made.
        prompts: Whose words the vocabulary has.
        width: Of the hidden states.
        seed: Of the weights.
    """
    folder.mkdir(parents=True)
    pieces = vocabulary(prompts)
    heads = next(h for h in (12, 8, 4, 2, 1) if width % h == 0 and width // h >= 8)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": _POSITIONS,
        "num_attention_heads": heads,
        "num_hidden_layers": _LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": len(pieces),
    }
    tokenizer = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": _POSITIONS,
        **{f"{name.strip('[]').lower()}_token": name for name in _SPECIALS},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    weights = _weights(len(pieces), width, seed)
    (folder / "model.safetensors").write_bytes(save(weights, {"format": "pt"}))


def count_file(prompts: Sequence[str]) -> bytes:
    """``cnt.pkl``: word id -> dense index, of the words that the vocabulary filter keeps.

    As in the official file, many words of the prompts are not in it.
    """
    ids = {piece: number for number, piece in enumerate(vocabulary(prompts))}
    found = Counter(word for prompt in prompts for word in set(words(prompt)))
    kept = [0]  # The official file has this key too; the filter leaves it out all the same.
    for word in dict.fromkeys(word for prompt in prompts for word in words(prompt)):
        if word in ids and (found[word] >= _COMMON or rank(word) % 2):
            kept.append(ids[word])
    return pickle.dumps({key: index for index, key in enumerate(kept)}, protocol=3)


def words(prompt: str) -> list[str]:
    """Words and signs of a sentence, as BERT's tokenizer separates them."""
    return re.findall(r"[a-z0-9]+|[^a-z0-9\s]", prompt.lower())


def vocabulary(prompts: Iterable[str]) -> list[str]:
    """WordPiece vocabulary: special tokens, letters, short words, and the pieces of long ones."""
    pieces = dict.fromkeys(_SPECIALS)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces.update(dict.fromkeys(letters))
    pieces.update(dict.fromkeys(f"##{letter}" for letter in letters))
    for word in sorted({word for prompt in prompts for word in words(prompt)}):
        if len(word) <= _LONGEST_WORD:
            pieces[word] = None
        else:
            pieces[word[:_PIECE]] = None
            pieces[f"##{word[_PIECE:]}"] = None
    return list(pieces)


def _weights(size: int, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """The tensors of a Hugging Face ``BertModel``."""
    rng = generator(seed, "text encoder")
    weights: dict[str, NDArray[np.float32]] = {}

    def drawn(name: str, *shape: int, spread: float = 0.02) -> None:
        weights[name] = np.float32(spread) * rng.standard_normal(shape, np.float32)

    def linear(name: str, made: int, read: int) -> None:
        drawn(f"{name}.weight", made, read, spread=read**-0.5)
        weights[f"{name}.bias"] = np.zeros(made, np.float32)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = np.ones(width, np.float32)
        weights[f"{name}.bias"] = np.zeros(width, np.float32)

    drawn("embeddings.word_embeddings.weight", size, width, spread=0.05)
    drawn("embeddings.position_embeddings.weight", _POSITIONS, width)
    drawn("embeddings.token_type_embeddings.weight", 2, width)
    norm("embeddings.LayerNorm")
    for layer in range(_LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", width, width)
        linear(f"{at}.attention.output.dense", width, width)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", 2 * width, width)
        linear(f"{at}.output.dense", width, 2 * width)
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", width, width)
    return weights
