"""Heads that are trained together are the heads that are trained one by one, or by plain torch."""

from __future__ import annotations

import pytest
import torch

from cmg.data.batches import permutation
from cmg.evaluation.features import CodeFeatures, VectorFeatures
from cmg.evaluation.stack import exp_log_loss
from cmg.evaluation.training import HeadJob, HeadOptions, Watch, train_heads

CLIPS, STEPS, CODES, WIDTH, CLASSES = 37, 6, 20, 8, 5
OPTIONS = HeadOptions(epochs=9, batch_size=16, lr=0.02, milestones=(3, 6), clip=0.3)


def table(dtype=torch.float64):
    return torch.randn(CODES, WIDTH, dtype=dtype, generator=torch.Generator().manual_seed(0))


def accuracy(labels):
    return lambda logits: float((logits.argmax(1) == labels).double().mean())


def job(seed, per="clip", ragged=False, kind="codes", data=0, dtype=torch.float64, keep="best"):
    generator = torch.Generator().manual_seed(100 + data)
    codes = torch.randint(0, CODES, (CLIPS, STEPS), generator=generator)
    if ragged:
        codes[::3, 4:] = -1
    labels = torch.randint(0, CLASSES, (CLIPS,), generator=generator)
    score = accuracy(labels)
    if per == "step":
        labels = (torch.rand(CLIPS, STEPS, CLASSES, generator=generator) > 0.6).float()
        if ragged:
            labels[5] = -1.0
        score = lambda logits: -float(logits.square().mean())  # noqa: E731
    features = CodeFeatures(table(dtype), codes)
    if kind == "vectors":
        features = VectorFeatures(table(dtype)[codes.clamp_min(0)], codes >= 0)
    return HeadJob(seed, features, labels, CLASSES, {"own": Watch(features, score, keep)})


def naive(one: HeadJob, options: HeadOptions, dtype=torch.float64):
    """The release's loop with torch's own parts: a module, Adam, clip_grad_norm_, MultiStepLR."""
    head = one.new_head(dtype)
    by_step = one.labels.dim() > 1
    alpha = torch.full((CLASSES,), options.alpha, dtype=dtype, requires_grad=True)
    parameters = [*head.parameters(), *([alpha] if by_step else [])]
    adam = torch.optim.Adam(parameters, lr=options.lr)
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        adam, list(options.milestones), gamma=options.decay
    )
    features = one.features
    x = features.table[features.codes.clamp_min(0)].to(dtype)
    mask = features.mask
    for epoch in range(options.first_epoch, options.epochs):
        order = torch.from_numpy(permutation(CLIPS, one.seed, epoch))
        for start in range(0, CLIPS, options.batch_size):
            some = order[start : start + options.batch_size]
            logits = head(x[some], mask[some])
            if by_step:
                counts = mask[some] & (one.labels[some] >= 0).all(-1)
                y = one.labels[some][counts].to(dtype)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[counts], y)
                loss = loss + exp_log_loss(logits[counts], y, alpha)
            else:
                loss = torch.nn.functional.cross_entropy(logits, one.labels[some])
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), options.clip)
            if options.clip_alpha and by_step:
                torch.nn.utils.clip_grad_norm_([alpha], options.clip)
            adam.step()
        schedule.step()
    return head


def last(**given):
    return job(keep="last", **given)


@pytest.mark.parametrize("per", ["clip", "step"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("clip_alpha", [False, True])
def test_a_stack_trains_what_plain_torch_trains(per, ragged, clip_alpha):
    options = OPTIONS.model_copy(update={"clip_alpha": clip_alpha})
    jobs = [last(seed=s, per=per, ragged=ragged, data=s % 2) for s in range(3)]
    found = train_heads(jobs, options, torch.float64)
    for one, kept in zip(jobs, found, strict=True):
        wanted = naive(one, options)
        for mine, theirs in zip(kept["own"].head.weights, wanted.parameters(), strict=True):
            torch.testing.assert_close(mine[0], theirs.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("per", ["clip", "step"])
@pytest.mark.parametrize("kind", ["codes", "vectors"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_together_is_the_same_as_alone(per, kind, dtype, close):
    options = OPTIONS.model_copy(update={"lr": 4e-4})
    jobs = [last(seed=s, per=per, kind=kind, data=s, dtype=dtype) for s in range(4)]
    together = train_heads(jobs, options, dtype)
    for one, kept in zip(jobs, together, strict=True):
        (alone,) = train_heads([one], options, dtype)
        for mine, theirs in zip(kept["own"].head.weights, alone["own"].head.weights, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=close)


def test_jobs_of_different_shapes_keep_their_order():
    jobs = [job(0), job(1, per="step"), job(2), job(3, kind="vectors")]
    found = train_heads(jobs, OPTIONS, torch.float64)
    assert [kept["own"].head.pools for kept in found] == [True, False, True, True]
    for one, kept in zip(jobs, found, strict=True):
        (alone,) = train_heads([one], OPTIONS, torch.float64)
        assert kept["own"].epoch == alone["own"].epoch


def test_the_kept_head_is_the_first_best_or_the_last():
    scores = iter([1.0, 3.0, 3.0, 2.0])
    one = job(0)
    watch = Watch(one.features, lambda logits: next(scores))
    options = OPTIONS.model_copy(update={"epochs": 4})
    (kept,) = train_heads([HeadJob(0, one.features, one.labels, CLASSES, {"a": watch})], options)
    assert kept["a"].epoch == 1
    assert kept["a"].scores == {0: 1.0, 1: 3.0, 2: 3.0, 3: 2.0}
    (ended,) = train_heads([last(seed=0)], options)
    assert ended["own"].epoch == 3


def test_a_late_checkpoint_trains_fewer_epochs_with_the_schedule_from_its_start():
    options = OPTIONS.model_copy(update={"first_epoch": 4})
    (kept,) = train_heads([last(seed=0)], options, torch.float64)
    assert list(kept["own"].scores) == [4, 5, 6, 7, 8]
    wanted = naive(job(0), options)
    torch.testing.assert_close(
        kept["own"].head.hidden[0], wanted.linear.weight.detach(), rtol=0, atol=1e-12
    )


def test_few_clips_get_more_epochs_and_later_milestones():
    options = HeadOptions(epochs=30, least_steps=1260)
    assert options.stretched(3339) is options  # AVE: 42 batches, 30 epochs
    few = options.stretched(400)  # 150 steps, so nine times as many
    assert (few.epochs, few.milestones) == (270, (90, 180, 270))
    late = options.model_copy(update={"first_epoch": 28}).stretched(3339)
    assert late.epochs == 28 + 15 * 2
    (kept,) = train_heads([last(seed=0)], OPTIONS.model_copy(update={"least_steps": 50}))
    assert len(kept["own"].scores) == 18  # 9 epochs of 3 batches make 27


def test_progress_counts_the_epochs_of_all_groups():
    told = []
    options = OPTIONS.model_copy(update={"epochs": 2})
    train_heads([job(0), job(1, per="step")], options, progress=lambda *x: told.append(x))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_heads_learn():
    (kept,) = train_heads([job(0)], OPTIONS.model_copy(update={"epochs": 80, "milestones": ()}))
    assert kept["own"].scores[kept["own"].epoch] > 0.85
