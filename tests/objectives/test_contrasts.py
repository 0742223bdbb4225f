"""Contrasts with a margin and by sigmoids: by hand, against loops, with clips that are missing."""

import math
from itertools import combinations

import pytest
import torch

from cmg.errors import DataError
from cmg.objectives import (
    ClipMargin,
    ClipMarginOptions,
    ClipSigmoid,
    ClipSigmoidOptions,
    clip_margin,
    clip_sigmoid,
    margin_loss,
)
from cmg.types import Steps


def slow_means(features, lengths, m):
    return [
        None if n == 0 else features[m][i, :n].mean(0).numpy()
        for i, n in enumerate(lengths[m].tolist())
    ]


def slow_margin(score, alpha, margin):
    """One row and one column at a time."""
    n, total = len(score), 0.0
    for rows in (score, [list(column) for column in zip(*score, strict=True)]):
        for i in range(n):
            others = [rows[i][j] for j in range(n) if j != i]
            taken = alpha * (rows[i][i] - sum(others) / (n - 1)) if margin is None else margin
            won = math.exp(rows[i][i] - taken)
            total -= math.log(won / (won + sum(math.exp(x) for x in others))) / n
    return total


def slow_sigmoid(score, temperature, bias):
    n, total = len(score), 0.0
    for i in range(n):
        for j in range(n):
            sign = 1.0 if i == j else -1.0
            total += math.log1p(math.exp(-sign * (score[i][j] / temperature + bias))) / n
    return total


def slow(features, lengths, loss, cosine):
    total = 0.0
    for a, b in combinations(features, 2):
        means = [slow_means(features, lengths, m) for m in (a, b)]
        both = [i for i in range(len(means[0])) if all(x[i] is not None for x in means)]
        if len(both) < 2:
            continue
        x, y = ([m[i] for i in both] for m in means)
        if cosine:
            x, y = ([v / math.sqrt(v @ v) for v in m] for m in (x, y))
        total += loss([[float(u @ v) for v in y] for u in x])
    return total


LOSSES = {
    "adaptive": (clip_margin, lambda x: slow_margin(x, 0.5, None), False),
    "wide": (
        lambda z, s: clip_margin(z, s, ClipMarginOptions(alpha=0.9)),
        lambda x: slow_margin(x, 0.9, None),
        False,
    ),
    "fixed": (
        lambda z, s: clip_margin(z, s, ClipMarginOptions(margin=0.3)),
        lambda x: slow_margin(x, 0.5, 0.3),
        False,
    ),
    "sigmoid": (
        lambda z, s: clip_sigmoid(z, s, 0.2, -3.0),
        lambda x: slow_sigmoid(x, 0.2, -3.0),
        True,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_against_loops_where_clips_and_steps_are_missing(
    features, ragged, poisoned, steps_of, name, modalities
):
    fast, one_pair, cosine = LOSSES[name]
    for seed in range(4):
        z = features(modalities, seed=seed)
        lengths = ragged(modalities, 5, 4, seed)
        expected = slow(z, lengths, one_pair, cosine)
        found = fast(poisoned(z, lengths, 1e3), steps_of(z, lengths))
        assert (0.0 if found is None else found.item()) == pytest.approx(expected, rel=1e-9)
        whole = {m: torch.full((5,), 4) for m in z}
        assert fast(z, None).item() == pytest.approx(slow(z, whole, one_pair, cosine), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_gets_no_gradient_and_order_does_not_matter(features, steps_of, name):
    fast = LOSSES[name][0]
    z = {m: x.requires_grad_() for m, x in features(2).items()}
    lengths = {"audio": torch.tensor([4, 3, 2, 1, 0]), "video": torch.tensor([1, 4, 4, 4, 4])}
    steps = steps_of(z, lengths)
    loss = fast(z, steps)
    loss.backward()
    for m, x in z.items():
        missing = torch.arange(4) >= lengths[m][:, None]
        missing[4] = True  # the other modality lacks that clip
        assert x.grad[missing].abs().max() == 0
        assert x.grad[~missing].abs().sum() > 0
    assert fast(dict(reversed(z.items())), steps).item() == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_what_there_is_nothing_to_tell_from(features, steps_of, name):
    fast = LOSSES[name][0]
    with pytest.raises(DataError, match="one clip; give at least two"):
        fast(features(2, (1, 4, 3)), None)
    z = features(2, (3, 2, 3))
    apart = {"audio": torch.tensor([2, 0, 2]), "video": torch.tensor([2, 2, 0])}
    assert fast(z, steps_of(z, apart)) is None


def test_the_margin_by_hand():
    """Rows (2, 0) and (1, 3): the pairs lead by 2 and 2, the columns by 1 and 3."""
    score = torch.tensor([[2.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    rows = [(1.0, 0.0), (2.0, 1.0)]  # won, lost: half of the lead is taken off
    columns = [(1.5, 1.0), (1.5, 0.0)]
    expected = sum(math.log1p(math.exp(lost - won)) / 2 for won, lost in rows + columns)
    assert margin_loss(score).item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_flows_through_the_margin_unless_it_is_detached(features):
    """With alpha 1 the pair's own score has no say, as the paper has it."""
    score = features(1, (4, 4))["audio"].requires_grad_()
    margin_loss(score, ClipMarginOptions(alpha=1.0)).backward()
    assert score.grad.diagonal().abs().max() < 1e-15
    score.grad = None
    margin_loss(score, ClipMarginOptions(alpha=1.0, detach_margin=True)).backward()
    assert score.grad.diagonal().abs().min() > 1e-3


def test_distributions_are_rooted_and_of_length_1(features):
    p = {m: x.softmax(-1) for m, x in features(2).items()}
    rooted = {m: ((x.mean(1) + 1e-8).sqrt()) for m, x in p.items()}
    roots = {m: x / x.norm(dim=-1, keepdim=True) for m, x in rooted.items()}
    assert clip_margin(p, probabilities=True).item() == pytest.approx(clip_margin(roots).item())
    assert clip_sigmoid(p, probabilities=True).item() == pytest.approx(clip_sigmoid(roots).item())


def test_temperature_and_bias_are_learned_from_where_they_begin(features):
    term = ClipSigmoid(ClipSigmoidOptions(temperature=0.2, bias=-2.0)).double()
    z = features(3)
    loss = term.contrast(z, None)
    assert loss.item() == pytest.approx(clip_sigmoid(z, None, 0.2, -2.0).item(), rel=1e-6)
    loss.backward()
    assert {n for n, p in term.named_parameters() if p.grad.abs() > 0} == {"sharpness", "bias"}
    fixed = ClipSigmoid(ClipSigmoidOptions(learned=False, bias=-2.0))
    assert list(fixed.parameters()) == []
    assert fixed.contrast(z, None) == clip_sigmoid(z, None, 0.1, -2.0)


@pytest.mark.parametrize("term", [ClipMargin, ClipSigmoid])
def test_codes_are_needed_where_they_are_contrasted(term):
    options = {ClipMargin: ClipMarginOptions, ClipSigmoid: ClipSigmoidOptions}[term]
    assert term().needs == term.needs == frozenset()
    assert term(options(of="codes")).needs == {"codes"}


def test_a_term_takes_its_options(features):
    options = ClipMarginOptions(margin=0.3)
    z, steps = features(2), Steps(5, 4)
    assert ClipMargin(options).contrast(z, steps) == clip_margin(z, steps, options)
    assert clip_margin(z, steps, options) != clip_margin(z, steps)
