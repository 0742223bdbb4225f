"""What can be had without reading a clip, in percent."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cmg.evaluation.measure import Metrics, known, percent
from cmg.evaluation.metrics import f1_score, micro_scores, top1_accuracy


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
