"""Metrics of the benchmarks against slow counting."""

from __future__ import annotations

import math

import pytest
import torch

from cmg.evaluation.metrics import (
    average_precision,
    batch_averaged_scores,
    macro_scores,
    mean_average_precision,
    micro_scores,
)


def slow_average_precision(scores, relevant):
    """Every threshold on its own: precision and recall of what is at or above it."""
    total, before, area = sum(relevant), 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [r for s, r in zip(scores, relevant, strict=True) if s >= threshold]
        precision, recall = sum(chosen) / len(chosen), sum(chosen) / total
        area += (recall - before) * precision
        before = recall
    return area


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_counts_every_threshold(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 2 + seed, (30,), generator=generator).float()  # with many ties
    relevant = torch.rand(30, generator=generator) > 0.6
    wanted = slow_average_precision(scores.tolist(), relevant.tolist())
    assert average_precision(scores, relevant) == pytest.approx(wanted, abs=1e-12)


def test_average_precision_by_hand():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    found = average_precision(scores, torch.tensor([True, False, True, False]))
    assert found == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)
    # One threshold for all: its precision, whatever the order.
    assert average_precision(torch.ones(4), torch.tensor([False, True, False, False])) == 0.25
    assert math.isnan(average_precision(scores, torch.zeros(4, dtype=torch.bool)))


def test_mean_average_precision_leaves_out_classes_that_do_not_occur():
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.4], [0.6, 0.3, 0.1]])
    relevant = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]).bool()
    wanted = (1.0 + slow_average_precision([0.1, 0.8, 0.3], [0, 1, 1])) / 2
    assert mean_average_precision(scores, relevant) == pytest.approx(wanted)
    assert mean_average_precision(scores, torch.zeros(3, 3).bool()) == 0.0


def test_macro_scores_by_hand():
    # Class 0: 1 hit, 2 predicted, 1 true. Class 1: nothing predicted, 2 true. Class 2: absent.
    predicted = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 1]]).bool()
    true = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]).bool()
    found = macro_scores(predicted, true)
    assert found.precision == pytest.approx((0.5 + 0) / 2)
    assert found.recall == pytest.approx((1 + 0) / 2)
    assert found.f1 == pytest.approx((2 / 3 + 0) / 2)
    nothing = macro_scores(predicted, torch.zeros_like(true))
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)


def test_batch_averages_weigh_batches_by_size():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(10, 3, 4, generator=generator)
    targets = (torch.rand(10, 3, 4, generator=generator) > 0.7).float()
    found = batch_averaged_scores(probabilities, targets, 4)
    parts = [slice(0, 4), slice(4, 8), slice(8, 10)]
    each = [micro_scores(probabilities[p], targets[p]) for p in parts]
    weights = [0.4, 0.4, 0.2]
    wanted = sum(w * s.precision for w, s in zip(weights, each, strict=True))
    assert found.precision == pytest.approx(wanted)
    assert found.recall == pytest.approx(
        sum(w * s.recall for w, s in zip(weights, each, strict=True))
    )
    whole = micro_scores(probabilities, targets)
    assert found.precision != pytest.approx(whole.precision)
    assert batch_averaged_scores(probabilities, targets, 64) == whole


def test_a_batch_without_targets_has_recall_zero_in_the_average():
    probabilities = torch.full((4, 2), 0.9)
    targets = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert math.isnan(micro_scores(probabilities[2:], targets[2:]).recall)
    found = batch_averaged_scores(probabilities, targets, 2)
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert found.f1 == 0.5
    nothing = batch_averaged_scores(torch.zeros(4, 2), targets, 2)
    assert nothing.f1 == 0.0
