"""A logistic head: its optimum by the gradient and by hand, its penalty, and what it reads."""

import math

import pytest
import torch
from torch.nn import functional

from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError, NonFiniteError
from cmg.evaluation.logistic import PENALTIES, LogisticHead, Samples, counted, fit_logistic
from cmg.evaluation.probe import Labeled, accuracy, train_head


def samples(n=60, width=5, classes=3, seed=0, noise=1.0):
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, width, generator=generator, dtype=torch.float64)
    labels = torch.arange(n) % classes
    x = centers[labels] + noise * torch.randn(n, width, generator=generator, dtype=torch.float64)
    return Samples(x, labels)


def gradient(x, labels, fit, l2):
    """Of the penalized loss in the scaled inputs, by autograd."""
    scale = x.square().mean().sqrt()
    weight = (fit.weight * scale).requires_grad_()
    bias = fit.bias.clone().requires_grad_()
    loss = functional.cross_entropy(functional.linear(x / scale, weight, bias), labels)
    (loss + 0.5 * l2 * weight.square().sum()).backward()
    return torch.cat([weight.grad.flatten(), bias.grad])


@pytest.mark.parametrize("width", [5, 90])  # 90: more features than samples
@pytest.mark.parametrize("l2", [0.3, 0.001])
def test_the_gradient_vanishes_at_the_fit(width, l2):
    x, labels = samples(width=width)
    assert gradient(x, labels, fit_logistic(x, labels, 3, l2), l2).abs().max() < 2e-5


def test_two_points_by_hand():
    """At -1 and 1: by symmetry w = (-v, v), and l2 v = sigmoid(-2 v) / ... at the minimum."""
    x, labels = torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0, 1])
    fit = fit_logistic(x, labels, 2, 0.1)
    v = fit.weight[1, 0].item()
    assert fit.weight[0, 0].item() == pytest.approx(-v, rel=1e-4)
    # d/dv of log(1 + exp(-2 v)) + 0.1 v^2 is zero
    assert 0.2 * v == pytest.approx(2 / (1 + math.exp(2 * v)), rel=1e-3)
    assert fit.bias.abs().max() < 1e-6


def test_the_unit_of_the_features_does_not_matter():
    x, labels = samples()
    one, other = fit_logistic(x, labels, 3, 0.01), fit_logistic(1000 * x, labels, 3, 0.01)
    assert torch.allclose(one.weight, 1000 * other.weight, atol=1e-4)
    assert torch.allclose(one.bias, other.bias, atol=1e-4)


def test_the_penalty_is_the_one_whose_held_out_loss_is_least():
    x, labels = samples(30, 20, noise=2.0)
    held = samples(300, 20, noise=2.0, seed=0)
    losses = {}
    for l2 in PENALTIES:
        fit = fit_logistic(x, labels, 3, l2)
        logits = functional.linear(held.x, fit.weight, fit.bias)
        losses[l2] = float(functional.cross_entropy(logits, held.labels))
    chosen = fit_logistic(x, labels, 3, held_out=held).l2
    assert losses[chosen] <= min(losses.values()) * 1.001
    assert 0.0001 < chosen < 1.0


def test_the_path_of_penalties_ends_where_held_out_samples_only_get_worse():
    x, labels = samples(30, 20, noise=2.0)
    fit = fit_logistic(x, labels, 3, held_out=samples(300, 20, noise=2.0, seed=0))
    assert fit.tried == PENALTIES.index(fit.l2) + 3 < len(PENALTIES)
    every = fit_logistic(x, labels, 3, held_out=Samples(x, labels))  # the same: never worse
    assert (every.l2, every.tried) == (PENALTIES[-1], len(PENALTIES))
    never = fit_logistic(x, labels, 3, held_out=Samples(x, (labels + 1) % 3))
    assert (never.l2, never.tried) == (PENALTIES[0], len(PENALTIES))


def test_a_held_out_loss_that_rises_before_it_falls_does_not_end_the_path():
    """A loud feature, right four times of five, misleads strong penalties; a soft one is sure.

    Held out, the loud one is wrong as often: the loss rises at first, and is far less at the end.
    """
    labels = torch.arange(100) % 2
    sign = 2.0 * labels.double() - 1
    loud = 10 * sign * torch.where(torch.arange(100) % 10 < 8, 1.0, -1.0)
    fit = fit_logistic(
        torch.stack([loud, sign], 1),
        labels,
        2,
        held_out=Samples(torch.stack([-loud, sign], 1), labels),
    )
    assert (fit.l2, fit.tried) == (PENALTIES[-1], len(PENALTIES))


def test_held_out_samples_of_classes_that_are_not_fitted_have_no_say():
    x, labels = samples(30, 20, noise=2.0)
    held = samples(300, 20, noise=2.0, seed=0)
    unknown = Samples(torch.cat([held.x, 5 * x]), torch.cat([held.labels, torch.full((30,), 3)]))
    assert fit_logistic(x, labels, 4, held_out=unknown).l2 == (
        fit_logistic(x, labels, 4, held_out=held).l2
    )
    with pytest.raises(DataError, match=r"classes that no other clip has; give probe\.l2"):
        fit_logistic(x, labels, 4, held_out=Samples(x, torch.full((30,), 3)))


def test_clips_are_means_of_their_steps_and_posteriors_are_rooted():
    x = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    eye, zero = torch.eye(2), torch.zeros(2)
    assert LogisticHead(eye, zero, per_clip=True)(x, mask).tolist() == [[0.75, 0.25]]
    rooted = LogisticHead(eye, zero, per_clip=True, root=True)(x, mask)
    assert rooted[0].tolist() == pytest.approx([0.75**0.5, 0.5])
    assert LogisticHead(eye, zero, per_clip=False)(x).tolist() == x.tolist()


def labeled(n=60, steps=2, groups=None, noise=0.3):
    x, labels = samples(n, noise=noise)
    features = x.float()[:, None].expand(-1, steps, -1).clone()
    return Labeled(features, torch.ones(n, steps, dtype=torch.bool), labels, 3, groups)


def test_heads_of_clips_and_of_steps_have_no_chance_in_them():
    options = ProbeOptions(head="logistic")
    data = labeled()
    one, other = train_head(data, options, 0), train_head(data, options, 1)
    assert torch.equal(one.weight, other.weight)
    assert accuracy(one, data) > 95
    per_step = Labeled(data.features, data.mask, data.labels[:, None].repeat(1, 2), 3)
    per_step.labels[::2, 1] = -1
    assert accuracy(train_head(per_step, options, 0), per_step) > 95


def test_held_out_clips_are_whole_groups():
    groups = torch.arange(60) // 6
    fitted, held = labeled(groups=groups).parts()
    assert len(held.labels) == 12
    assert len(fitted.labels) == 48
    assert not set(held.groups.tolist()) & set(fitted.groups.tolist())


def test_a_validation_part_decides_and_is_not_fitted():
    data, val = labeled(noise=2.0), labeled(noise=2.0)
    val = Labeled(val.features, val.mask, (val.labels + 1) % 3, 3)  # contradicts: the strongest
    head = train_head(data, ProbeOptions(head="logistic"), 0, val)
    fit = fit_logistic(data.features.mean(1), data.labels, 3, PENALTIES[0])
    assert torch.allclose(head.weight, fit.weight, atol=1e-5)


def test_what_cannot_be_fitted_is_refused():
    x, labels = samples()
    with pytest.raises(DataError, match="others to choose l2 by"):
        fit_logistic(x, labels, 3)
    with pytest.raises(DataError, match="needs labeled clips"):
        fit_logistic(x[:0], labels[:0], 3, 0.1)
    x[3, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="NaN"):
        fit_logistic(x, labels, 3, 0.1)


def test_samples_that_are_alike_are_counted_and_fitted_as_if_each_stood_alone():
    """By hand: three distinct pairs of vector and label among six; the fit is that of all six."""
    a, b = [0.0, 2.0], [1.0, -1.0]
    x = torch.tensor([a, b, a, a, b, a], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    rows, kinds, shares = counted(x, labels)
    found = {
        (tuple(r.tolist()), int(k)): float(s) for r, k, s in zip(rows, kinds, shares, strict=True)
    }
    assert found == {((0.0, 2.0), 0): 3 / 6, ((0.0, 2.0), 1): 1 / 6, ((1.0, -1.0), 1): 2 / 6}
    assert gradient(x, labels, fit_logistic(x, labels, 2, 0.1), 0.1).abs().max() < 2e-5
