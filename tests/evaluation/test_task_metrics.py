"""Metrics of the benchmarks against slow counting."""

import math

import pytest
import torch

from cmg.evaluation.metrics import (
    average_precision,
    background,
    batch_averaged_scores,
    batch_precision,
    clip_metrics,
    every_second,
    macro_scores,
    majority,
    mean_average_precision,
    micro_scores,
    step_metrics,
)
from cmg.retrieval.evaluate import query_figures, scores_of


def slow_average_precision(scores, relevant):
    """The worst order among ties, then precision at every hit."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], relevant[j]))
    hits, total = 0, 0.0
    for place, j in enumerate(order, 1):
        if relevant[j]:
            hits += 1
            total += hits / place
    return total / hits


@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_average_precision_against_loops_with_ties(levels):
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(0, levels, (20, 30), generator=generator).float()
    relevant = torch.rand(20, 30, generator=generator) > 0.7
    each = zip(scores.tolist(), relevant.tolist(), strict=True)
    wanted = torch.tensor([slow_average_precision(s, r) for s, r in each], dtype=torch.float64)
    torch.testing.assert_close(average_precision(scores, relevant), wanted, rtol=0, atol=1e-12)
    shuffled = torch.randperm(30, generator=generator)
    again = average_precision(scores[:, shuffled], relevant[:, shuffled])
    torch.testing.assert_close(again, wanted, rtol=0, atol=1e-12)  # no order of the clips matters


@pytest.mark.parametrize(
    ("scores", "relevant", "wanted"),
    [
        ([4, 3, 2, 1], [1, 0, 1, 0], (1 + 2 / 3) / 2),
        ([7, 7, 7, 7], [0, 1, 0, 0], 1 / 4),  # all alike: last of four
        ([7, 7, 7, 7], [1, 1, 0, 0], (1 / 3 + 2 / 4) / 2),
        ([9, 5, 5, 1], [1, 1, 0, 1], (1 + 2 / 3 + 3 / 4) / 3),
        (
            [9, 5, 5, 1],
            [0, 1, 1, 0],
            (1 / 2 + 2 / 3) / 2,
        ),  # ties of hits cost nothing
        ([1, 2], [0, 0], math.nan),
    ],
)
def test_average_precision_by_hand(scores, relevant, wanted):
    found = average_precision(torch.tensor([scores]), torch.tensor([relevant]).bool())
    assert found.tolist() == pytest.approx([wanted], nan_ok=True)


def test_mean_average_precision_leaves_out_classes_that_do_not_occur():
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.4], [0.6, 0.3, 0.1]])
    relevant = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]).bool()
    wanted = (1.0 + slow_average_precision([0.1, 0.8, 0.3], [0, 1, 1])) / 2
    assert mean_average_precision(scores, relevant) == pytest.approx(wanted)
    assert mean_average_precision(scores, torch.zeros(3, 3).bool()) == 0.0


def test_ties_are_one_rule_for_retrieval_and_for_classes():
    scores = torch.randint(0, 3, (12, 12), generator=torch.Generator().manual_seed(0)).float()
    classes = torch.arange(12) % 4
    found = scores_of(
        query_figures(scores, torch.arange(len(scores)), classes, classes), scores.shape[1]
    )
    relevant = (classes[:, None] == classes).T
    assert found.map == pytest.approx(100 * mean_average_precision(scores.T, relevant))


def test_confident_heads_do_not_tie():
    # Float32 says 1.0 of all four, and 0.0; the surest of class 0 is the one that is wrong.
    logits = torch.tensor([[30.0, 0.0], [25.0, 0.0], [40.0, 0.0], [0.0, 30.0]])
    classes = torch.tensor([0, 0, 1, 1])
    assert clip_metrics(logits, classes)["map"] == pytest.approx(
        100 * ((1 / 2 + 2 / 3) / 2 + (1 + 2 / 4) / 2) / 2
    )
    targets = torch.tensor([[0, 1, 0], [0, 1, 0], [1, 0, 0]])[None]
    steps = torch.tensor([[20.0, 30.0, -9.0], [20.0, 25.0, -9.0], [40.0, 20.0, -9.0]])[None]
    assert step_metrics(steps, targets, False)["map"] == pytest.approx(100.0)


def test_answers_without_a_model_by_hand():
    train = torch.tensor([[[1, 0, 0], [1, 0, 0]], [[0, 0, 1], [-1, -1, -1]]])
    test = torch.tensor([[[0, 1, 0], [0, 0, 1]], [[0, 0, 1], [-1, -1, -1]]])
    assert (majority(train, test, 3) > 0).int().tolist() == [[[1, 0, 0]] * 2] * 2
    assert (background(train, test, 3) > 0).int().tolist() == [[[0, 0, 1]] * 2] * 2
    assert (every_second(train, test, 3) > 0).int().tolist() == [[[0, 1, 0]] * 2, [[0, 0, 1]] * 2]
    found = step_metrics(every_second(train, test, 3), test, False)
    assert found["precision"] == pytest.approx(100 * 2 / 3)  # one second too many
    assert found["segment_f1"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert found["event_f1"] == pytest.approx(100.0)  # one second of two is a match
    nothing = step_metrics(background(train, test, 3), test, False)
    assert (nothing["segment_f1"], nothing["foreground_f1"]) == (50.0, 0.0)
    of_clips = majority(torch.tensor([2, 2, 0]), torch.tensor([2, 1]), 3)
    assert clip_metrics(of_clips, torch.tensor([2, 1]))["accuracy"] == 50.0


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


@pytest.mark.parametrize(("clips", "batch_size"), [(40, 256), (40, 7), (1, 3), (0, 4)])
def test_batch_precision_against_counting(clips, batch_size):
    """Classes that nothing is taken for have no say, whether or not they occur."""
    generator = torch.Generator().manual_seed(clips + batch_size)
    scores = torch.rand(clips, 6, generator=generator)
    scores[:, 4] = 0.0  # never predicted
    classes = torch.randint(0, 6, (clips,), generator=generator)
    found, total = scores.argmax(1).tolist(), 0.0
    for start in range(0, clips, batch_size):
        part = range(start, min(clips, start + batch_size))
        shares = []
        for c in {found[i] for i in part}:
            taken = [i for i in part if found[i] == c]
            shares.append(sum(int(classes[i]) == c for i in taken) / len(taken))
        total += len(part) * sum(shares) / len(shares)
    wanted = total / clips if clips else 0.0
    assert batch_precision(scores, classes, batch_size) == pytest.approx(wanted)
