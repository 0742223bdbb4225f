"""Test segmentation models by every modality, with controls and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cmg.errors import CheckpointError, DataError
from cmg.evaluation.frozen import Progress as Telling
from cmg.evaluation.frozen import quiet
from cmg.evaluation.scores import Score
from cmg.files import file_sha256
from cmg.models.saving import MODEL
from cmg.recipes.segmentation import Segmentation
from cmg.runs.folder import versions
from cmg.segmentation.checkpoint import SegmenterRecord, read_description, read_segmenter
from cmg.segmentation.metrics import MaskScores
from cmg.segmentation.model import Segmenter
from cmg.segmentation.overlays import Pixels, predicted_masks, strips
from cmg.segmentation.queries import AskedBy, shuffled, zero
from cmg.segmentation.training import mask_scores

QUERY, SHUFFLED, ZERO = "query", "shuffled", "zero"
METRICS = ("miou", "f_measure", "published_miou", "published_f")


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

    figures: dict[str, dict[str, dict[str, Score]]]
    salient: dict[str, Score]
    ious: dict[str, dict[str, list[float]]]
    progress: dict[str, dict[str, Any]]
    clips: list[str]
    pictures: dict[str, dict[str, Pixels]]
    about: dict[str, Any] = field(default_factory=dict)


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
    empty = segmentation.test.check_masks(partial(tell, "read test clips"))
    values: dict[str, dict[str, list[MaskScores]]] = {}
    salient: list[MaskScores] = []
    ious: dict[str, dict[str, list[float]]] = {}
    progress, chosen = {}, spread(len(segmentation.test), pictures)
    found: dict[int, dict[str, torch.Tensor]] = {place: {} for place in chosen}
    for done, (name, folder) in enumerate(folders.items()):
        model, record = read_segmenter(folder, segmentation.plan.device)
        _refuse_other(segmentation, record, folder)
        progress[name] = read_description(folder)["progress"]
        queries = segmentation.queries("test", record.training.seed)
        each = ious.setdefault(name, {})
        for modality in asked_by if record.model.by_query else asked_by[:1]:
            asked = AskedBy(queries, modality)
            for variant, scores, clip_ious in _variants(segmentation, model, record, asked):
                each[f"{modality}/{variant}"] = clip_ious
                if record.model.by_query:
                    row = values.setdefault(f"{record.trained_by}->{modality}", {})
                    row.setdefault(variant, []).append(scores)
                else:
                    salient.append(scores)
            title = f"trained by {record.trained_by}, asked by {modality}"
            if not record.model.by_query:
                title = "without a query"
            if record.training.seed == segmentation.plan.training.seed:
                masks = predicted_masks(model, segmentation.test, chosen, asked, record.training)
                for place, mask in zip(chosen, masks, strict=True):
                    found[place][title] = mask
        tell("test models", done + 1, len(folders))
    return SegmentationResults(
        {d: {v: over_seeds(one) for v, one in row.items()} for d, row in values.items()},
        over_seeds(salient) if salient else {},
        ious,
        progress,
        [clip.id for clip in segmentation.test.clips],
        _pictures(segmentation, found),
        about(segmentation, empty),
    )


def _variants(
    segmentation: Segmentation, model: Segmenter, record: SegmenterRecord, asked: AskedBy
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


def over_seeds(found: Sequence[MaskScores]) -> dict[str, Score]:
    """Mean and spread of every metric over at least one model."""
    return {m: Score.of([float(getattr(one, m)) for one in found]) for m in METRICS}


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


def about(segmentation: Segmentation, empty: Sequence[int]) -> dict[str, Any]:
    """Model, data, settings and versions, JSON.

    Args:
        segmentation: Data and frozen model.
        empty: How many masks of each test clip are empty.
    """
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
        "clips": {split: len(clips) for split, clips in segmentation.splits.items()},
        "empty_test_masks": {"masks": sum(empty), "clips": sum(n > 0 for n in empty)},
        "versions": versions(),
    }
