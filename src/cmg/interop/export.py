"""Whole official files from our checkpoints, and from a run at the end of every epoch."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.files import StrPath, replacing, sync_folder
from cmg.interop.architecture import Architecture
from cmg.interop.extras import fresh_extras
from cmg.interop.form import require_official_form
from cmg.interop.layout import build_objectives, in_layout
from cmg.interop.names import DECODER, ENCODER, ENTRIES, EPOCH, SECTIONS, TOTAL_STEP, NameMap
from cmg.interop.official import by_section, renamed_tensors
from cmg.interop.optimizers import official_moments, optimizer_states
from cmg.models.unified import ModelOptions
from cmg.objectives.club import CLUBOptions
from cmg.objectives.cross_cpc import CrossCPCOptions
from cmg.objectives.options import ObjectiveOptions
from cmg.runs.checkpoint import Position, training_tensors
from cmg.saved import flat
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.types import Modality

FOLDER = "official"
"""Where a run keeps the official files of its epochs."""

PARTED = (ENCODER, DECODER)
"""Sections that hold modules of several parts of a model."""


@dataclass(frozen=True)
class Recipe:
    """What an export has to know of a run beside its tensors.

    Attributes:
        modalities: Of the model.
        model: Its options.
        objectives: Terms; nets of those left out are made anew.
        optimizer: For the learning rate in the optimizer states.
        seed: Of everything that is made anew.
    """

    modalities: list[Modality]
    model: ModelOptions
    objectives: ObjectiveOptions
    optimizer: OptimizerOptions
    seed: int

    @property
    def names(self) -> NameMap:
        """Official and our names of the run's tensors."""
        return NameMap([m.name for m in self.modalities])

    def with_all_nets(self) -> Architecture:
        """The architecture with the nets of every objective."""
        nets = {
            "cross_cpc": self.objectives.cross_cpc or CrossCPCOptions(),
            "club": self.objectives.club or CLUBOptions(),
        }
        return Architecture(
            self.modalities, self.model, self.objectives.model_copy(update=dict(nets))
        )


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
    recipe: Recipe,
    position: Position,
    model: Mapping[str, Tensor],
    training: Mapping[str, Tensor],
) -> OfficialContent:
    """The official file of a run at a position.

    Args:
        recipe: Of the run.
        position: Steps and epochs done; the file's epoch is that of the last whole one, 0-based.
        model: Tensors of ``model.safetensors``.
        training: Tensors of ``training.safetensors``; none of a checkpoint with weights only.

    Raises:
        CheckpointError: a model that has no official form.
    """
    require_official_form(recipe.modalities, recipe.model)
    names = recipe.names
    own = {f"model.{name}": tensor for name, tensor in model.items()}
    own |= {name: tensor for name, tensor in training.items() if name.startswith("objectives.")}
    tensors = renamed_tensors(own, names, recipe.model.codebook)
    made = {n: tensor for n, tensor in made_anew(recipe, not training).items() if n not in tensors}
    tensors = in_layout(tensors | made)
    moments = official_moments(training, names)
    club_lr = (recipe.objectives.club or CLUBOptions()).lr
    content: dict[str, Any] = dict(in_sections(tensors))
    content |= optimizer_states(tensors, moments, recipe.optimizer.lr, club_lr)
    content |= {EPOCH: max(position.epoch - 1, 0), TOTAL_STEP: position.step}
    return OfficialContent({entry: content[entry] for entry in ENTRIES}, module_names(made))


def made_anew(recipe: Recipe, all_nets: bool) -> dict[str, Tensor]:
    """Extras, and the nets of objectives that the run left out; untrained, seeded, float64.

    Args:
        recipe: Of the run.
        all_nets: The nets of every objective.
    """
    architecture = recipe.with_all_nets()
    made = fresh_extras(architecture, recipe.seed)
    if all_nets or recipe.objectives.cross_cpc is None or recipe.objectives.club is None:
        nets = build_objectives(architecture, recipe.seed).state_dict()
        named = {f"objectives.{name}": tensor for name, tensor in nets.items()}
        made |= renamed_tensors(named, recipe.names, recipe.model.codebook)
    return made


def module_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """What tensors belong to: sections, or the modules right inside encoder and decoder."""
    found: dict[str, None] = {}
    for full in tensors:
        section, _, name = full.partition("/")
        module = name.split(".")
        deep = 2 if "encoder_layer" in module else 1
        found[f"{section}/{'.'.join(module[:deep])}" if section in PARTED else section] = None
    return list(found)


def in_sections(tensors: Mapping[str, Tensor]) -> dict[str, OrderedDict[str, Tensor]]:
    """State dicts by section, in the order of official files."""
    sections = by_section(tensors)
    return {s: OrderedDict(sections[s]) for s in SECTIONS if s in sections}


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
        state: Of the run.
        seed: Of what official files hold and the run does not.

    Raises:
        CheckpointError: the model has no official form.
    """

    def __init__(self, run: StrPath, state: TrainingState, seed: int) -> None:
        run = Path(run)
        self.folder = run / FOLDER
        self.recipe = Recipe(
            list(state.model.modalities.values()),
            state.model.options,
            state.objectives.chosen,
            state.options,
            seed,
        )
        require_official_form(self.recipe.modalities, self.recipe.model)

    def epoch(self, state: TrainingState, position: Position) -> None:
        """Write the file of the epoch that is done.

        Raises:
            DataError: it cannot be written.
        """
        made = official_content(self.recipe, position, flat(state.model), training_tensors(state))
        name = f"DCID-model-{made.content[EPOCH]}.pt"
        save_official(self.folder / name, made.content)
