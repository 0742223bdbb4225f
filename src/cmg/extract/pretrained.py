"""Networks of ``transformers`` for extractors: where they are, and whether they read the medium."""

from __future__ import annotations

from dataclasses import replace

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions, Takes
from cmg.text.places import ModelFiles, ModelKind, find_model, model_files
from cmg.text.pretrained import reading, transformers

_BY_INPUT: dict[str, tuple[Takes, str]] = {
    "input_ids": ("text", "hf-text"),
    "pixel_values": ("frames", "transformers-vision"),
    "input_values": ("sound", "transformers-audio"),
    "input_features": ("sound", "transformers-audio"),
}
"""What a network reads, and its extractors, by the name of its main argument."""
_BY_PART: dict[str, tuple[Takes, str]] = {
    "text_config": ("text", "clip-text"),
    "vision_config": ("frames", "clip"),
    "audio_config": ("sound", "clap"),
}
"""The same of the parts of a network, by the name of their configuration."""


def network_files(options: LoadOptions, kind: ModelKind, takes: Takes) -> ModelFiles:
    """The network that the options name.

    What it reads is looked up in its config.json, before its weights are read or a missing
    tokenizer of a network of pictures is asked for.

    Raises:
        ConfigError: no such network, it reads something else, or files are missing.
    """
    bare = find_model(str(options.weights or options.model), replace(kind, wanted={}))
    package = transformers(bare.noun)
    with reading("configuration", bare):
        config = package.AutoConfig.from_pretrained(
            bare.folder, local_files_only=True, trust_remote_code=False
        )
    known = [told for part, told in _BY_PART.items() if hasattr(config, part)]
    if not known:
        network = package.MODEL_MAPPING.get(type(config), None)
        argument = getattr(network, "main_input_name", "")
        known = [_BY_INPUT[argument]] if argument in _BY_INPUT else []
    if known and takes not in dict(known):
        raise ConfigError(
            f"{bare.folder} holds a network of type {config.model_type!r}, which reads "
            f"{' and '.join(dict(known))}, not {takes}; it is for "
            f"{' and '.join(f'{family}:MODEL' for _, family in known)}"
        )
    return model_files(bare.folder, kind)
