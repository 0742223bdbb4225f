"""Segmentation models on disk: safetensors and JSON, written whole or not at all.

The layout::

    MODEL/
        segmenter.json          options, query, what it was trained by, progress, checksums
        model.safetensors       weights of the best epoch so far: all that using it needs
        training.safetensors    weights and moments of the newest epoch: what resuming needs
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from cmg.errors import CheckpointError
from cmg.evaluation.frozen import Protocol
from cmg.files import StrPath, file_sha256, read_json
from cmg.options import Options
from cmg.runs.checkpoint import Checkpoint
from cmg.saved import flat, load_tensors, moments, restore, restore_moments, write_folder
from cmg.segmentation.model import Segmenter
from cmg.segmentation.options import SegmentationTraining, SegmenterOptions

FORMAT, VERSION = "cmg-segmenter", 1
DESCRIPTION, MODEL, TRAINING = "segmenter.json", "model.safetensors", "training.safetensors"


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        step: Steps done.
        best: Largest validation mIoU so far, percent.
        best_epoch: Whose it is, from 1.
        scores: Validation mIoU of every epoch.
        losses: Mean training loss of every epoch.
    """

    step: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    running: float = 0.0


@dataclass(frozen=True)
class SegmenterRecord:
    """What ``segmenter.json`` says of a model.

    Attributes:
        model: Its options.
        training: How it was trained.
        query_width: D.
        query_steps: Q; None where queries come with a step per frame (published).
        frames: T.
        trained_by: Modality of its queries; empty for a model without.
        protocol: ``published`` or ``clean``.
        encoder: Checkpoint of the frozen model that made the queries; it may be moved.
        encoder_sha256: Of that checkpoint's weights.
        progress: How far its training is.
        sha256: Of its files.
    """

    model: SegmenterOptions
    training: SegmentationTraining
    query_width: int
    query_steps: int | None
    frames: int
    trained_by: str
    protocol: Protocol
    encoder: str = field(compare=False)
    encoder_sha256: str
    progress: Progress = field(default_factory=Progress, compare=False)
    sha256: dict[str, str] = field(default_factory=dict, compare=False)

    def told(self) -> dict[str, Any]:
        """As plain JSON."""
        told: dict[str, Any] = RECORD.dump_python(self, mode="json")
        return {"format": FORMAT, "version": VERSION} | told

    def new_model(self, weights: StrPath | None = None) -> Segmenter:
        """The untrained model."""
        seed = self.training.seed
        return Segmenter(self.model, self.query_width, self.query_steps, self.frames, weights, seed)


RECORD = TypeAdapter(SegmenterRecord)


class TrainingFolder:
    """Where one model's training keeps its newest epoch and its best.

    Args:
        path: The folder; made by the first epoch.
        record: Of the model; a folder of another model is refused.

    Raises:
        CheckpointError: the folder holds another model, or is damaged.
    """

    def __init__(self, path: Path, record: SegmenterRecord) -> None:
        self.path, self.record = path, record
        if self.begun and (kept := read_record(path)) != record:
            raise CheckpointError(
                f"{path} was trained with other settings ({', '.join(different(kept, record))}); "
                "say the same to resume, or choose another folder"
            )

    @property
    def begun(self) -> bool:
        """Whether an epoch is kept."""
        return (self.path / DESCRIPTION).is_file()

    @property
    def progress(self) -> Progress:
        """How far the training is; its beginning where nothing was kept."""
        return read_record(self.path).progress if self.begun else Progress()

    @property
    def done(self) -> bool:
        """Whether the training has reached its last epoch."""
        return len(self.progress.scores) >= self.record.training.epochs

    def restore(
        self, model: Segmenter, optimizer: torch.optim.Optimizer
    ) -> dict[str, Tensor] | None:
        """Put the newest epoch, if there is one, into model and optimizer.

        Returns:
            Weights of the best epoch so far.

        Raises:
            CheckpointError: damaged files.
        """
        if not self.begun:
            return None
        tensors = load_tensors(self.path / TRAINING)
        weights = {n.removeprefix("model."): x for n, x in tensors.items() if n[:6] == "model."}
        restore(model, weights, self.path / TRAINING)
        restore_moments("optimizer", optimizer, trained(model), tensors)
        return load_tensors(self.path / MODEL)

    def keep(
        self,
        model: Segmenter,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        best: Mapping[str, Tensor],
    ) -> None:
        """Write an epoch in the place of the one before.

        Raises:
            CheckpointError: it cannot be written; the epoch before is untouched.
            NonFiniteError: a value is NaN or infinite; likewise.
        """
        training = {f"model.{n}": x for n, x in flat(model).items()}
        training |= moments("optimizer", optimizer, trained(model))
        files = {MODEL: {n: x.contiguous() for n, x in best.items()}, TRAINING: training}

        def remedy() -> str:
            kept = "the epoch before is intact" if self.begun else "no epoch is kept yet"
            return f"free space and resume ({kept})"

        told = replace(self.record, progress=progress).told()
        write_folder(self.path, DESCRIPTION, told, files, remedy)


def trained(model: Segmenter) -> list[tuple[str, nn.Parameter]]:
    """Parameters that are not frozen, by name."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def refuse_other_codebook(path: Path, record: SegmenterRecord, encoder: Checkpoint) -> None:
    """A model asks in the codes it was trained with; those of another codebook mean nothing.

    Raises:
        CheckpointError: the encoder's weights are others than those it was trained with.
    """
    if file_sha256(encoder.path / MODEL) != record.encoder_sha256:
        raise CheckpointError(
            f"{path} was trained with the codebook of {record.encoder}, and {encoder.path} has "
            "another one"
        )


def different(kept: SegmenterRecord, wanted: SegmenterRecord) -> list[str]:
    """Settings that differ, those of options by their dotted names."""
    found = []
    for name in (one.name for one in fields(kept) if one.compare):
        old, new = getattr(kept, name), getattr(wanted, name)
        values = {name: (old, new)}
        if isinstance(old, Options):
            values = {f"{name}.{key}": (value, getattr(new, key)) for key, value in old}
        found += [f"{key} {a!r}, now {b!r}" for key, (a, b) in values.items() if a != b]
    return found


def read_record(path: Path) -> SegmenterRecord:
    """What ``segmenter.json`` says.

    Raises:
        CheckpointError: absent, damaged, or of another format.
    """
    file = path / DESCRIPTION
    try:
        told = read_json(file)
        if (told["format"], told["version"]) != (FORMAT, VERSION):
            raise CheckpointError(f"{file} is of another format or version")
        record = RECORD.validate_python(told)
        if record.sha256.keys() != {MODEL, TRAINING}:
            raise ValueError(f"sha256 of {list(record.sha256)}")
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is no segmentation model (there is no {DESCRIPTION}); `cmg evaluate avs` "
            "trains them into OUT/models"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged: {error!r}") from error
    return record


def read_segmenter(
    path: Path, device: torch.device | str = "cpu"
) -> tuple[Segmenter, SegmenterRecord]:
    """A trained model with the weights of its best epoch, in eval mode.

    Raises:
        CheckpointError: absent, damaged, or files that were changed.
    """
    record, file = read_record(path), path / MODEL
    if not file.is_file() or file_sha256(file) != record.sha256[MODEL]:
        raise CheckpointError(f"{file} is missing or was changed; train again")
    model = record.new_model()
    restore(model, load_tensors(file), file)
    return model.to(device).eval(), record
