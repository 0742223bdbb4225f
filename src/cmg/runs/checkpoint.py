"""Checkpoints: safetensors and JSON, written whole or not at all, never pickled.

The layout::

    RUN/checkpoints/step-00000184/
        model.safetensors       weights and codebook: all that using the model needs
        training.safetensors    nets of objectives and all optimizers: what resuming needs
        checkpoint.json         configuration, modalities, position, checksums

A checkpoint made from a foreign file (:mod:`cmg.interop`), or of an epoch of which a run keeps the
weights only (:mod:`cmg.runs.keeping`), has no ``training.safetensors``: it can be used, not
resumed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from cmg.config.plugins import recorded
from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError
from cmg.files import StrPath, file_sha256, read_json
from cmg.hub import local
from cmg.models.saving import DESCRIPTION, FORMAT, MODEL, VERSION, description
from cmg.models.unified import UnifiedModel
from cmg.places import lies_there
from cmg.registry import PluginError
from cmg.runs.folder import CONFIG, RUN, complete_old, places_of, read_config, with_places
from cmg.saved import flat, load_tensors, moments, restore, restore_moments, write_folder
from cmg.training.state import TrainingState
from cmg.types import Modality

FOLDER, TRAINING = "checkpoints", "training.safetensors"


@dataclass(frozen=True)
class Position:
    """How far a run is: `step` steps and `epoch` whole epochs are done."""

    step: int
    epoch: int


@dataclass(frozen=True)
class Checkpoint:
    """What ``checkpoint.json`` says.

    Attributes:
        path: The checkpoint's folder.
        config: Of the run.
        modalities: As trained.
        position: Steps and epochs done.
        data_hash: Content hash of the store.
        origin: The foreign file that it was converted from; empty for a run's own.
        files: Names of its files, once it is written.
    """

    path: Path
    config: RunConfig
    modalities: list[Modality]
    position: Position
    data_hash: str
    origin: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def save_checkpoint(
    run: Path, state: TrainingState, config: RunConfig, position: Position, data_hash: str
) -> Path:
    """Write a checkpoint into a run folder.

    Args:
        run: The run folder.
        state: What to save.
        config: Of the run.
        position: Steps and epochs done.
        data_hash: Content hash of the store.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: it could not be written (disk full, ...); earlier ones are untouched.
        NonFiniteError: a value is NaN or infinite; nothing is written.
    """
    checkpoint = Checkpoint(
        checkpoint_folder(run, position),
        config,
        list(state.model.modalities.values()),
        position,
        data_hash,
    )
    write_checkpoint(checkpoint, {MODEL: flat(state.model), TRAINING: training_tensors(state)})
    return checkpoint.path


def checkpoint_folder(run: Path, position: Position) -> Path:
    """Where a run keeps the checkpoint of a position."""
    return run / FOLDER / f"step-{position.step:08d}"


def write_checkpoint(checkpoint: Checkpoint, files: Mapping[str, dict[str, Tensor]]) -> None:
    """Write a checkpoint to its `path`, whole or not at all.

    Args:
        checkpoint: What ``checkpoint.json`` is to say.
        files: Tensors by the name of their safetensors file.

    Raises:
        CheckpointError: it could not be written (disk full, ...); earlier ones are untouched.
    """
    target = checkpoint.path
    again = "convert again" if checkpoint.origin else "resume"

    def remedy() -> str:
        kept = last_checkpoint(target.parent.parent)
        return f"free space and {again} ({kept}; nothing half-written was left)"

    write_folder(target, DESCRIPTION, described(checkpoint), files, remedy)


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """What ``checkpoint.json`` is to say, but for checksums."""
    position = checkpoint.position
    told: dict[str, Any] = description(checkpoint.modalities, checkpoint.data_hash) | {
        "position": {"step": position.step, "epoch": position.epoch},
        "config": checkpoint.config.model_dump(mode="json"),
    }
    return told | ({"origin": checkpoint.origin} if checkpoint.origin else {})


def training_tensors(state: TrainingState) -> dict[str, Tensor]:
    """Objectives and optimizer moments, by parameter name."""
    tensors = {f"objectives.{n}": x for n, x in flat(state.objectives).items()}
    for prefix, optimizer, named in state.optimizers():
        tensors |= moments(prefix, optimizer, named)
    return tensors


def find_checkpoint(path: StrPath) -> Path:
    """The folder of a checkpoint: `path` itself, or the newest one of the run at `path`.

    Args:
        path: A folder, of `cmg export` as well, or an address on a hub.

    Raises:
        CheckpointError: neither a checkpoint nor a run with one.
        ConfigError: no path.
    """
    path = local(path)
    if os.path.isfile(path / DESCRIPTION):
        return path
    found = list_checkpoints(path)
    if found:
        return found[-1]
    started = os.path.isfile(path / CONFIG)
    state = "has no checkpoint yet" if started else "is no cmg run"
    if not os.path.exists(path):
        state = "does not exist"
    remedy = f"give a run folder of `cmg pretrain --out` or one of its {FOLDER}/step-... folders"
    remedy += ", a folder of `cmg export`, or hub:OWNER/NAME"
    there = "" if started else lies_there(path)
    raise CheckpointError(f"{path} {state}; {there or remedy}")


def run_of(checkpoint: Path) -> Path:
    """The folder with what is told of a checkpoint's run: its own where it was exported."""
    return checkpoint if (checkpoint / RUN).is_file() else checkpoint.parent.parent


def step_folders(run: StrPath) -> list[Path]:
    """The folders of a run's checkpoints, oldest first, whether complete or half-removed."""
    folder = Path(run) / FOLDER
    if not os.path.isdir(folder):
        return []
    named = [p for p in folder.iterdir() if re.fullmatch(r"step-\d{8,}", p.name)]
    return sorted(named, key=step_of)


def step_of(folder: Path) -> int:
    """Steps done at the checkpoint in a folder, by its name."""
    return int(folder.name.removeprefix("step-"))


def list_checkpoints(run: StrPath) -> list[Path]:
    """A run's complete checkpoints, oldest first."""
    return [folder for folder in step_folders(run) if (folder / DESCRIPTION).is_file()]


def last_checkpoint(run: Path) -> str:
    """What a run that stops has kept, in words."""
    found = list_checkpoints(run)
    return (
        f"the last checkpoint, {found[-1].name}, is intact"
        if found
        else "there is no checkpoint yet"
    )


def read_checkpoint(path: StrPath, files: Sequence[str] | None = (MODEL,)) -> Checkpoint:
    """Read and check a checkpoint's description and its files' checksums.

    Args:
        path: A run folder (its newest checkpoint) or a checkpoint folder.
        files: Whose checksums matter; using a model needs no ``training.safetensors``, and
            resuming every file that the description lists (None).

    Raises:
        CheckpointError: absent, foreign, of another version, truncated or edited.
        PluginError: made with a plugin that is not loaded.
    """
    folder = find_checkpoint(path)
    try:
        told: dict[str, Any] = read_json(folder / DESCRIPTION)
        if told.get("format") != FORMAT:
            raise CheckpointError(f"{folder / DESCRIPTION} is no cmg checkpoint description")
        if told["version"] != VERSION:
            raise CheckpointError(
                f"{folder} has checkpoint version {told['version']}; this cmg reads {VERSION}"
            )
        complete_old(told["config"])
        checksums = {str(k): str(v) for k, v in told["sha256"].items()}
        checkpoint = Checkpoint(
            folder,
            in_its_run(recorded(told["config"], folder), folder),
            [Modality.model_validate(m) for m in told["modalities"]],
            Position(int(told["position"]["step"]), int(told["position"]["epoch"])),
            str(told["data_hash"]),
            dict(told.get("origin", {})),
            tuple(checksums),
        )
    except PluginError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION} is damaged: {error!r}") from error
    remedy = "use another checkpoint of the run" if files is not None else without(folder)
    for name in checksums if files is None else files:
        if not (folder / name).is_file() or file_sha256(folder / name) != checksums.get(name):
            raise CheckpointError(
                f"{folder / name} is missing, truncated or edited (its SHA-256 is not the one in "
                f"{DESCRIPTION}); {remedy}"
            )
    return checkpoint


def without(folder: Path) -> str:
    """How a run is resumed whose newest checkpoint cannot be."""
    return f"to go on from an earlier checkpoint, move {folder.name} out of {folder.parent}"


def in_its_run(config: RunConfig, folder: Path) -> RunConfig:
    """A checkpoint's configuration, with the data where the run it lies in has them now."""
    within = folder.absolute().parent
    if within.name != FOLDER or not (within.parent / CONFIG).is_file():
        return config
    return with_places(config, places_of(read_config(within.parent)))


def load_model(
    path: StrPath,
    device: torch.device | str = "cpu",
    *,
    revision: str | None = None,
    cache_dir: StrPath | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> UnifiedModel:
    """The model of a run or checkpoint, in eval mode.

    Args:
        path: A run folder (its newest checkpoint), a checkpoint folder, a folder of ``cmg export``,
            or an address on a hub, ``hub:OWNER/NAME[@REVISION]``.
        device: Where to put it.
        revision: Of an address: branch, tag or commit.
        cache_dir: Of an address: huggingface_hub's cache; None is its own.
        local_files_only: Of an address: use the cache alone.
        token: Of an address: of the hub; None is the one that the user is logged in with.

    Raises:
        CheckpointError: see :func:`read_checkpoint`; or an address cannot be fetched.
    """
    path = local(path, revision, cache_dir, local_files_only, token)
    checkpoint = read_checkpoint(path, [MODEL])
    model = UnifiedModel(checkpoint.modalities, checkpoint.config.model)
    tensors = load_tensors(checkpoint.path / MODEL)
    restore(model, tensors, checkpoint.path / MODEL)
    kept = next(x.dtype for x in tensors.values() if x.is_floating_point())
    return model.to(torch.device(device), kept).eval()


def restore_training(state: TrainingState, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into a training state: weights, codebook, objectives, both Adams.

    Raises:
        CheckpointError: the files do not fit the state.
    """
    model, source = checkpoint.path / MODEL, checkpoint.path / TRAINING
    remedy = without(checkpoint.path)
    restore(state.model, load_tensors(model, remedy), model)
    tensors = load_tensors(source, remedy)
    prefix = "objectives."
    own = {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
    if own:
        restore(state.objectives, own, source)
    for prefix, optimizer, named in state.optimizers():
        restore_moments(prefix, optimizer, named, tensors)
