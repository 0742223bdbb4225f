"""Where the files of a text encoder are. Nothing here touches the network."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cmg.errors import ConfigError
from cmg.files import file_sha256

DEFAULT_ENCODER = "google-bert/bert-base-uncased"
ENVIRONMENT = "CMG_TEXT_ENCODER"
IN_ROOT = "text-encoder"

SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model")
FILES = "config.json, vocab.txt (or tokenizer.json) and model.safetensors"
DOWNLOAD = (
    f"hf download {DEFAULT_ENCODER} config.json tokenizer_config.json tokenizer.json vocab.txt "
    "model.safetensors"
)
INSTALL = "pip install 'cmg-torch[text]'"


@dataclass(frozen=True)
class EncoderFiles:
    """A folder that holds an encoder.

    Attributes:
        folder: Where.
        pickled: Whether its weights are only there as ``.bin``.
    """

    folder: Path
    pickled: bool

    @cached_property
    def identity(self) -> str:
        """SHA-256 over the names and contents of its configuration, tokenizer and weights."""
        weights = "*.bin" if self.pickled else "*.safetensors"
        kinds = ("*.json", "*.txt", "*.model", weights)
        files = sorted({p for kind in kinds for p in self.folder.glob(kind) if p.is_file()})
        lines = [f"{path.name} {file_sha256(path)}\n" for path in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def encoder_files(folder: Path) -> EncoderFiles:
    """The encoder in a folder.

    Raises:
        ConfigError: no folder, or one of its files is missing.
    """
    if not folder.is_dir():
        raise ConfigError(f"no text encoder at {folder}: no such folder; it must hold {FILES}")
    wanted = {
        "config.json": ("config.json",),
        "a tokenizer (tokenizer.json or vocab.txt)": TOKENIZERS,
        "weights (model.safetensors)": SAFE_WEIGHTS + PICKLED_WEIGHTS,
    }
    missing = [
        what for what, names in wanted.items() if not any((folder / n).is_file() for n in names)
    ]
    if missing:
        raise ConfigError(
            f"the text encoder in {folder} lacks {', '.join(missing)}; put {FILES} there, e.g. "
            f"`{DOWNLOAD} --local-dir {folder}`"
        )
    safe = any((folder / name).is_file() for name in SAFE_WEIGHTS)
    return EncoderFiles(folder, pickled=not safe)


def find_encoder(name: str) -> EncoderFiles:
    """The encoder that a folder or a name of the Hugging Face cache means.

    Raises:
        ConfigError: neither, or files are missing.
    """
    folder = Path(name).expanduser()
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")):
        return encoder_files(folder)
    cached = _in_hub_cache(name)
    if cached is None:
        raise ConfigError(
            f"no text encoder {name!r}: no such folder, and not in the Hugging Face cache "
            f"{_hub_cache()}; nothing is downloaded for you. Download it once (`hf download "
            f"{name}`), or name a folder with {FILES}"
        )
    return encoder_files(cached)


def search_encoder(root: Path | None) -> EncoderFiles:
    """The encoder to use where none was named: ROOT's, ``CMG_TEXT_ENCODER``, the cached default.

    The first place that is filled decides: one that holds a broken encoder is an error, not a
    reason to take another encoder without a word.

    Raises:
        ConfigError: none of them has one, with what to put where.
    """
    looked = []
    if root is not None:
        if (root / IN_ROOT).exists():
            return encoder_files(root / IN_ROOT)
        looked.append(f"{root / IN_ROOT} (not there)")
    given = os.environ.get(ENVIRONMENT)
    if given:
        try:
            return find_encoder(given)
        except ConfigError as error:
            raise ConfigError(f"${ENVIRONMENT}={given}: {error}") from error
    looked.append(f"${ENVIRONMENT} (not set)")
    cached = _in_hub_cache(DEFAULT_ENCODER)
    if cached is not None:
        return encoder_files(cached)
    looked.append(f"the Hugging Face cache {_hub_cache()} (no {DEFAULT_ENCODER})")
    raise ConfigError(
        f"no text encoder; looked at {', '.join(looked)}. Nothing is downloaded for you: run "
        f"`{DOWNLOAD}` once, or put these files into a folder and name it with ${ENVIRONMENT}"
        + (f" (or make it {root / IN_ROOT})" if root is not None else "")
    )


def _hub_cache() -> str:
    try:
        from huggingface_hub import constants
    except ImportError as error:
        raise ConfigError(f"text encoders need transformers: {INSTALL}") from error
    return constants.HF_HUB_CACHE


def _in_hub_cache(name: str) -> Path | None:
    """The snapshot of a repository in the Hugging Face cache, by its full or its old short name."""
    cache = _hub_cache()
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    short = DEFAULT_ENCODER.partition("/")[2]
    names = (DEFAULT_ENCODER, short) if name in {DEFAULT_ENCODER, short} else (name,)
    for candidate in names:
        try:
            found = try_to_load_from_cache(candidate, "config.json", cache_dir=cache)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None
