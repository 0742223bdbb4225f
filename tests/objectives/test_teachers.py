"""Contrasts with teachers: against loops, with clips that are missing, and what the queue holds."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from cmg.codebook import ProductCodebook, ProductOptions
from cmg.errors import ConfigError, DataError
from cmg.objectives import (
    Assignment,
    AssignmentOptions,
    TeacherInfoNCE,
    TeacherInfoNCEOptions,
    assignment_loss,
    sinkhorn,
)
from cmg.objectives.base import View
from cmg.types import Encoded, Quantized


def unit(x):
    return x / math.sqrt(float(x @ x))


def slow_units(features, lengths):
    """By modality a vector per clip, None of clips that lack it."""
    return {
        m: [
            unit(x[i, :n].mean(0).numpy()) if n else None for i, n in enumerate(lengths[m].tolist())
        ]
        for m, x in features.items()
    }


def slow_sinkhorn(score, iterations):
    q = np.exp(np.array(score, dtype=np.float64))
    clips, codes = q.shape
    for _ in range(iterations):
        for k in range(codes):
            q[:, k] *= clips / codes / q[:, k].sum()
        for i in range(clips):
            q[i] /= q[i].sum()
    return q


def slow_assignment(f, g, codes, options):
    rows = [unit(c) for c in codes.numpy()]
    total = 0.0
    for a, b in combinations(f, 2):
        both = [i for i in range(len(f[a])) if f[a][i] is not None and f[b][i] is not None]
        if len(both) < 2:
            continue
        for s, t in ((a, b), (b, a)):
            q = slow_sinkhorn(
                [[g[t][i] @ c / options.teacher_temperature for c in rows] for i in both],
                options.iterations,
            )
            for wanted, i in zip(q, both, strict=True):
                x = [f[s][i] @ c / options.temperature for c in rows]
                norm = math.log(sum(math.exp(v) for v in x))
                total -= (
                    0.5 * sum(w * (v - norm) for w, v in zip(wanted, x, strict=True)) / len(both)
                )
    return total


def slow_nce(f, g, rows, queue, temperature):
    total = 0.0
    for i in rows:
        scores = [f[i] @ g[j] / temperature for j in rows] + [f[i] @ q / temperature for q in queue]
        total += math.log(sum(math.exp(x) for x in scores)) - f[i] @ g[i] / temperature
    return total / len(rows)


def slow_teacher_info_nce(f, g, queues, temperature, self_weight):
    total = 0.0
    for a, b in combinations(f, 2):
        both = [i for i in range(len(f[a])) if f[a][i] is not None and f[b][i] is not None]
        if len(both) > 1:
            for s, t in ((a, b), (b, a)):
                total += 0.5 * slow_nce(f[s], g[t], both, queues[t], temperature)
    for m in f:
        own = [i for i in range(len(f[m])) if f[m][i] is not None]
        if len(own) > 1:
            total += self_weight * slow_nce(f[m], g[m], own, queues[m], temperature)
    return total


@pytest.fixture
def batch(features, ragged, poisoned, steps_of):
    """Students, teachers, lengths and steps; what stands in the padding must not matter."""

    def make(modalities, seed, clips=5):
        shape = (clips, 4, 3)
        own, taught = (features(modalities, shape, seed=seed + s) for s in (0, 100))
        lengths = ragged(modalities, clips, 4, seed)
        spoilt = [poisoned(x, lengths, 1e3) for x in (own, taught)]
        told = [slow_units(x, lengths) for x in (own, taught)]
        return *spoilt, steps_of(own, lengths), *told

    return make


def view_of(own, taught, steps, quantizer=None):
    return View(
        Encoded({}, own, {}, {}, steps, taught), Quantized({}, {}, {}, {}, steps), {}, quantizer
    )


@pytest.mark.parametrize("shape", [(6, 4), (3, 8), (5, 5)])
def test_sinkhorn_is_loops_and_spreads_evenly(shape):
    score = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sinkhorn(score, 3)
    np.testing.assert_allclose(found.numpy(), slow_sinkhorn(score.numpy(), 3), rtol=1e-12)
    torch.testing.assert_close(found.sum(1), torch.ones(shape[0], dtype=torch.float64))
    even = torch.full((shape[1],), shape[0] / shape[1], dtype=torch.float64)
    torch.testing.assert_close(sinkhorn(score, 200).sum(0), even)


def test_sinkhorn_stays_finite_where_scores_are_far_apart():
    assert bool(sinkhorn(torch.tensor([[2000.0, 0.0], [0.0, -2000.0]]), 3).isfinite().all())


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_assignment_is_loops(batch, modalities):
    codes = torch.randn(7, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    options = AssignmentOptions(temperature=0.3, teacher_temperature=0.2, iterations=2)
    for seed in range(4):
        own, taught, steps, f, g = batch(modalities, seed)
        found = assignment_loss(own, taught, dict.fromkeys(own, codes), steps, options)
        expected = slow_assignment(f, g, codes, options)
        assert (0.0 if found is None else found.item()) == pytest.approx(expected, rel=1e-9)


def test_students_and_centers_learn_from_it_and_teachers_do_not(batch):
    own, taught, steps, *_ = batch(2, 0)
    centers = torch.randn(7, 3, dtype=torch.float64).requires_grad_()
    for x in (*own.values(), *taught.values()):
        x.requires_grad_()
    assignment_loss(own, taught, dict.fromkeys(own, centers), steps).backward()
    assert centers.grad.abs().sum(1).min() > 0
    assert all(x.grad.abs().max() > 0 for x in own.values())
    assert all(x.grad is None for x in taught.values())


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_info_nce_with_teachers_is_loops_and_the_queue_is_the_latest_clips(batch, modalities):
    """Seven places: batches of up to five clips wrap around it, each modality at its own pace."""
    names = ("audio", "video", "text", "eeg")[:modalities]
    options = TeacherInfoNCEOptions(temperature=0.4, queue=7, self_weight=0.2)
    term = TeacherInfoNCE(options, names, 3).double()
    queues = {m: [] for m in names}
    for seed in range(5):
        own, taught, steps, f, g = batch(modalities, seed)
        found = term.term(view_of(own, taught, steps), None)
        expected = slow_teacher_info_nce(f, g, queues, 0.4, 0.2)
        assert (0.0 if found is None else found.item()) == pytest.approx(expected, rel=1e-9)
        term.follow(view_of(own, taught, steps))
        for m in names:
            queues[m] = [*queues[m], *(x for x in g[m] if x is not None)][-7:]
    assert term.written.max() > 14


def test_a_batch_larger_than_the_queue_leaves_its_last_clips(batch):
    own, taught, steps, _, g = batch(2, 0, clips=9)
    term = TeacherInfoNCE(TeacherInfoNCEOptions(queue=3), tuple(own), 3).double()
    term.follow(view_of(own, taught, steps))
    kept = sorted(term.queue[0].tolist())
    last = sorted(x.tolist() for x in [y for y in g["audio"] if y is not None][-3:])
    np.testing.assert_allclose(kept, last, rtol=1e-12)


def test_without_a_queue_and_own_teachers_it_is_info_nce_of_two_networks(batch):
    own, taught, steps, f, g = batch(2, 3)
    options = TeacherInfoNCEOptions(queue=0, self_weight=0.0)
    term = TeacherInfoNCE(options, tuple(own), 3).double()
    term.follow(view_of(own, taught, steps))
    none = {m: [] for m in own}
    expected = slow_teacher_info_nce(f, g, none, 0.07, 0.0)
    assert term(own, taught, steps).item() == pytest.approx(expected, rel=1e-9)


def test_teachers_have_no_gradient_from_the_queue_and_padding_has_none(batch):
    own, taught, steps, *_ = batch(2, 3)
    term = TeacherInfoNCE(TeacherInfoNCEOptions(queue=4), tuple(own), 3).double()
    term.follow(view_of(own, taught, steps))
    own = {m: x.requires_grad_() for m, x in own.items()}
    term(own, taught, steps).backward()
    for m, x in own.items():
        there = steps.mask(m)
        assert x.grad[~there].abs().max() == 0 < x.grad[there].abs().max()
    assert not term.queue.requires_grad


def test_a_single_clip_is_refused(features):
    own, taught = (features(2, (1, 4, 3), seed=s) for s in (0, 1))
    with pytest.raises(DataError, match="one clip; give at least two"):
        TeacherInfoNCE(None, tuple(own), 3)(own, taught)
    with pytest.raises(DataError, match="one clip; give at least two"):
        assignment_loss(own, taught, dict.fromkeys(own, torch.ones(2, 3).double()))


def test_levels_of_codes_are_no_clusters(batch):
    own, taught, steps, *_ = batch(2, 0)
    book = ProductCodebook(list(own), 3, ProductOptions(size=4, groups=3))
    with pytest.raises(ConfigError, match=r"3 levels.*objectives\.assignment needs one code"):
        Assignment().term(view_of(own, taught, steps, book), None)
