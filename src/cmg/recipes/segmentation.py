"""Segmentation by sound or by words: train with one modality, use with the other, with controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from cmg.data.frames import clips_of
from cmg.errors import CheckpointError, ConfigError, DataError, ModalityError
from cmg.files import file_sha256
from cmg.models.unified import UnifiedModel
from cmg.recipes.segmentation_data import SegmentationData
from cmg.segmentation.checkpoint import (
    DESCRIPTION,
    SegmenterRecord,
    TrainingFolder,
    read_description,
    read_record,
    read_segmenter,
)
from cmg.segmentation.clips import MaskedClips
from cmg.segmentation.controls import shuffled, zero
from cmg.segmentation.metrics import MaskScores
from cmg.segmentation.model import Segmenter
from cmg.segmentation.options import SegmentationTraining, SegmenterOptions, check_matching
from cmg.segmentation.overlays import Pixels, predicted_masks, strips
from cmg.segmentation.queries import STEPS, CodeQueries, PublishedQueries, Queries
from cmg.segmentation.stages import FeatureCache
from cmg.segmentation.training import (
    Asked,
    SegmentationJob,
    mask_scores,
    train_segmenter,
)
from cmg.tasks.frozen import Progress as Telling
from cmg.tasks.frozen import quiet
from cmg.tasks.outcome import Figure
from cmg.training.checkpoint import MODEL, Checkpoint, load_model, read_checkpoint
from cmg.training.run_folder import versions

Protocol = Literal["published", "clean"]
PUBLISHED_EPOCHS = 1
MODELS = "models"
SALIENT = "salient"
"""Name of the model without a query."""
QUERY, SHUFFLED, ZERO = "query", "shuffled", "zero"
METRICS = ("miou", "f_measure", "published_miou", "published_f")


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


@dataclass
class SegmentationResults:
    """What was found.

    Attributes:
        figures: By direction ``audio->text``, variant (``query``, ``shuffled``, ``zero``) and
            metric, in percent.
        salient: By metric, of the model without a query; empty where none was trained.
        ious: Mean IoU of every test clip by model and ``modality/variant``, in the clips' order.
        progress: Of every model's training.
        clips: Ids of the test clips.
        pictures: Rows of pictures by clip.
        about: Model, data, settings, versions.
    """

    figures: dict[str, dict[str, dict[str, Figure]]]
    salient: dict[str, Figure]
    ious: dict[str, dict[str, list[float]]]
    progress: dict[str, dict[str, Any]]
    clips: list[str]
    pictures: dict[str, dict[str, Pixels]]
    about: dict[str, Any] = field(default_factory=dict)


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
        side = plan.training.side
        train, test = clips_of(data.clips, "train"), clips_of(data.clips, "test")
        self.train = MaskedClips(train, side, allow_empty=plan.allow_empty)
        self.frames = self.train.frames
        self.test = MaskedClips(test, side, self.frames, self.frames)
        val = clips_of(data.clips, "val")
        self.val = MaskedClips(val, side, self.frames, self.frames)
        self.width = self.encoder.codebook.codes.shape[1]
        self._clean = CodeQueries(self.encoder, data.queries)
        jitter = plan.training.query_jitter
        self._training = CodeQueries(self.encoder, data.queries, jitter=jitter)

    def queries(self, phase: Literal["train", "val", "test"], seed: int) -> Queries:
        """Queries of a phase; as coded, training and validation share a random step mixer."""
        if self.plan.protocol == "clean":
            return self._training if phase == "train" else self._clean
        mixer = "test" if phase == "test" else "train"
        return PublishedQueries(self.encoder, self.data.queries, self.frames, seed, mixer)

    def record(self, modality: str, seed: int) -> SegmenterRecord:
        """What the model trained by a modality is."""
        plan = self.plan
        return SegmenterRecord(
            plan.model if modality else plan.model.model_copy(update={"by_query": False}),
            plan.training.model_copy(update={"seed": seed}),
            self.width,
            STEPS if plan.protocol == "clean" else None,
            self.frames,
            modality,
            plan.protocol,
            str(self.checkpoint.path),
            file_sha256(self.checkpoint.path / MODEL),
        )

    def train_one(self, folder: Path, modality: str, seed: int, tell: Telling) -> None:
        """Train a model, or go on with it; nothing where it is done."""
        record = self.record(modality, seed)
        kept = TrainingFolder(folder, record)
        if kept.done:
            return
        model = record.new_model(self.plan.backbone_weights).to(self.plan.device)
        by = modality or self.plan.modalities[0]  # a model without query ignores it
        options = record.training
        job = SegmentationJob(
            model,
            options,
            self.train,
            Asked(self.queries("train", seed), by),
            self.val,
            Asked(self.queries("val", seed), self._selecting(by)),
            kept,
            self._cache(folder, model, options),
        )
        train_segmenter(job, lambda done, of: tell(f"train {folder.name}", done, of))

    def _selecting(self, modality: str) -> str:
        """Which modality decides the epoch: as coded the other one, else that of training."""
        others = [m for m in self.plan.modalities if m != modality]
        return others[0] if self.plan.protocol == "published" and others else modality

    def _cache(
        self, folder: Path, model: Segmenter, options: SegmentationTraining
    ) -> FeatureCache | None:
        if not options.cache_features:
            return None
        cache = folder.parent.parent / "features"
        return FeatureCache(cache, model.backbone.eval(), options.side)


def train_all(segmentation: Segmentation, out: Path, tell: Telling = quiet) -> dict[str, Path]:
    """Train every model of a plan into ``OUT/models``; finished ones are left as they are.

    Returns:
        Folder of every model by its name.

    Raises:
        CmgError: by its type, whatever goes wrong; finished epochs are kept.
    """
    folders = {}
    for name, modality, seed in segmentation.plan.named_models():
        folders[name] = out / MODELS / name
        segmentation.train_one(folders[name], modality, seed, tell)
    return folders


def score_all(
    segmentation: Segmentation,
    folders: dict[str, Path],
    pictures: int = 6,
    tell: Telling = quiet,
) -> SegmentationResults:
    """Test trained models by every modality, with controls.

    Args:
        segmentation: Data and frozen model.
        folders: Of the models, by name.
        pictures: Test clips to show.
        tell: Told how many models are done.

    Raises:
        CheckpointError: a model is missing, damaged, or was trained with another codebook.
        DataError: a picture, mask or query that cannot be read.
    """
    asked_by = segmentation.plan.modalities
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    salient: dict[str, list[float]] = {}
    ious: dict[str, dict[str, list[float]]] = {}
    progress, chosen = {}, spread(len(segmentation.test), pictures)
    found: dict[int, dict[str, torch.Tensor]] = {place: {} for place in chosen}
    for done, (name, folder) in enumerate(folders.items()):
        model, record = read_segmenter(folder, segmentation.plan.device)
        _refuse_other(segmentation, record, folder)
        progress[name] = progress_of(folder)
        queries = segmentation.queries("test", record.training.seed)
        each = ious.setdefault(name, {})
        for modality in asked_by if record.model.by_query else asked_by[:1]:
            asked = Asked(queries, modality)
            for variant, scores, clip_ious in _variants(segmentation, model, record, asked):
                each[f"{modality}/{variant}"] = clip_ious
                if record.model.by_query:
                    row = values.setdefault(f"{record.trained_by}->{modality}", {})
                    _gather(row.setdefault(variant, {}), scores)
                else:
                    _gather(salient, scores)
            title = f"trained by {record.trained_by}, asked by {modality}"
            if not record.model.by_query:
                title = "without a query"
            if record.training.seed == segmentation.plan.training.seed:
                masks = predicted_masks(model, segmentation.test, chosen, asked, record.training)
                for place, mask in zip(chosen, masks, strict=True):
                    found[place][title] = mask
        tell("test models", done + 1, len(folders))
    return SegmentationResults(
        {
            direction: {
                v: {k: Figure.of(x) for k, x in scores.items()} for v, scores in variants.items()
            }
            for direction, variants in values.items()
        },
        {k: Figure.of(x) for k, x in salient.items()},
        ious,
        progress,
        [clip.id for clip in segmentation.test.clips],
        _pictures(segmentation, found),
        about(segmentation),
    )


def _variants(
    segmentation: Segmentation, model: Segmenter, record: SegmenterRecord, asked: Asked
) -> Iterator[tuple[str, MaskScores, list[float]]]:
    """(variant, scores, mean IoU per clip): the query and its controls."""
    clips, seed = segmentation.test, record.training.seed
    options = record.training.model_copy(
        update={"test_batch_size": segmentation.plan.training.test_batch_size}
    )
    changes: dict[str, Any] = {QUERY: None}
    if record.model.by_query:
        changes |= {SHUFFLED: shuffled(clips.clips, asked, seed), ZERO: zero}
    for variant, change in changes.items():
        scores, each = mask_scores(model, clips, asked, options, change=change)
        yield variant, scores, (100 * each).tolist()


def _gather(row: dict[str, list[float]], scores: MaskScores) -> None:
    told = asdict(scores)
    for metric in METRICS:
        row.setdefault(metric, []).append(float(told[metric]))


def _refuse_other(segmentation: Segmentation, record: SegmenterRecord, folder: Path) -> None:
    """A model asks in the codes it was trained with; those of another codebook mean nothing."""
    if record.encoder_sha256 != file_sha256(segmentation.checkpoint.path / MODEL):
        raise CheckpointError(
            f"{folder} was trained with the codebook of {record.encoder}, and "
            f"{segmentation.checkpoint.path} has another one"
        )
    if record.protocol != segmentation.plan.protocol:
        raise CheckpointError(
            f"{folder} was trained by the protocol {record.protocol}; say --protocol "
            f"{record.protocol}"
        )
    if record.frames != segmentation.frames:
        raise DataError(
            f"{folder} segments clips of {record.frames} frames; {segmentation.data.path} has "
            f"clips of {segmentation.frames}"
        )


def spread(n: int, wanted: int) -> list[int]:
    """Evenly spaced places among n."""
    wanted = min(n, wanted)
    return [i * n // wanted for i in range(wanted)]


def _pictures(
    segmentation: Segmentation, found: dict[int, dict[str, torch.Tensor]]
) -> dict[str, dict[str, Pixels]]:
    shown = {}
    for place, masks in found.items():
        batch = segmentation.test.batch([place])
        clip = batch.clips[0]
        title = f"{clip.id} ({clip.category})" if clip.category else clip.id
        shown[title] = strips(batch.frames[0], batch.masks[0], masks)
    return shown


def progress_of(folder: Path) -> dict[str, Any]:
    """How a model's training went."""
    told: dict[str, Any] = read_description(folder)["progress"]
    return told


def about(segmentation: Segmentation) -> dict[str, Any]:
    """Model, data, settings and versions, JSON."""
    plan = segmentation.plan
    return {
        "encoder": str(segmentation.checkpoint.path),
        "data": str(segmentation.data.path),
        "simulated": segmentation.data.simulated,
        "protocol": plan.protocol,
        "model": plan.model.model_dump(mode="json"),
        "training": plan.training.model_dump(mode="json"),
        "seeds": plan.seeds,
        "backbone_weights": plan.backbone_weights,
        "clips": {
            name: len(clips)
            for name, clips in (
                ("train", segmentation.train),
                ("val", segmentation.val),
                ("test", segmentation.test),
            )
        },
        "versions": versions(),
    }


def found_models(path: Path) -> dict[str, Path]:
    """The models of a folder of `cmg evaluate avs`, or the one model that it is.

    Raises:
        CheckpointError: neither.
    """
    if (path / DESCRIPTION).is_file():
        return {path.name: path}
    models = {p.parent.name: p.parent for p in sorted(path.glob(f"{MODELS}/*/{DESCRIPTION}"))}
    if not models:
        raise CheckpointError(
            f"{path} is neither a segmentation model nor a folder of `cmg evaluate avs`"
        )
    return models


def planned_from(plan: SegmentationPlan, folders: dict[str, Path]) -> SegmentationPlan:
    """A plan that tests models as they were trained: their size, protocol and first seed.

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
    training = plan.training.model_copy(update={"side": sides.pop(), "seed": min(seeds)})
    described = next((r.model for r in records if r.model.by_query), records[0].model)
    return replace(
        plan,
        model=described,
        training=training,
        protocol="published" if records[0].protocol == "published" else "clean",
        seeds=len(set(seeds)),
    )
