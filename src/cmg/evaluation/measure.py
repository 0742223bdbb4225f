"""What is measured of a head's outputs, and what can be had without reading a clip, in percent."""

from __future__ import annotations

import math
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor

from cmg.evaluation.metrics import (
    MicroScores,
    batch_averaged_scores,
    f1_score,
    macro_scores,
    mean_average_precision,
    micro_scores,
    top1_accuracy,
)
from cmg.precision import full_precision

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
        ``foreground_`` (without the background) and ``macro_``, and ``map``.
    """
    counts = (targets >= 0).all(-1)
    found, true = logits.sigmoid()[counts], targets[counts]
    micro = batched(logits, targets) if batch_averaged else micro_scores(found, true)
    foreground = micro_scores(found[:, :-1], true[:, :-1])
    macro = macro_scores(found > 0.5, true > 0)
    return percent(
        **_named("", micro),
        **_named("foreground_", foreground),
        **{f"macro_{name}": value for name, value in asdict(macro).items()},
        map=mean_average_precision(logits[counts], true > 0),  # sigmoids would round to 1
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
    precision = hits / max(float(guessed.sum()), 1e-12)
    recall = hits / max(float(true.sum()), 1e-12)
    return percent(precision=precision, recall=recall, f1=f1_score(precision, recall))


def majority(train: Tensor, test: Tensor, classes: int) -> Metrics:
    """The most frequent training class everywhere; arguments and keys of :func:`chance`."""
    if test.dim() == 1:
        commonest = torch.bincount(train, minlength=classes).argmax()
        always = F.one_hot(commonest, classes).float().expand(len(test), -1)
        return percent(accuracy=top1_accuracy(always, test))
    true = _counting(test)
    commonest = _counting(train).sum(0).argmax()
    scores = micro_scores(F.one_hot(commonest, classes).expand_as(true), true)
    recall = known(scores.recall)
    f1 = f1_score(scores.precision, recall)
    return percent(precision=scores.precision, recall=recall, f1=f1)


def _counting(labels: Tensor) -> Tensor:
    """The steps that count, [S, C]."""
    return labels[(labels >= 0).all(-1)].double()
