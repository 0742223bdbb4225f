"""A model by itself, as a folder that every command reads: weights, modalities, options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cmg.files import StrPath, as_path
from cmg.options import Options
from cmg.saved import flat, write_folder
from cmg.types import Modality

FORMAT, VERSION = "cmg-checkpoint", 1
DESCRIPTION, MODEL = "checkpoint.json", "model.safetensors"


def description(modalities: Sequence[Modality], data_hash: str) -> dict[str, Any]:
    """How ``checkpoint.json`` begins."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "modalities": [m.model_dump(mode="json") for m in modalities],
        "data_hash": data_hash,
    }


def save_model(
    path: StrPath,
    model: Any,
    modalities: Sequence[Modality],
    options: Options,
    overwrite: bool = False,
) -> None:
    """Write a model that no run of cmg has trained; see :meth:`UnifiedModel.save`."""
    told = description(modalities, "") | {
        "position": {"step": 0, "epoch": 0},
        "config": {"model": options.model_dump(mode="json")},
    }
    target = as_path(path, "a model is saved to a folder")
    files = {MODEL: flat(model)}
    write_folder(target, DESCRIPTION, told, files, lambda: "free space and save again", overwrite)
