"""Whole official files from our checkpoints, and from a run at the end of every epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmg.config.schema import RunConfig
from cmg.errors import DataError
from cmg.files import StrPath, replacing, sync_folder
from cmg.interop.architecture import Architecture
from cmg.interop.extras import fresh_extras
from cmg.interop.form import require_official_form
from cmg.interop.layout import build_objectives, in_layout
from cmg.interop.names import DECODER, ENCODER, ENTRIES, EPOCH, TOTAL_STEP, NameMap
from cmg.interop.official import by_section, renamed_tensors
from cmg.interop.optimizers import official_moments, optimizer_states
from cmg.objectives.club import CLUBOptions
from cmg.objectives.cross_cpc import CrossCPCOptions
from cmg.runs.checkpoint import Position, training_tensors
from cmg.saved import flat
from cmg.training.state import TrainingState
from cmg.types import Modality

FOLDER = "official"
"""Where a run keeps the official files of its epochs."""

PARTED = (ENCODER, DECODER)
"""Sections that hold modules of several parts of a model."""


@dataclass(frozen=True)
class OfficialContent:
    """A whole official file that was made from a run.

    Attributes:
        content: What ``torch.save`` is to write.
        fresh: Modules in it that the run has not and that were made anew, untrained.
    """

    content: dict[str, Any]
    fresh: list[str]


def official_content(
    modalities: list[Modality],
    config: RunConfig,
    position: Position,
    model: Mapping[str, Tensor],
    training: Mapping[str, Tensor],
) -> OfficialContent:
    """The official file of a run at a position.

    Args:
        modalities: Of the run.
        config: Likewise; its seed is that of everything that is made anew.
        position: Steps and epochs done; the file's epoch is that of the last whole one, 0-based.
        model: Tensors of ``model.safetensors``.
        training: Tensors of ``training.safetensors``; none of a checkpoint with weights only.

    Raises:
        CheckpointError: a model that has no official form.
    """
    require_official_form(modalities, config.model)
    names, codebook = NameMap([m.name for m in modalities]), config.model.codebook
    own = {f"model.{name}": tensor for name, tensor in model.items()}
    own |= {name: tensor for name, tensor in training.items() if name.startswith("objectives.")}
    tensors = renamed_tensors(own, names, codebook)
    known, seed = config.objectives, config.training.seed
    cpc, club = known.cross_cpc or CrossCPCOptions(), known.club or CLUBOptions()
    with_all_nets = known.model_copy(update={"cross_cpc": cpc, "club": club})
    architecture = Architecture(modalities, config.model, with_all_nets)
    made = fresh_extras(architecture, seed)
    if not training or known.cross_cpc is None or known.club is None:
        nets = build_objectives(architecture, seed).state_dict()
        named = {f"objectives.{name}": tensor for name, tensor in nets.items()}
        made |= renamed_tensors(named, names, codebook)
    made = {n: tensor for n, tensor in made.items() if n not in tensors}
    tensors = in_layout(tensors | made)
    moments = official_moments(training, names)
    content: dict[str, Any] = dict(by_section(tensors))
    content |= optimizer_states(tensors, moments, config.optimizer.lr, club.lr)
    content |= {EPOCH: max(position.epoch - 1, 0), TOTAL_STEP: position.step}
    return OfficialContent({entry: content[entry] for entry in ENTRIES}, module_names(made))


def module_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """What tensors belong to: sections, or the modules right inside encoder and decoder."""
    found: dict[str, None] = {}
    for full in tensors:
        section, _, name = full.partition("/")
        module = name.split(".")
        deep = 2 if "encoder_layer" in module else 1
        found[f"{section}/{'.'.join(module[:deep])}" if section in PARTED else section] = None
    return list(found)


def save_official(path: StrPath, content: Mapping[str, Any]) -> None:
    """Write an official file whole or not at all.

    Raises:
        DataError: it cannot be written; what was there before is untouched.
    """
    path = Path(path)
    try:
        # Given a path, torch writes its name into the file: a stream gives the same bytes anywhere.
        with replacing(path) as partial, partial.open("wb") as stream:
            torch.save(dict(content), stream)
            stream.flush()
            os.fsync(stream.fileno())
    except RuntimeError as error:  # what torch makes of a full disk
        raise DataError(
            f"cannot write {path}: {error}; free space or choose another folder "
            "(nothing was left behind)"
        ) from error
    sync_folder(path.parent)


def keeps_official(run: Path) -> bool:
    """Whether a run has kept official files so far."""
    return (run / FOLDER).is_dir()


class OfficialCheckpoints:
    """Writes ``RUN/official/DCID-model-<epoch>.pt`` at the end of every epoch, 0-based.

    Args:
        run: The run folder.
        modalities: Of the run.
        config: Likewise.

    Raises:
        CheckpointError: the model has no official form.
    """

    def __init__(self, run: StrPath, modalities: list[Modality], config: RunConfig) -> None:
        self.folder = Path(run) / FOLDER
        self.modalities, self.config = modalities, config
        require_official_form(modalities, config.model)

    def epoch(self, state: TrainingState, position: Position) -> None:
        """Write the file of the epoch that is done.

        Raises:
            DataError: it cannot be written.
        """
        tensors = flat(state.model), training_tensors(state)
        made = official_content(self.modalities, self.config, position, *tensors)
        name = f"DCID-model-{made.content[EPOCH]}.pt"
        save_official(self.folder / name, made.content)
