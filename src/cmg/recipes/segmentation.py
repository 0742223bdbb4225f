"""Segmentation by sound or by words: train with one modality, use with the other, with controls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from cmg.data.frames import clips_of
from cmg.errors import CheckpointError, ConfigError, ModalityError
from cmg.evaluation.frozen import Progress as Telling
from cmg.evaluation.frozen import Protocol, quiet
from cmg.files import StrPath, file_sha256
from cmg.models.saving import MODEL
from cmg.models.unified import UnifiedModel
from cmg.runs.checkpoint import Checkpoint, load_model, read_checkpoint
from cmg.runs.loop import StepObserver
from cmg.segmentation.backbones import FeatureCache
from cmg.segmentation.checkpoint import DESCRIPTION, SegmenterRecord, TrainingFolder, read_record
from cmg.segmentation.clips import MaskedClips, SegmentationData
from cmg.segmentation.options import SegmentationTraining, SegmenterOptions, check_matching
from cmg.segmentation.queries import STEPS, CodeQueries, PublishedQueries
from cmg.segmentation.training import SegmentationJob, train_segmenter

PUBLISHED_EPOCHS = 1
MODELS = "models"
SALIENT = "salient"
"""Name of the model without a query."""
Watching = Callable[[int, str], AbstractContextManager[Sequence[StepObserver]]]


@dataclass(frozen=True)
class SegmentationPlan:
    """What to train and test.

    Attributes:
        encoder: Run or checkpoint of the frozen model.
        model: Options of the segmentation model.
        training: How it is trained; its seed is that of the first model.
        protocol: ``published`` or ``clean``.
        modalities: Of queries; each trains a model of its own.
        seeds: Models per modality.
        salient: Whether a model without query is trained as a control.
        backbone_weights: Folder or name on the hub; None starts at random.
        allow_empty: Whether a training mask may be empty.
        device: Where to compute.
    """

    encoder: Path
    model: SegmenterOptions = field(default_factory=SegmenterOptions)
    training: SegmentationTraining = field(default_factory=SegmentationTraining)
    protocol: Protocol = "clean"
    modalities: tuple[str, ...] = ("audio", "text")
    seeds: int = 1
    salient: bool = True
    backbone_weights: str | None = None
    allow_empty: bool = False
    device: str = "cpu"

    def named_models(self) -> Iterator[tuple[str, str, int]]:
        """(name, modality it is trained by or nothing, seed) of every model."""
        for seed in range(self.training.seed, self.training.seed + self.seeds):
            for modality in self.modalities:
                yield f"{modality}-{seed}", modality, seed
            if self.salient and self.model.by_query:
                yield f"{SALIENT}-{seed}", "", seed


class Segmentation:
    """Everything a plan needs, opened and checked before any training.

    Args:
        data: Clips and queries.
        plan: What to do.

    Raises:
        CmgError: by its type, whatever does not fit.
    """

    def __init__(self, data: SegmentationData, plan: SegmentationPlan) -> None:
        check_matching(plan.model, plan.training)
        if plan.seeds < 1:
            raise ConfigError(f"seeds = {plan.seeds}; give at least one")
        self.data, self.plan = data, plan
        self.checkpoint: Checkpoint = read_checkpoint(plan.encoder)
        self.encoder: UnifiedModel = load_model(self.checkpoint.path, plan.device)
        for modality in plan.modalities:
            if modality not in self.encoder.modalities:
                raise ModalityError(
                    f"{plan.encoder} has no modality {modality!r}; its modalities: "
                    f"{', '.join(self.encoder.modalities)}"
                )
        side, self._queries = plan.training.side, dict[tuple[str, float], CodeQueries]()
        train = clips_of(data.clips, "train")
        self.splits = {"train": MaskedClips(train, side, allow_empty=plan.allow_empty)}
        self.frames = frames = self.splits["train"].frames
        for split in ("val", "test"):
            self.splits[split] = MaskedClips(clips_of(data.clips, split), side, frames, frames)

    def queries(
        self, modality: str, phase: Literal["train", "val", "test"], seed: int
    ) -> CodeQueries:
        """Queries of a phase; as coded, training and validation share a random step mixer."""
        source = self.data.queries
        if self.plan.protocol == "published":
            mixer = "test" if phase == "test" else "train"
            return PublishedQueries(self.encoder, source, modality, self.frames, seed, mixer)
        jitter = self.plan.training.query_jitter if phase == "train" else 0.0
        if (modality, jitter) not in self._queries:
            made = CodeQueries(self.encoder, source, modality, jitter=jitter)
            self._queries[modality, jitter] = made
        return self._queries[modality, jitter]

    def record(self, modality: str, seed: int) -> SegmenterRecord:
        """What the model trained by a modality is; one without has no query to match."""
        plan = self.plan
        model, training = plan.model, plan.training.model_copy(update={"seed": seed})
        if not modality:
            model = model.model_copy(update={"by_query": False})
            training = training.model_copy(update={"matching": 0.0})
        return SegmenterRecord(
            model,
            training,
            self.encoder.codebook.width,
            STEPS if plan.protocol == "clean" else None,
            self.frames,
            modality,
            plan.protocol,
            os.path.abspath(self.checkpoint.path),
            file_sha256(self.checkpoint.path / MODEL),
        )

    def train_one(
        self, folder: Path, modality: str, seed: int, tell: Telling, watch: Watching
    ) -> None:
        """Train a model, or go on with it; nothing where it is done."""
        record = self.record(modality, seed)
        kept = TrainingFolder(folder, record)
        if kept.done:
            return
        model = record.new_model(self.plan.backbone_weights).to(self.plan.device)
        by = modality or self.plan.modalities[0]  # a model without query ignores it
        options, cache = record.training, None
        if options.cache_features:
            maps = folder.parent.parent / "features"
            cache = FeatureCache(maps, model.backbone.eval(), options.side)
        job = SegmentationJob(
            model,
            options,
            self.splits["train"],
            self.queries(by, "train", seed),
            self.splits["val"],
            self.queries(self._selecting(by), "val", seed),
            kept,
            cache,
        )
        with watch(kept.progress.step, folder.name) as observers:
            train_segmenter(job, partial(tell, f"train {folder.name}"), observers)

    def _selecting(self, modality: str) -> str:
        """Which modality decides the epoch: as coded the other one, else that of training."""
        others = [m for m in self.plan.modalities if m != modality]
        return others[0] if self.plan.protocol == "published" and others else modality


def train_all(
    segmentation: Segmentation,
    out: StrPath,
    tell: Telling = quiet,
    watch: Watching = lambda steps, name: nullcontext([]),
) -> dict[str, Path]:
    """Train every model of a plan into ``OUT/models``; finished ones are left as they are.

    Args:
        segmentation: Data and frozen model.
        out: The folder.
        tell: Told the steps of every model.
        watch: Opens, of the steps a model has done and its name, who is told every loss.

    Returns:
        Folder of every model by its name.

    Raises:
        CmgError: by its type, whatever goes wrong; finished epochs are kept.
    """
    out = Path(out)
    for split, clips in segmentation.splits.items():
        clips.check_masks(partial(tell, f"read {split} clips"))
    folders = {}
    for name, modality, seed in segmentation.plan.named_models():
        folders[name] = out / MODELS / name
        segmentation.train_one(folders[name], modality, seed, tell, watch)
    return folders


def found_models(path: StrPath) -> dict[str, Path]:
    """The models of a folder of `cmg evaluate avs`, or the one model that it is.

    Raises:
        CheckpointError: neither.
    """
    path = Path(path)
    if (path / DESCRIPTION).is_file():
        return {path.name: path}
    models = {p.parent.name: p.parent for p in sorted(path.glob(f"{MODELS}/*/{DESCRIPTION}"))}
    if not models:
        raise CheckpointError(
            f"{path} is neither a segmentation model nor a folder of `cmg evaluate avs`"
        )
    return models


def planned_from(plan: SegmentationPlan, folders: dict[str, Path]) -> SegmentationPlan:
    """A plan that tests models as they were trained, in test batches of the given plan.

    Raises:
        CheckpointError: a model is damaged, or they differ in the size of pictures.
    """
    records = [read_record(folder) for folder in folders.values()]
    sides = {record.training.side for record in records}
    if len(sides) > 1:
        raise CheckpointError(
            f"the models were trained on pictures of different sizes {sorted(sides)}; test them "
            "one by one"
        )
    seeds = [record.training.seed for record in records]
    told = {"seed": min(seeds), "test_batch_size": plan.training.test_batch_size}
    training = records[0].training.model_copy(update=told)
    described = next((r.model for r in records if r.model.by_query), records[0].model)
    return replace(
        plan,
        model=described,
        training=training,
        protocol=records[0].protocol,
        seeds=len(set(seeds)),
    )
