"""Test segmentation models by every modality, with controls and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cmg.errors import CheckpointError, DataError
from cmg.evaluation.frozen import Progress as Telling
from cmg.evaluation.frozen import quiet
from cmg.evaluation.scores import Score
from cmg.recipes.segmentation import SALIENT, Segmentation
from cmg.runs.folder import versions
from cmg.segmentation.checkpoint import SegmenterRecord, read_segmenter, refuse_other_codebook
from cmg.segmentation.clips import MaskedClips
from cmg.segmentation.metrics import MaskScores
from cmg.segmentation.overlays import Pixels, strips
from cmg.segmentation.queries import Change, shuffled, zero
from cmg.segmentation.training import mask_scores, predictions

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
    plan, test = segmentation.plan, segmentation.splits["test"]
    empty = test.check_masks(partial(tell, "read test clips"))
    values: dict[str, dict[str, list[MaskScores]]] = {}
    ious: dict[str, dict[str, list[float]]] = {}
    progress, chosen = {}, spread(len(test), pictures)
    found: dict[int, dict[str, torch.Tensor]] = {place: {} for place in chosen}
    for done, (name, folder) in enumerate(folders.items(), 1):
        model, record = read_segmenter(folder, plan.device)
        _refuse_other(segmentation, record, folder)
        progress[name], seed = asdict(record.progress), record.training.seed
        by_query, each = record.model.by_query, ious.setdefault(name, {})
        told = {"test_batch_size": plan.training.test_batch_size}
        options = record.training.model_copy(update=told)
        for modality in plan.modalities if by_query else plan.modalities[:1]:
            asked = segmentation.queries(modality, "test", seed)
            direction = f"{record.trained_by}->{modality}" if by_query else SALIENT
            row = values.setdefault(direction, {})
            changes: dict[str, Change | None] = {QUERY: None}
            if by_query:
                changes |= {SHUFFLED: shuffled(test.clips, asked, seed), ZERO: zero}
            for variant, change in changes.items():
                scores, own = mask_scores(model, test, asked, options, change=change)
                each[f"{modality}/{variant}"] = (100 * own).tolist()
                row.setdefault(variant, []).append(scores)
            if seed == plan.training.seed:
                title = f"trained by {record.trained_by}, asked by {modality}"
                single, purpose = ((place, [place]) for place in chosen), "overlay query"
                masks = predictions(model, test, single, asked, options, purpose)
                for place, (_, logits) in zip(chosen, masks, strict=True):
                    found[place][title if by_query else "without a query"] = logits[0].cpu() > 0
        tell("test models", done, len(folders))
    figures = {d: {v: over_seeds(one) for v, one in row.items()} for d, row in values.items()}
    return SegmentationResults(
        salient=figures.pop(SALIENT, {}).get(QUERY, {}),
        figures=figures,
        ious=ious,
        progress=progress,
        clips=[clip.id for clip in test.clips],
        pictures=_pictures(test, found),
        about=about(segmentation, empty),
    )


def over_seeds(found: Sequence[MaskScores]) -> dict[str, Score]:
    """Mean and spread of every metric over at least one model."""
    return {m: Score.of([float(getattr(one, m)) for one in found]) for m in METRICS}


def _refuse_other(segmentation: Segmentation, record: SegmenterRecord, folder: Path) -> None:
    refuse_other_codebook(folder, record, segmentation.checkpoint)
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
    clips: MaskedClips, found: dict[int, dict[str, torch.Tensor]]
) -> dict[str, dict[str, Pixels]]:
    shown = {}
    for place, masks in found.items():
        batch = clips.batch([place])
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
