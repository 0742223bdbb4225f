"""Checkpoints: safetensors and JSON, written whole or not at all, never pickled.

The layout::

    RUN/checkpoints/step-00000184/
        model.safetensors       weights and codebook: all that using the model needs
        training.safetensors    Cross-CPC and CLUB nets and the two Adams: what resuming needs
        checkpoint.json         configuration, modalities, position, checksums

A checkpoint made from a foreign file (:mod:`cmg.interop`), or of an epoch of which a run keeps the
weights only (:mod:`cmg.training.keeping`), has no ``training.safetensors``: it can be used, not
resumed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError, DataError, NonFiniteError
from cmg.files import Staging, StrPath, as_path, file_sha256, read_json, write_synced
from cmg.models.unified import UnifiedModel
from cmg.places import lies_there
from cmg.tensors import check_finite
from cmg.training.run_folder import CONFIG, complete_old, places_of, read_config, with_places
from cmg.training.state import TrainingState
from cmg.types import Modality

FORMAT, VERSION = "cmg-checkpoint", 1
FOLDER, DESCRIPTION = "checkpoints", "checkpoint.json"
MODEL, TRAINING = "model.safetensors", "training.safetensors"
DIVERGED = "training diverged, so no checkpoint is written"


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
    try:
        staging = Staging(target, overwrite=True, marker=DESCRIPTION)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    try:
        for name, tensors in files.items():
            write_tensors(staging.folder / name, tensors)
        position = checkpoint.position
        description = {
            "format": FORMAT,
            "version": VERSION,
            "position": {"step": position.step, "epoch": position.epoch},
            "modalities": [m.model_dump(mode="json") for m in checkpoint.modalities],
            "config": checkpoint.config.model_dump(mode="json"),
            "data_hash": checkpoint.data_hash,
            "sha256": {name: file_sha256(staging.folder / name) for name in files},
        }
        if checkpoint.origin:
            description["origin"] = checkpoint.origin
        text = json.dumps(description, indent=1).encode()
        write_synced(staging.folder / DESCRIPTION, text)
        staging.publish()
    except (OSError, SafetensorError, DataError) as error:
        staging.discard()
        again = "convert again" if checkpoint.origin else "resume"
        raise CheckpointError(
            f"cannot write checkpoint {target}: {error}; free space and {again} "
            f"({last_checkpoint(target.parent.parent)}; nothing half-written was left)"
        ) from error
    except BaseException:
        staging.discard()
        raise


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file and wait until the disk has it."""
    save_file(tensors, path)
    path.chmod(0o644)  # save_file makes files that only their owner can read
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def flat(module: nn.Module) -> dict[str, Tensor]:
    """A module's state as contiguous CPU tensors.

    Raises:
        NonFiniteError: a value is NaN or infinite, so that nothing may be kept of it.
    """
    tensors = {n: x.detach().cpu().contiguous() for n, x in module.state_dict().items()}
    check_finite(tensors, type(module).__name__, DIVERGED, NonFiniteError)
    return tensors


def training_tensors(state: TrainingState) -> dict[str, Tensor]:
    """Objectives and optimizer moments, by parameter name."""
    tensors = {f"objectives.{n}": x for n, x in flat(state.objectives).items()}
    for prefix, optimizer, named in optimizers(state):
        tensors |= moments(prefix, optimizer, named)
    return tensors


def moments(
    prefix: str, optimizer: torch.optim.Optimizer, named: Iterable[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """What an Adam knows of its parameters, as CPU tensors named ``prefix.key.parameter``.

    Raises:
        NonFiniteError: a value is NaN or infinite.
    """
    tensors = {
        f"{prefix}.{key}.{name}": value.detach().cpu().contiguous().clone()
        for name, parameter in named
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    check_finite(tensors, type(optimizer).__name__, DIVERGED, NonFiniteError)
    return tensors


def restore_moments(
    prefix: str,
    optimizer: torch.optim.Optimizer,
    named: Iterable[tuple[str, nn.Parameter]],
    tensors: Mapping[str, Tensor],
) -> None:
    """The inverse of :func:`moments`; parameters that had no step yet are left without."""
    for name, parameter in named:
        found = {
            kind: tensors[f"{prefix}.{kind}.{name}"].to(parameter.device)
            for kind in ("step", "exp_avg", "exp_avg_sq")
            if f"{prefix}.{kind}.{name}" in tensors
        }
        if found:
            optimizer.state[parameter] = found


def optimizers(
    state: TrainingState,
) -> list[tuple[str, torch.optim.Optimizer, list[tuple[str, nn.Parameter]]]]:
    """(prefix in the file, optimizer, its named parameters) of both Adams."""
    both: list[tuple[str, torch.optim.Optimizer, list[tuple[str, nn.Parameter]]]] = [
        ("optimizer", state.optimizer, state.named_parameters())
    ]
    if state.club_optimizer is not None and state.objectives.club is not None:
        named = list(state.objectives.club.named_parameters())
        both.append(("club_optimizer", state.club_optimizer, named))
    return both


def find_checkpoint(path: StrPath) -> Path:
    """The folder of a checkpoint: `path` itself, or the newest one of the run at `path`.

    Raises:
        CheckpointError: neither a checkpoint nor a run with one.
        ConfigError: no path.
    """
    path = as_path(path, "a model is named by the folder of its run or checkpoint")
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
    there = "" if started else lies_there(path)
    raise CheckpointError(f"{path} {state}; {there or remedy}")


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
            in_its_run(RunConfig.model_validate(told["config"]), folder),
            [Modality.model_validate(m) for m in told["modalities"]],
            Position(int(told["position"]["step"]), int(told["position"]["epoch"])),
            str(told["data_hash"]),
            dict(told.get("origin", {})),
            tuple(checksums),
        )
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


def load_tensors(path: Path, remedy: str = "use another checkpoint") -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Args:
        path: The file.
        remedy: What to do without it.

    Raises:
        CheckpointError: unreadable, or a value is NaN or infinite.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; {remedy}") from error
    check_finite(tensors, path, remedy, CheckpointError)
    return tensors


def load_model(path: StrPath, device: torch.device | str = "cpu") -> UnifiedModel:
    """The model of a run or checkpoint, in eval mode.

    Args:
        path: A run folder (its newest checkpoint) or a checkpoint folder.
        device: Where to put it.

    Raises:
        CheckpointError: see :func:`read_checkpoint`.
    """
    checkpoint = read_checkpoint(path, [MODEL])
    model = UnifiedModel(checkpoint.modalities, checkpoint.config.model)
    tensors = load_tensors(checkpoint.path / MODEL)
    restore(model, tensors, checkpoint.path / MODEL)
    kept = next(x.dtype for x in tensors.values() if x.is_floating_point())
    return model.to(torch.device(device), kept).eval()


def restore(module: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Put `tensors` into a module, every one of them and nothing else.

    Raises:
        CheckpointError: names or shapes differ.
    """
    module.to(next((x.dtype for x in tensors.values() if x.is_floating_point()), torch.float32))
    own = module.state_dict()
    wrong = sorted(own.keys() ^ tensors.keys())
    wrong += [n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape]
    if wrong:
        raise CheckpointError(f"{source} does not fit its configuration at {', '.join(wrong[:5])}")
    module.load_state_dict(tensors)


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
    for prefix, optimizer, named in optimizers(state):
        restore_moments(prefix, optimizer, named, tensors)
