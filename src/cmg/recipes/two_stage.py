"""Retrieval of a modality that joins later: the two-stage setting of the paper's Table 5.

Stage 1 is a finished run of two modalities, say video and text. Stage 2 freezes all of it, the
codebook included, and fits an encoder of a third modality, say audio, to one of the two (the
*pivot*), as retrieval: text finds audio. Then the third is tested against the modality that it was
never paired with (video finds audio).

The authors have lost their code; what the paper leaves open is chosen here:

* the new encoder has the architecture of stage 1's, and starts at random;
* a clip's embedding is the mean of its code vectors (straight-through for the new modality), so
  that what is learned is a choice of codes and the test is the retrieval of :mod:`cmg.retrieval`;
* loss: InfoNCE in both directions over the batch, cosine over a temperature, plus the distance
  of the features to their codes, as in pre-training (commitment);
* stage 1's encoders stay frozen, so the untouched modality meets the codes it had in stage 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cmg.clips import training_split
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.errors import ConfigError, ModalityError, NonFiniteError
from cmg.evaluation.encoding import refuse_unknown
from cmg.evaluation.frozen import Progress, quiet
from cmg.evaluation.training import descend
from cmg.files import StrPath
from cmg.inference.readers import other_extractors
from cmg.masking import mean_over_steps, mean_over_time
from cmg.models.unified import UnifiedModel
from cmg.options import Options
from cmg.precision import full_precision
from cmg.process import seeded
from cmg.recipes.retrieval import (
    class_label,
    clips_to_search,
    lone_classes,
    read_alike,
    retrieval_of,
)
from cmg.retrieval.evaluate import Directions
from cmg.runs.checkpoint import load_model
from cmg.training.seeding import derived_seed
from cmg.types import Batch

VARIANTS = ("trained", "shuffled_pairs", "untrained")
"""Controls: stage 2 on wrong pairs; a new encoder that was never trained."""


class JoinOptions(Options):
    """How the new encoder is fitted.

    Attributes:
        epochs: Over the training clips that have both modalities.
        batch_size: Clips per step; the others of a batch are the negatives.
        lr: Of Adam, falling to zero along half a cosine.
        temperature: Of the cosines.
        commitment: Weight of the distance between features and codes.
    """

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(64, ge=2)
    lr: float = Field(2e-3, gt=0.0)
    temperature: float = Field(0.07, gt=0.0)
    commitment: float = Field(0.25, ge=0.0)


@dataclass(frozen=True)
class TwoStageResults:
    """What was found.

    Attributes:
        scores: By variant, for every run of stage 1 and every seed the scores by direction.
        pivot: The modality that the new one was fitted to.
        new: The new modality.
        about: Runs, data, split, options.
    """

    scores: dict[str, list[Directions]]
    pivot: str
    new: str
    about: dict[str, Any]

    def told(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        names = {"pivot": self.pivot, "new": self.new}
        return {"about": self.about | names, "scores": asdict(self)["scores"]}


def joined_model(stage1: UnifiedModel, source: Clips, new: str, seed: int) -> UnifiedModel:
    """Stage 1's model with a further modality, untrained; all else is a copy.

    Raises:
        ConfigError: a model without codes, or a tied codebook, which has none of the new modality.
        ModalityError: the model has the modality already, or the source lacks it.
    """
    stage1.codebook.need_codes("a modality that joins them")
    if stage1.second is not None:
        raise ConfigError(
            "a run with a second layer (model.second) cannot be joined, for what joins has one "
            "layer of content; use a run without"
        )
    if new in stage1.modalities:
        raise ModalityError(f"the run was pre-trained with {new!r}; the new modality is another")
    refuse_unknown(new, source.modalities, source.path)
    declared = source.modalities[new]
    known = next((m for m in stage1.modalities.values() if m.kind == declared.kind), None)
    if known is not None:
        declared = declared.model_copy(
            update={"token_hidden": known.token_hidden, "detail_width": known.detail_width}
        )
    names = [*stage1.modalities.values(), declared]
    model = UnifiedModel(names, stage1.options, seed=derived_seed(seed, "joined"))
    # How long codes have been idle is counted per modality, and only in training.
    kept = {n: x for n, x in stage1.state_dict().items() if not n.endswith(".idle")}
    own = model.state_dict()
    if any(own[name].shape != x.shape for name, x in kept.items()):
        raise ConfigError(
            f"a codebook of kind {stage1.codebook.kind} has codes of its own for every modality, "
            f"so {new!r} cannot join it; use a run of kind shared"
        )
    model.load_state_dict(own | kept)
    model.to(stage1.device, stage1.dtype)
    known_ones = {p for m in stage1.modalities for x in parts_of(model, m) for p in x.parameters()}
    trained = {p for part in parts_of(model, new) for p in part.parameters()} - known_ones
    for parameter in model.parameters():  # what modalities share stays as stage 1 left it
        parameter.requires_grad_(parameter in trained)
    return model.eval()


def parts_of(model: UnifiedModel, modality: str) -> list[nn.Module]:
    """What encodes one modality."""
    own: list[nn.Module] = [model.semantic[modality]]
    return [*own, model.tokens[modality]] if modality in model.tokens else own


def join(
    model: UnifiedModel,
    split: Clips,
    pivot: str,
    new: str,
    options: JoinOptions,
    seed: int,
    shuffled: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[float]:
    """Fit the encoder of a new modality to the frozen codes of the pivot, in place.

    Args:
        model: Of :func:`joined_model`.
        split: Training clips.
        pivot: A modality of stage 1.
        new: The new one.
        options: How.
        seed: Of the order and dropout.
        shuffled: The control with wrong pairs.
        progress: Told the epochs done.

    Returns:
        Mean loss of every epoch.

    Raises:
        DataError: fewer than two clips have both modalities.
        NonFiniteError: the loss is NaN or infinite.
    """
    both = (split.lengths(pivot) > 0) & (split.lengths(new) > 0)
    clips = split.only(both.nonzero()[:, 0].numpy())
    batches = Batches(clips, options.batch_size, [pivot, new], seed=seed, shuffled_pairs=shuffled)
    trained = [p for part in parts_of(model, new) for p in part.parameters()]
    optimizer = torch.optim.Adam(trained, lr=options.lr)
    steps, losses = options.epochs * len(batches), list[float]()

    def loss_of(epoch: int, index: int) -> Tensor:
        step = epoch * len(batches) + index
        for group in optimizer.param_groups:
            group["lr"] = options.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = batches.at(epoch, index).to(model.device, model.dtype)
        with seeded(derived_seed(seed, "join", step), model.device):
            loss = joining_loss(model, batch, pivot, new, options)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise NonFiniteError(f"the loss is {losses[-1]} at step {step + 1}")
        return loss

    for epoch in range(options.epochs):
        descend(optimizer, map(partial(loss_of, epoch), range(len(batches))))
        progress(epoch + 1, options.epochs)
    model.eval()
    return [sum(losses[i : i + len(batches)]) / len(batches) for i in range(0, steps, len(batches))]


@full_precision
def joining_loss(
    model: UnifiedModel, batch: Batch, pivot: str, new: str, options: JoinOptions
) -> Tensor:
    """InfoNCE between clip embeddings, and commitment.

    Args:
        model: Its new modality is in train mode during the call, all else in eval mode.
        batch: With both modalities.
        pivot: Frozen.
        new: Being fitted.
        options: Temperature and weight.
    """
    with torch.no_grad():
        known = model.semantics(batch)[pivot]
        codes = model.codebook.lookup({pivot: known}, batch.steps).codes[pivot]
        target = mean_over_time(codes, batch.steps.mask(pivot))
    for part in parts_of(model, new):
        part.train()
    z = model.represent(batch.only(new), detail=False).semantic[new]
    quantized = model.codebook.lookup({new: z}, batch.steps)
    mask = batch.steps.mask(new)
    own = mean_over_time(quantized.vectors[new], mask)
    cosines = functional.normalize(own, dim=1) @ functional.normalize(target, dim=1).T
    logits = cosines / options.temperature
    which = torch.arange(len(logits), device=logits.device)
    contrast = functional.cross_entropy(logits, which) + functional.cross_entropy(logits.T, which)
    apart = ((z - quantized.codes[new].detach()) ** 2).mean(2)
    return contrast / 2 + options.commitment * mean_over_steps(apart, mask)


def two_stage(
    runs: Sequence[StrPath],
    new: str,
    pivot: str,
    data: StrPath | None = None,
    split: str | None = None,
    options: JoinOptions | None = None,
    seeds: int = 3,
    variants: Sequence[str] = VARIANTS,
    device: torch.device | str = "cpu",
    progress: Progress = quiet,
) -> TwoStageResults:
    """Fit a new modality to finished runs and test it in every direction, with controls.

    Args:
        runs: Stage 1: run folders or checkpoints, of models that were trained alike.
        new: Name of the new modality.
        pivot: The modality it is fitted to.
        data: Store with all modalities; None is what the first run was trained on.
        split: To test on; None is the run's.
        options: Of stage 2.
        seeds: Fits per run and variant; no two have one seed.
        variants: Of :data:`VARIANTS`.
        device: Where to compute.
        progress: Told about fits.

    Raises:
        ConfigError: no seed, or runs that are not alike.
        ModalityError: unknown or known modalities.
        DataError: a split that is not there, or too few clips.
    """
    options = options or JoinOptions()
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    checkpoints = read_alike(runs)
    config = checkpoints[0].config.data
    source = clips_to_search(checkpoints[0], data)
    training = source.split(training_split(config))
    chosen = source.split(split or config.test_split)
    label = class_label(source, None)
    scores: dict[str, list[Directions]] = {variant: [] for variant in variants}
    for place, checkpoint in enumerate(checkpoints):
        stage1 = load_model(checkpoint.path, device)
        refuse_unknown(pivot, stage1.modalities, checkpoint.path)
        for variant, seed in product(variants, range(place * seeds, (place + 1) * seeds)):
            model = joined_model(stage1, source, new, seed)
            if variant != "untrained":
                wrong = variant == "shuffled_pairs"
                what = f"fit {new} to {pivot}, {variant.replace('_', ' ')}, seed {seed}"
                join(model, training, pivot, new, options, seed, wrong, partial(progress, what))
            found = retrieval_of(model, chosen, ["mean"], label)
            scores[variant] += found.scores["mean"]
    remarks = [remark for c in checkpoints for remark in other_extractors(c, source)]
    if label is not None:
        remarks += lone_classes(chosen, label, chosen.label(label))
    about = {
        "stage1": [str(c.path) for c in checkpoints],
        "stage1_modalities": [m.name for m in checkpoints[0].modalities],
        "data": str(source.path),
        "training_split": training.name,
        "split": chosen.name,
        "clips": len(chosen),
        "label": label,
        "options": options.model_dump(),
        "seeds": seeds,
        "remarks": list(dict.fromkeys(remarks)),
    }
    return TwoStageResults(scores, pivot, new, about)
