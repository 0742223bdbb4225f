"""Training the segmentation model: losses, one step, epochs, selection, exact resumption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cmg.data.batches import permutation
from cmg.errors import NonFiniteError
from cmg.evaluation.training import descend
from cmg.precision import full_precision
from cmg.process import mode, seeded
from cmg.runs.checkpoint import Position
from cmg.runs.loop import StepObserver
from cmg.segmentation.backbones import FeatureCache
from cmg.segmentation.checkpoint import Progress, TrainingFolder, trained
from cmg.segmentation.clips import MaskedBatch, MaskedClips, nothing_marked
from cmg.segmentation.metrics import MaskMeter, MaskScores
from cmg.segmentation.model import Segmented, Segmenter
from cmg.segmentation.options import MaskPooling, SegmentationTraining
from cmg.segmentation.queries import Change, CodeQueries
from cmg.training.seeding import derived_seed

SMALLEST = 1e-6


@full_precision
def first_frame_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of the first frame of every clip [as coded].

    Args:
        logits: [B, T, S, S].
        masks: bool or 0 and 1, [B, M, S, S]; only the first frame's mask is read.
    """
    return functional.binary_cross_entropy_with_logits(logits[:, 0], masks[:, 0].to(logits.dtype))


@full_precision
def matching_loss(
    logits: Tensor,
    maps: Sequence[Tensor],
    queries: Sequence[Tensor],
    pooling: MaskPooling = "avg",
) -> Tensor:
    """Masked-feature matching: the query should look like what is inside the predicted mask.

    -log(relu(cos(query, mean feature inside the mask)) + 1e-6), mean over all frames, then over
    stages. The mask is the sigmoid map pooled to the stage's size and cut at 0.5, without gradient;
    an empty mask gives the zero vector, hence cosine 0.

    Args:
        logits: [B, T, S, S].
        maps: Of every chosen stage, [B, C, T, H, W].
        queries: Of every chosen stage, in the stage's channels, [B, T, C].
        pooling: How the map is brought to the stage's size.
    """
    terms = []
    probability = torch.sigmoid(logits.detach())
    for x, query in zip(maps, queries, strict=True):
        size = (x.shape[3], x.shape[4])
        if pooling == "avg":
            pooled = functional.adaptive_avg_pool2d(probability, size)
        else:
            pooled = functional.adaptive_max_pool2d(probability, size)
        inside = (pooled > 0.5).to(x.dtype)  # [B, T, H, W]
        count = inside.sum((2, 3)).clamp_min(1.0)[..., None]
        mean = torch.einsum("bcthw,bthw->btc", x, inside) / count
        cosine = functional.cosine_similarity(query.to(x.dtype), mean, dim=2)
        terms.append(-torch.log(functional.relu(cosine) + SMALLEST).mean())
    return torch.stack(terms).mean()


@dataclass
class SegmentationJob:
    """One model to train.

    Attributes:
        model: Trained in place.
        options: Of the training.
        train: Clips to learn from.
        by: What they are asked by.
        val: Clips that decide which epoch is kept.
        select_by: What those are asked by: the modality of training, or the other one [as coded].
        folder: Keeps checkpoints; None keeps nothing on disk.
        cache: Of the maps of a frozen backbone.
    """

    model: Segmenter
    options: SegmentationTraining
    train: MaskedClips
    by: CodeQueries
    val: MaskedClips
    select_by: CodeQueries
    folder: TrainingFolder | None = None
    cache: FeatureCache | None = None


def segmentation_step(
    job: SegmentationJob, batch: MaskedBatch, optimizer: torch.optim.Optimizer, draw: int
) -> float:
    """One step: ask, segment, compare, update.

    Args:
        job: Its model is updated.
        batch: Of training clips.
        optimizer: Of the model.
        draw: Seed of what is random in the query.

    Returns:
        The loss.

    Raises:
        NonFiniteError: the loss is NaN or infinite; the model is as before.
    """
    options = job.options
    query = job.by.vectors(batch.ids, draw)
    first = None if options.matching else 1  # only the matching loss looks at later frames
    said = segmented(job.model, batch, query, options.precision, job.cache, first)
    masks = batch.masks.to(said.logits.device)
    loss = first_frame_loss(said.logits, masks)
    if options.matching:
        stages = options.matching_stages
        maps, queries = [said.maps[s] for s in stages], [said.queries[s] for s in stages]
        matching = matching_loss(said.logits, maps, queries, options.matching_pooling)
        loss = loss + options.matching * matching
    value = float(loss.detach())
    if not math.isfinite(value):
        raise NonFiniteError(
            f"the loss is {value} for clips {', '.join(batch.ids)}; lower the learning rate"
        )
    descend(optimizer, [loss])
    return value


def segmented(
    model: Segmenter,
    batch: MaskedBatch,
    query: Tensor,
    precision: str = "float32",
    cache: FeatureCache | None = None,
    first: int | None = None,
) -> Segmented:
    """The model's masks of a batch, logits in float32.

    Args:
        model: In the mode it is in.
        batch: Of clips.
        query: [B, Q, D].
        precision: ``float32``, or ``bfloat16`` by autocast.
        cache: Gives the stage maps.
        first: How many frames need a mask; None is all.
    """
    device = model.device
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        if cache is None:
            said = model(batch.frames.to(device), query.to(device), first)
        else:
            stages = [x.to(device) for x in cache.stages(batch)]
            said = model.from_stages(stages, query.to(device), first)
    whole = {s: x.float() for s, x in said.maps.items()}
    return Segmented(said.logits.float(), whole, {s: x.float() for s, x in said.queries.items()})


@torch.no_grad()
def predictions(
    model: Segmenter,
    clips: MaskedClips,
    batches: Iterable[tuple[int, Sequence[int]]],
    asked: CodeQueries,
    options: SegmentationTraining,
    purpose: str = "test query",
    cache: FeatureCache | None = None,
    change: Change | None = None,
) -> Iterator[tuple[MaskedBatch, Tensor]]:
    """Batches of clips and the model's logits of them, [B, T, S, S] in float32.

    Args:
        model: Left untouched.
        clips: To be segmented.
        batches: Numbers, of which their queries' draws depend, and places in the clips.
        asked: By what.
        options: For precision and seed.
        purpose: Of the draws.
        cache: Gives the stage maps.
        change: Makes another query of the ids and queries of a batch.

    Raises:
        DataError: a picture, mask or query that cannot be read.
    """
    with mode(model, training=False):
        for number, places in batches:
            batch = clips.batch(places)
            query = asked.vectors(batch.ids, derived_seed(options.seed, purpose, number))
            query = query if change is None else change(batch.ids, query)
            yield batch, segmented(model, batch, query, options.precision, cache).logits


def mask_scores(
    model: Segmenter,
    clips: MaskedClips,
    asked: CodeQueries,
    options: SegmentationTraining,
    cache: FeatureCache | None = None,
    change: Change | None = None,
) -> tuple[MaskScores, Tensor]:
    """Score a model on the masks of all clips, in test batches; see :func:`predictions`.

    Returns:
        Scores of all frames, and the mean IoU of every clip, float64 [N].

    Raises:
        DataError: all masks are empty, or one cannot be read.
    """
    meter, places, size = MaskMeter(), range(len(clips)), options.test_batch_size
    batches = enumerate(places[i : i + size] for i in places[::size])
    found = predictions(model, clips, batches, asked, options, cache=cache, change=change)
    for batch, logits in found:
        known = batch.masks.shape[1]
        meter.add(logits[:, :known].flatten(0, 1).cpu(), batch.masks.flatten(0, 1))
    scores = meter.result()
    if scores.empty == scores.frames:
        raise nothing_marked(clips.clips)
    return scores, torch.cat(meter.scores).reshape(len(clips), -1).mean(1)


def train_segmenter(
    job: SegmentationJob,
    progress: Callable[[int, int], None] = lambda done, of: None,
    observers: Sequence[StepObserver] = (),
    stop_after: Callable[[int], bool] = lambda step: False,
) -> Progress:
    """Train to the last epoch; the model ends with the weights of its best epoch.

    Args:
        job: What to train.
        progress: Told the steps done and of how many.
        observers: Told what was measured: ``loss``, and after an epoch ``val/miou``.
        stop_after: Asked after every step; True ends early (tests of resumption).

    Raises:
        NonFiniteError: the loss became NaN or infinite.
        CheckpointError: a checkpoint cannot be read or written.
        DataError: a picture, mask or query that cannot be read.
    """
    options, model, at, best = job.options, job.model, Progress(), None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not (options.freeze_backbone and name.startswith("backbone.")))
    optimizer = torch.optim.Adam([p for _, p in trained(model)], lr=options.lr)
    if job.folder is not None:
        at, best = job.folder.progress, job.folder.restore(model, optimizer)
    per_epoch = math.ceil(len(job.train) / options.batch_size)
    while at.step < options.epochs * per_epoch:
        epoch, index = divmod(at.step, per_epoch)
        model.train()
        if options.freeze_backbone:
            model.backbone.eval()
        order = permutation(len(job.train), options.seed, epoch)
        first = index * options.batch_size
        batch = job.train.batch(order[first : first + options.batch_size].tolist())
        draw = derived_seed(options.seed, "query", at.step)
        with seeded(derived_seed(options.seed, "step", at.step), model.device):
            loss = segmentation_step(job, batch, optimizer, draw)
        at.running += loss
        at.step += 1
        log, position = {"loss": loss}, Position(at.step, at.step // per_epoch)
        progress(at.step, options.epochs * per_epoch)
        if at.step % per_epoch == 0:
            best = _end_epoch(job, at, per_epoch, best)
            log["val/miou"] = at.scores[-1]
            if job.folder is not None:
                job.folder.keep(model, optimizer, at, best)
        for observer in observers:
            observer.step(position, len(batch.clips), log)
        if stop_after(at.step):
            return at
    assert best is not None
    model.load_state_dict(best)
    return at


def _end_epoch(
    job: SegmentationJob, at: Progress, steps: int, best: dict[str, Tensor] | None
) -> dict[str, Tensor]:
    """Score the epoch; the weights of the best one so far."""
    scores, _ = mask_scores(job.model, job.val, job.select_by, job.options, job.cache)
    at.losses.append(at.running / steps)
    at.running = 0.0
    at.scores.append(scores.miou)
    if scores.miou > at.best or best is None:
        at.best, at.best_epoch = scores.miou, len(at.scores)
        return {n: x.detach().cpu().clone() for n, x in job.model.state_dict().items()}
    return best
