"""Segmentation models on disk: safetensors and JSON, written whole or not at all.

The layout::

    MODEL/
        segmenter.json          options, query, what it was trained by, progress, checksums
        model.safetensors       weights of the best epoch so far: all that using it needs
        training.safetensors    weights and moments of the newest epoch: what resuming needs
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from cmg.errors import CheckpointError
from cmg.files import StrPath, file_sha256, read_json
from cmg.saved import flat, load_tensors, moments, restore, restore_moments, write_folder
from cmg.segmentation.model import Segmenter
from cmg.segmentation.options import SegmentationTraining, SegmenterOptions

FORMAT, VERSION = "cmg-segmenter", 1
DESCRIPTION, MODEL, TRAINING = "segmenter.json", "model.safetensors", "training.safetensors"


@dataclass(frozen=True)
class SegmenterRecord:
    """What a segmentation model is.

    Attributes:
        model: Its options.
        training: How it was trained.
        query_width: D.
        query_steps: Q; None where queries come with a step per frame (published).
        frames: T.
        trained_by: Modality of its queries; empty for a model without.
        protocol: ``published`` or ``clean``.
        encoder: Checkpoint of the frozen model that made the queries.
        encoder_sha256: Of that checkpoint's weights.
    """

    model: SegmenterOptions
    training: SegmentationTraining
    query_width: int
    query_steps: int | None
    frames: int
    trained_by: str
    protocol: str
    encoder: str
    encoder_sha256: str

    def told(self) -> dict[str, Any]:
        """As plain JSON."""
        return dict(TypeAdapter(SegmenterRecord).dump_python(self, mode="json"))

    def new_model(self, weights: StrPath | None = None) -> Segmenter:
        """The untrained model."""
        seed = self.training.seed
        return Segmenter(self.model, self.query_width, self.query_steps, self.frames, weights, seed)


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
        if (path / DESCRIPTION).is_file():
            kept = read_description(path)
            told = record.told()
            del told["encoder"]  # may be moved; its SHA-256 counts
            if differing := different(kept, told):
                raise CheckpointError(
                    f"{path} was trained with other settings ({', '.join(differing)}); say the "
                    "same to resume, or choose another folder"
                )

    @property
    def progress(self) -> Progress:
        """How far the training is; its beginning where nothing was kept."""
        if not (self.path / DESCRIPTION).is_file():
            return Progress()
        return Progress(**read_description(self.path)["progress"])

    @property
    def done(self) -> bool:
        """Whether the training has reached its last epoch."""
        return len(self.progress.scores) >= self.record.training.epochs

    def restore(self, model: Segmenter, optimizer: torch.optim.Optimizer) -> Progress:
        """Put the newest epoch, if there is one, into model and optimizer.

        Returns:
            How far the training is.

        Raises:
            CheckpointError: damaged files.
        """
        progress = self.progress
        if progress.step:
            tensors = load_tensors(self.path / TRAINING)
            weights = {n.removeprefix("model."): x for n, x in tensors.items() if n[:6] == "model."}
            restore(model, weights, self.path / TRAINING)
            restore_moments("optimizer", optimizer, _optimized(model, optimizer), tensors)
        return progress

    def best(self) -> dict[str, Tensor] | None:
        """Weights of the best epoch so far."""
        return load_tensors(self.path / MODEL) if self.progress.step else None

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
        training |= moments("optimizer", optimizer, _optimized(model, optimizer))
        files = {MODEL: {n: x.contiguous() for n, x in best.items()}, TRAINING: training}
        told = {"format": FORMAT, "version": VERSION} | self.record.told()
        told["progress"] = asdict(progress)

        def remedy() -> str:
            before = (self.path / DESCRIPTION).is_file()
            kept = "the epoch before is intact" if before else "no epoch is kept yet"
            return f"free space and resume ({kept})"

        write_folder(self.path, DESCRIPTION, told, files, remedy)


def _optimized(
    model: Segmenter, optimizer: torch.optim.Optimizer
) -> list[tuple[str, nn.Parameter]]:
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [(name, p) for name, p in model.named_parameters() if id(p) in known]


def different(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names of settings that differ, dotted."""
    found = []
    for key, value in json.loads(json.dumps(wanted)).items():
        if isinstance(value, dict):
            found += [f"{key}.{name}" for name in different(kept.get(key, {}), value)]
        elif kept.get(key) != value:
            found.append(f"{key} {kept.get(key)!r}, now {value!r}")
    return found


def read_description(path: Path) -> dict[str, Any]:
    """What ``segmenter.json`` says.

    Raises:
        CheckpointError: absent, damaged, or of another format.
    """
    file = path / DESCRIPTION
    try:
        told: dict[str, Any] = read_json(file)
        if (told["format"], told["version"]) != (FORMAT, VERSION):
            raise CheckpointError(f"{file} is of another format or version")
        for key in ("progress", "sha256", "model", "training"):
            told[key]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is no segmentation model (there is no {DESCRIPTION}); `cmg evaluate avs` "
            "trains them into OUT/models"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged: {error!r}") from error
    return told


def read_record(path: Path) -> SegmenterRecord:
    """What a model is.

    Raises:
        CheckpointError: absent or damaged.
    """
    told = read_description(path)
    try:
        known = {f.name: told[f.name] for f in fields(SegmenterRecord)}
        return TypeAdapter(SegmenterRecord).validate_python(known)
    except (KeyError, ValidationError) as error:
        raise CheckpointError(f"{path / DESCRIPTION} is damaged: {error!r}") from error


def read_segmenter(
    path: Path, device: torch.device | str = "cpu"
) -> tuple[Segmenter, SegmenterRecord]:
    """A trained model with the weights of its best epoch, in eval mode.

    Raises:
        CheckpointError: absent, damaged, or files that were changed.
    """
    record, file = read_record(path), path / MODEL
    if not file.is_file() or file_sha256(file) != read_description(path)["sha256"][MODEL]:
        raise CheckpointError(f"{file} is missing or was changed; train again")
    model = record.new_model()
    restore(model, load_tensors(file), file)
    return model.to(device).eval(), record
