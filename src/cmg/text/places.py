"""Where the files of a network of ``transformers`` are. Nothing here touches the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cmg.errors import ConfigError
from cmg.files import file_sha256
from cmg.optional import optional

DEFAULT_ENCODER = "google-bert/bert-base-uncased"
ENVIRONMENT = "CMG_TEXT_ENCODER"
IN_ROOT = "text-encoder"

SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model")
FRONT_ENDS = ("preprocessor_config.json", "processor_config.json")
DOWNLOAD = (
    f"hf download {DEFAULT_ENCODER} config.json tokenizer_config.json tokenizer.json vocab.txt "
    "model.safetensors"
)
INSTALL = "pip install 'cmg-torch[text]'"


@dataclass(frozen=True)
class ModelKind:
    """What a kind of network is called, and what its folder must hold.

    Attributes:
        noun: For messages: ``text encoder``.
        files: The files that a folder should have, in words.
        wanted: What a folder must hold besides configuration and weights, to the names of files
            one of which holds it.
        download: Command that gets an example; None where the user's choice decides.
    """

    noun: str
    files: str
    wanted: Mapping[str, tuple[str, ...]]
    download: str | None = None


TEXT_ENCODER = ModelKind(
    "text encoder",
    "config.json, vocab.txt (or tokenizer.json) and model.safetensors",
    {"a tokenizer (tokenizer.json or vocab.txt)": TOKENIZERS},
    DOWNLOAD,
)


def media_encoder(noun: str) -> ModelKind:
    """A network that reads pictures or sounds, with the configuration of its front end."""
    return ModelKind(
        noun,
        "config.json, preprocessor_config.json and model.safetensors",
        {"its front end (preprocessor_config.json)": FRONT_ENDS},
    )


@dataclass(frozen=True)
class ModelFiles:
    """A folder that holds a network.

    Attributes:
        folder: Where.
        pickled: Whether its weights are only there as ``.bin``.
        noun: What it is called in messages.
    """

    folder: Path
    pickled: bool
    noun: str = TEXT_ENCODER.noun

    @cached_property
    def identity(self) -> str:
        """SHA-256 over the names and contents of its configuration, tokenizer and weights."""
        weights = "*.bin" if self.pickled else "*.safetensors"
        kinds = ("*.json", "*.txt", "*.model", weights)
        files = sorted({p for kind in kinds for p in self.folder.glob(kind) if p.is_file()})
        lines = [f"{path.name} {file_sha256(path)}\n" for path in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def model_files(folder: Path, kind: ModelKind = TEXT_ENCODER) -> ModelFiles:
    """The network in a folder.

    Raises:
        ConfigError: no folder, or one of its files is missing.
    """
    if not folder.is_dir():
        raise ConfigError(f"no {kind.noun} at {folder}: no such folder; it must hold {kind.files}")
    wanted = {
        "config.json": ("config.json",),
        **kind.wanted,
        "weights (model.safetensors)": SAFE_WEIGHTS + PICKLED_WEIGHTS,
    }
    missing = [
        what for what, names in wanted.items() if not any((folder / n).is_file() for n in names)
    ]
    if missing:
        example = f", e.g. `{kind.download} --local-dir {folder}`" if kind.download else ""
        raise ConfigError(
            f"the {kind.noun} in {folder} lacks {', '.join(missing)}; put {kind.files} "
            f"there{example}"
        )
    safe = any((folder / name).is_file() for name in SAFE_WEIGHTS)
    return ModelFiles(folder, not safe, kind.noun)


def find_model(name: str, kind: ModelKind = TEXT_ENCODER) -> ModelFiles:
    """The network that a folder or a name of the Hugging Face cache means.

    Raises:
        ConfigError: neither, or files are missing.
    """
    folder = Path(name).expanduser()
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")):
        return model_files(folder, kind)
    cached = in_hub_cache(name, "config.json", kind.noun)
    if cached is None:
        raise ConfigError(
            f"no {kind.noun} {name!r}: no such folder, and not in the Hugging Face cache "
            f"{_hub_cache(kind.noun)}; nothing is downloaded for you. Download it once "
            f"(`hf download {name}`), or name a folder with {kind.files}"
        )
    return model_files(cached.parent, kind)


def search_encoder(root: Path | None) -> ModelFiles:
    """The encoder to use where none was named: ROOT's, ``CMG_TEXT_ENCODER``, the cached default.

    The first place that is filled decides: one that holds a broken encoder is an error, not a
    reason to take another encoder without a word.

    Raises:
        ConfigError: none of them has one, with what to put where.
    """
    looked = []
    if root is not None:
        if (root / IN_ROOT).exists():
            return model_files(root / IN_ROOT)
        looked.append(f"{root / IN_ROOT} (not there)")
    given = os.environ.get(ENVIRONMENT)
    if given:
        try:
            return find_model(given)
        except ConfigError as error:
            raise ConfigError(f"${ENVIRONMENT}={given}: {error}") from error
    looked.append(f"${ENVIRONMENT} (not set)")
    cached = in_hub_cache(DEFAULT_ENCODER, "config.json")
    if cached is not None:
        return model_files(cached.parent)
    looked.append(f"the Hugging Face cache {_hub_cache()} (no {DEFAULT_ENCODER})")
    raise ConfigError(
        f"no text encoder; looked at {', '.join(looked)}. Nothing is downloaded for you: run "
        f"`{DOWNLOAD}` once, or put these files into a folder and name it with ${ENVIRONMENT}"
        + (f" (or make it {root / IN_ROOT})" if root is not None else "")
    )


def in_hub_cache(name: str, file: str, noun: str = TEXT_ENCODER.noun) -> Path | None:
    """A file of a repository in the Hugging Face cache; None where it is not there.

    Args:
        name: Of the repository; the default encoder has an old short name too.
        file: Path in the repository.
        noun: What is looked for, for messages.

    Raises:
        ConfigError: the package that knows the cache is not installed.
    """
    cache = _hub_cache(noun)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    short = DEFAULT_ENCODER.partition("/")[2]
    names = (DEFAULT_ENCODER, short) if name in {DEFAULT_ENCODER, short} else (name,)
    for candidate in names:
        try:
            found = try_to_load_from_cache(candidate, file, cache_dir=cache)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found)
    return None


def _hub_cache(noun: str = TEXT_ENCODER.noun) -> str:
    optional("huggingface_hub", f"the {noun} needs transformers: {INSTALL}")
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE
