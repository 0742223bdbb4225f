"""Metrics of frozen-codebook tasks, as pure functions (METHOD section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmg.evaluation.video_parsing import event_counts, segment_counts, video_f1
from cmg.precision import full_precision


@dataclass(frozen=True)
class MicroScores:
    """Precision and recall over all cells of a batch, as fractions.

    Attributes:
        precision: Of the predicted cells, the share that is true; 0 with no prediction.
        recall: Of the true cells, the share that was predicted; 0 with no prediction, NaN with
            predictions but no true cell (0 / 0, as published).
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean; 0 where both are 0, NaN where recall is."""
        return f1_score(self.precision, self.recall)


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean of precision and recall; 0 where both are 0 (the release divides by 0)."""
    total = precision + recall
    return 0.0 if total == 0.0 else 2.0 * precision * recall / total


def micro_scores(probabilities: Tensor, targets: Tensor, threshold: float = 0.5) -> MicroScores:
    """Micro precision and recall of multi-label predictions, background column included.

    Args:
        probabilities: After the sigmoid, [..., C].
        targets: 0 or 1, [..., C].
        threshold: A cell is predicted if its probability is strictly larger.

    Returns:
        Precision and recall over all cells.
    """
    predicted, true = probabilities > threshold, targets > 0
    positives, hits = int(predicted.sum()), int((predicted & true).sum())
    if positives == 0:
        return MicroScores(0.0, 0.0)
    relevant = int(true.sum())
    return MicroScores(hits / positives, hits / relevant if relevant else math.nan)


def top1_accuracy(scores: Tensor, classes: Tensor) -> float:
    """Share of clips whose largest score, of equal ones the first, is of their class, 0..1.

    Args:
        scores: [B, C].
        classes: int64 [B].
    """
    return int((scores.argmax(-1) == classes).sum()) / max(1, classes.numel())


def batch_averaged_scores(
    probabilities: Tensor, targets: Tensor, batch_size: int = 64
) -> MicroScores:
    """Micro precision and recall per batch, averaged with the batches' sizes as weights [as coded].

    So the figures depend on the batch size and on the order of the clips. The recall of a batch
    that is 0 / 0 counts as 0.

    Args:
        probabilities: After the sigmoid, [N, ...].
        targets: 0 or 1, [N, ...].
        batch_size: Clips per batch; 64 in the release, the last batch may be smaller.
    """
    precision = recall = 0.0
    for start in range(0, len(probabilities), batch_size):
        part = slice(start, start + batch_size)
        scores = micro_scores(probabilities[part], targets[part])
        weight = len(probabilities[part]) / len(probabilities)
        precision += weight * scores.precision
        recall += weight * (0.0 if math.isnan(scores.recall) else scores.recall)
    return MicroScores(precision, recall)


def batch_precision(scores: Tensor, classes: Tensor, batch_size: int = 256) -> float:
    """Mean precision of the classes that a batch's clips are taken for, 0..1 [as coded].

    Averaged with the batches' sizes as weights. It is no accuracy: a class that no clip is taken
    for costs nothing, and figures depend on the batch size and on the order of the clips.

    Args:
        scores: [N, C].
        classes: int64 [N].
        batch_size: Clips per batch; 256 in a successor's release, the last batch may be smaller.
    """
    total = 0.0
    for start in range(0, len(scores), batch_size):
        found, true = (x[start : start + batch_size] for x in (scores.argmax(-1), classes))
        taken = found.bincount(minlength=scores.shape[1])
        hits = found[found == true].bincount(minlength=scores.shape[1])
        some = taken > 0
        total += len(found) * float((hits[some].double() / taken[some]).mean())
    return total / max(1, len(scores))


@dataclass(frozen=True)
class MacroScores:
    """Means over the classes that occur in the truth, as fractions; 0 / 0 counts as 0.

    Attributes:
        precision: Mean of the classes' precisions.
        recall: Mean of the classes' recalls.
        f1: Mean of the classes' F1, which is not the F1 of the two means.
    """

    precision: float
    recall: float
    f1: float


def macro_scores(predicted: Tensor, true: Tensor) -> MacroScores:
    """Precision, recall and F1 per class, averaged over the classes that occur.

    Args:
        predicted: Bool [N, C]; one-hot where every sample has one class.
        true: Bool [N, C].
    """
    occurs = true.any(0)
    predicted, true = predicted[:, occurs], true[:, occurs]
    hits = (predicted & true).sum(0).double()
    precision = hits / predicted.sum(0).clamp_min(1)
    recall = hits / true.sum(0).clamp_min(1)
    f1 = 2.0 * precision * recall / (precision + recall).clamp_min(1e-300)
    if not bool(occurs.any()):
        return MacroScores(0.0, 0.0, 0.0)
    return MacroScores(*(float(x.mean()) for x in (precision, recall, f1)))


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of every ranking: the mean, over what is relevant, of precision there.

    Ties count against the ranking, as in recall at k and in the rank of a clip: among equal scores
    what is relevant comes last. Scores that are all equal so have the lowest value there is.

    Args:
        scores: [M, N], larger is better.
        relevant: Bool [M, N].

    Returns:
        Float64 [M], 0..1; NaN where nothing is relevant.
    """
    # Sort by relevance first, then stably by score.
    first = relevant.to(torch.int8).argsort(dim=1, stable=True)
    order = scores.gather(1, first).argsort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, first).gather(1, order).double()
    places = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    precision = hits.cumsum(1) / places
    return (precision * hits).sum(1) / hits.sum(1)


def mean_average_precision(scores: Tensor, relevant: Tensor) -> float:
    """Mean over the classes that occur of the average precision, one class against the rest.

    Args:
        scores: [N, C].
        relevant: Bool [N, C].

    Returns:
        0..1; 0 where no class occurs.
    """
    found = average_precision(scores.T, relevant.T)
    known = found[relevant.any(0)]
    return float(known.mean()) if len(known) else 0.0


READ_BATCH = 64
"""Clips per batch where figures are means over batches [as coded]."""
Metrics = dict[str, float]


@full_precision
def clip_metrics(logits: Tensor, classes: Tensor) -> Metrics:
    """Measures of clip classification.

    Args:
        logits: [N, C].
        classes: int64 [N].

    Returns:
        ``accuracy`` (top-1), ``macro_precision``, ``macro_recall``, ``macro_f1`` (means over the
        classes that occur) and ``map`` (mean average precision, one class against the rest).
    """
    count = logits.shape[1]
    true = F.one_hot(classes, count).bool()
    macro = macro_scores(F.one_hot(logits.argmax(1), count).bool(), true)
    # Probabilities of a confident head all round to 1 and would tie; their logarithms do not.
    certainty = logits.double().log_softmax(1)
    return percent(
        accuracy=top1_accuracy(logits, classes),
        **{f"macro_{name}": value for name, value in asdict(macro).items()},
        map=mean_average_precision(certainty, true),
    )


@full_precision
def step_metrics(logits: Tensor, targets: Tensor, batch_averaged: bool) -> Metrics:
    """Measures of localization.

    Args:
        logits: [N, T, C], the background last.
        targets: 0 or 1, [N, T, C]; -1 at steps that do not count.
        batch_averaged: Whether ``precision``, ``recall`` and ``f1`` are of means over batches
            [as coded] and not over all cells.

    Returns:
        ``precision``, ``recall``, ``f1`` (micro, background included), the same with
        ``foreground_`` (without the background) and ``macro_``, ``map``; and the two levels of
        :mod:`cmg.evaluation.video_parsing` of this modality, ``segment_f1`` and ``event_f1``,
        means over clips, without the background and from 0.5 on.
    """
    counts = (targets >= 0).all(-1)
    cells, truth = (
        x.masked_fill(~counts[..., None], value=False)[..., :-1].transpose(1, 2)
        for x in (logits.sigmoid() >= 0.5, targets > 0)
    )
    found, true = logits.sigmoid()[counts], targets[counts]
    micro = batched(logits, targets) if batch_averaged else micro_scores(found, true)
    foreground = micro_scores(found[:, :-1], true[:, :-1])
    macro = macro_scores(found > 0.5, true > 0)
    return percent(
        **_named("", micro),
        **_named("foreground_", foreground),
        **{f"macro_{name}": value for name, value in asdict(macro).items()},
        map=mean_average_precision(logits[counts], true > 0),  # sigmoids would round to 1
        segment_f1=float(video_f1(segment_counts(cells, truth)).mean()),
        event_f1=float(video_f1(event_counts(cells, truth)).mean()),
    )


@full_precision
def batched(logits: Tensor, targets: Tensor) -> MicroScores:
    """Precision and recall as means over batches of clips [as coded]."""
    counts = (targets >= 0).all(-1, keepdim=True)
    # A cell that does not count is neither predicted nor true.
    found = logits.sigmoid().masked_fill(~counts, 0.0)
    return batch_averaged_scores(found, targets.clamp_min(0.0), READ_BATCH)


@full_precision
def step_score(logits: Tensor, targets: Tensor, headline: str, batch_averaged: bool) -> float:
    """The measure that decides epochs, 0..1: ``precision`` or ``f1``."""
    if batch_averaged:
        micro = batched(logits, targets)
    else:
        counts = (targets >= 0).all(-1)
        micro = micro_scores(logits.sigmoid()[counts], targets[counts])
    return micro.precision if headline == "precision" else known(micro.f1)


def known(value: float) -> float:
    """The value, or 0 for 0 / 0."""
    return 0.0 if math.isnan(value) else value


def _named(prefix: str, scores: MicroScores) -> Metrics:
    precision, recall = scores.precision, known(scores.recall)
    return {
        f"{prefix}precision": precision,
        f"{prefix}recall": recall,
        f"{prefix}f1": f1_score(precision, recall),
    }


def percent(**fractions: float) -> Metrics:
    """Fractions as percentages."""
    return {name: 100.0 * value for name, value in fractions.items()}


@full_precision
def probabilities(logits: Tensor) -> Tensor:
    """float32 on the CPU: softmax over the classes of clips, sigmoid per class of steps."""
    found = logits.softmax(-1) if logits.dim() == 2 else logits.sigmoid()
    return found.to("cpu", torch.float32)


def chance(train: Tensor, test: Tensor, classes: int) -> Metrics:
    """Guessing: any class of a clip; of a step, every class as often as it is true in training.

    Args:
        train: Labels, int64 [N] or [N, T, C] with -1 at steps that do not count.
        test: Labels likewise.
        classes: C.

    Returns:
        Expected values: ``accuracy``, or ``precision``, ``recall`` and ``f1``.
    """
    if test.dim() == 1:
        return percent(accuracy=1.0 / classes)
    guessed, true = _counting(train).mean(0), _counting(test).mean(0)
    hits = float((guessed * true).sum())
    shares = (hits / max(float(cells.sum()), 1e-12) for cells in (guessed, true))
    return percent(**_named("", MicroScores(*shares)))


Guess = Callable[[Tensor, Tensor, int], Tensor]
"""Logits without a model: of training labels, test labels and the number of classes."""


def majority(train: Tensor, test: Tensor, classes: int) -> Tensor:
    """The most frequent training class everywhere.

    Args:
        train: Labels, int64 [N] or [N, T, C] with -1 at steps that do not count.
        test: Labels likewise, of which only the shape is read.
        classes: C.

    Returns:
        Logits, 1 and -1, [N, C] or [N, T, C].
    """
    if test.dim() == 1:
        commonest = torch.bincount(train, minlength=classes).argmax()
        return _sure(F.one_hot(commonest, classes)).expand(len(test), -1)
    return _sure(F.one_hot(_counting(train).sum(0).argmax(), classes)).expand(test.shape)


def background(train: Tensor, test: Tensor, classes: int) -> Tensor:
    """Nothing anywhere; labels of steps, as of :func:`majority`."""
    return _sure(F.one_hot(torch.tensor(classes - 1), classes)).to(test.device).expand(test.shape)


def every_second(train: Tensor, test: Tensor, classes: int) -> Tensor:
    """An oracle: the classes that a test clip truly has, in all of its steps.

    It knows what, and not when. Labels of steps, as of :func:`majority`.
    """
    there = (test > 0).any(1, keepdim=True).expand(test.shape).clone()
    there[..., -1] = ~there[..., :-1].any(-1)
    return _sure(there)


def _sure(chosen: Tensor) -> Tensor:
    """Logits that say yes, or no."""
    return 2.0 * chosen.float() - 1.0


def _counting(labels: Tensor) -> Tensor:
    """The steps that count, [S, C]."""
    return labels[(labels >= 0).all(-1)].double()
