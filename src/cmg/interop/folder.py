"""Official files as run folders, which every command takes for ``--model``, and back.

The layout::

    DIR/
        config.yaml, run.json                        as of a run, with as-coded options
        checkpoints/step-00000018/
            model.safetensors                        weights and codebook
            official.safetensors                     every other tensor of the file, by its name
            checkpoint.json                          its `origin`: the file, its epoch and steps
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmg.config.load import load_config
from cmg.config.schema import ModelSection, RunConfig
from cmg.errors import CheckpointError, ConfigError
from cmg.files import file_sha256
from cmg.interop.form import SMALLEST_MAP, kind_of, require_official_form
from cmg.interop.layout import in_layout
from cmg.interop.names import ENTRIES, EPOCH, TOTAL_STEP, NameMap
from cmg.interop.official import (
    ImportedModel,
    OfficialCheckpoint,
    by_section,
    import_official,
    read_official,
    renamed_tensors,
)
from cmg.interop.optimizers import STATES, packed_states, unpacked_states
from cmg.models.saving import DESCRIPTION, MODEL
from cmg.runs.checkpoint import Checkpoint, Position, checkpoint_folder, write_checkpoint
from cmg.runs.folder import CONFIG, create_run
from cmg.saved import flat, load_tensors
from cmg.staging import Staging

BESIDE = "official.safetensors"
RUNS = {"AVT": "audio-video-text", "AV": "audio-video", "AT": "audio-text"}
"""The preset with the as-coded options of each kind of file."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Release:
    """How files of one release become run folders.

    Attributes:
        name: For people, with a space behind it; empty for the paper's.
        read: A file's content, checked; None where it is another release's.
        load: The model of a file, in a dtype, for a size of video maps.
        in_model: Whether a tensor of the file is one of ``model.safetensors``.
        method: That the files were trained by; None: that of the preset.
    """

    name: str
    read: Callable[[Path], OfficialCheckpoint | None]
    load: Callable[[OfficialCheckpoint, torch.dtype, int], ImportedModel]
    in_model: Callable[[list[str], str], bool]
    method: str | None = None


def stored_dtype(checkpoint: OfficialCheckpoint) -> str:
    """``float64`` if any tensor of the file is, as in the release; else ``float32``."""
    double = any(tensor.dtype is torch.float64 for tensor in checkpoint.tensors.values())
    return "float64" if double else "float32"


def write_converted(
    checkpoint: OfficialCheckpoint,
    source: Path,
    out: Path,
    dtype: str | None,
    map_size: int,
    release: Release,
) -> tuple[Checkpoint, ImportedModel]:
    """Write an official file as a run folder, whole or not at all.

    Args:
        checkpoint: What the file holds.
        source: The file.
        out: Folder to write.
        dtype: ``float64`` or ``float32``; None keeps the file's.
        map_size: Height and width of video maps, which no tensor tells.
        release: Whose file it is.

    Returns:
        The description that was written, and the model.

    Raises:
        ConfigError: another dtype, or maps too small for the release's convolutions.
        CheckpointError: tensors that do not make a model of the release, or a full disk.
        DataError: `out` is not empty, or cannot be written.
    """
    dtype = dtype or stored_dtype(checkpoint)
    if dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype!r} must be one of {', '.join(DTYPES)}")
    if map_size < SMALLEST_MAP:
        raise ConfigError(
            f"--map-size {map_size}: the release's convolutions need maps of at least "
            f"{SMALLEST_MAP} x {SMALLEST_MAP} (its own are 7 x 7)"
        )
    imported = release.load(checkpoint, DTYPES[dtype], map_size)
    names = list(imported.model.modalities)
    beside = {n: t for n, t in checkpoint.tensors.items() if not release.in_model(names, n)}
    states, plain = packed_states(checkpoint.rest)
    origin = {
        "kind": release.name + kind_of(names),
        "file": source.name,
        "sha256": file_sha256(source),
        "dtype": dtype,
        EPOCH: checkpoint.epoch,
        TOTAL_STEP: checkpoint.total_step,
        "entries": [e for e in ENTRIES if e in checkpoint.sections or e in checkpoint.rest],
        STATES: plain,
    }
    staging = Staging(out, overwrite=False, marker=CONFIG)
    try:
        described = describe(imported, origin, staging.folder, release.method)
        facts = {
            "seed": described.config.training.seed,
            "store": described.config.data.store,
            "data_hash": described.data_hash,
            "modalities": [m.model_dump(mode="json") for m in described.modalities],
            "origin": {k: v for k, v in origin.items() if k != STATES},
        }
        create_run(staging.folder, described.config, facts)
        tensors = {name: apart(tensor) for name, tensor in (beside | states).items()}
        write_checkpoint(described, {MODEL: flat(imported.model), BESIDE: tensors})
        staging.publish()
    except BaseException:
        staging.discard()
        raise
    return described, imported


def in_model(modalities: list[str], official: str) -> bool:
    """Whether a tensor of the file is one of ``model.safetensors``."""
    ours = NameMap(modalities).ours(official)
    return ours is not None and ours.startswith("model.")


PAPER = Release("", read_official, import_official, in_model)
"""The paper's own."""


def apart(tensor: Tensor) -> Tensor:
    """A tensor that shares its memory with no other, as safetensors wants it."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor.contiguous() if whole else tensor.clone(memory_format=torch.contiguous_format)


def describe(
    imported: ImportedModel, origin: dict[str, Any], run: Path, method: str | None
) -> Checkpoint:
    """What ``checkpoint.json`` says of a converted file in the run folder `run`."""
    epoch, steps = origin[EPOCH], origin[TOTAL_STEP] or 0
    position = Position(steps, epoch + 1)
    return Checkpoint(
        checkpoint_folder(run, position),
        as_coded_config(imported, origin["dtype"], method),
        imported.architecture.modalities,
        position,
        data_hash="",  # the file does not say what it was trained on
        origin=origin,
    )


def as_coded_config(imported: ImportedModel, dtype: str, method: str | None) -> RunConfig:
    """The preset of a kind of file, at the file's sizes."""
    modalities = imported.architecture.modalities
    names = [m.name for m in modalities]
    told = [f"training.precision={dtype}"]
    if method is not None:
        told.append(f"data.modalities=[{','.join(names)}]")
    config = load_config(RUNS[kind_of(names)], told, method=method)
    model = ModelSection(
        **dict(imported.architecture.model),
        detail_width={m.name: m.detail_width for m in modalities},
        token_hidden={m.name: m.token_hidden for m in modalities if m.name == "text"},
    )
    objectives = imported.architecture.objectives
    return config.model_copy(update={"model": model, "objectives": objectives})


def restored_content(checkpoint: Checkpoint, model: Mapping[str, Tensor]) -> dict[str, Any]:
    """The official file that a checkpoint was converted from, with the values it has now.

    Args:
        checkpoint: With an origin.
        model: Tensors of its ``model.safetensors``.

    Raises:
        CheckpointError: its ``official.safetensors`` cannot be read, or does not fit.
    """
    origin = checkpoint.origin
    require_official_form(checkpoint.modalities, checkpoint.config.model)
    names = NameMap([m.name for m in checkpoint.modalities])
    own = {f"model.{name}": tensor for name, tensor in model.items()}
    tensors = renamed_tensors(own, names, checkpoint.config.model.codebook)
    beside = load_tensors(checkpoint.path / BESIDE)
    states = {name: tensor for name, tensor in beside.items() if name.startswith(f"{STATES}/")}
    tensors |= {n: t.to(torch.float64) for n, t in beside.items() if n not in states}
    content: dict[str, Any] = dict(by_section(in_layout(tensors)))
    try:
        content |= unpacked_states(states, origin[STATES])
        content |= {EPOCH: origin[EPOCH], TOTAL_STEP: origin[TOTAL_STEP]}
        return {entry: content[entry] for entry in ENTRIES if entry in origin["entries"]}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"the origin in {checkpoint.path / DESCRIPTION} is damaged: {error!r}"
        ) from error
