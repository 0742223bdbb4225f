import copy

import numpy as np
import pytest
import torch

from cmg.objectives import CLUB, CLUBGroup, CLUBOptions
from cmg.types import Steps


def run_net(net, x):
    """A net of Linear, ReLU and Tanh, layer by layer in NumPy."""
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            x = x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        elif isinstance(layer, torch.nn.ReLU):
            x = np.maximum(x, 0)
        else:
            x = np.tanh(x)
    return x


def estimate_by_loops(club, x, y, permutation, lengths):
    """METHOD section 5.4: squared errors and log-variances averaged over time, then divided."""
    mean, logvar = run_net(club.mean, x), run_net(club.log_variance, x)
    total = 0.0
    for b, reach in enumerate(lengths):
        other = int(permutation[b])
        both = min(reach, lengths[other])
        variance = np.exp(logvar[b, :reach].mean(0))
        own = ((mean[b, :reach] - y[b, :reach]) ** 2).mean(0)
        wrong = ((mean[b, :both] - y[other, :both]) ** 2).mean(0)
        total += ((wrong - own) / variance).sum()
    return total / len(lengths) / 2


def likelihood_by_loops(club, x, y, lengths):
    mean, logvar = run_net(club.mean, x), run_net(club.log_variance, x)
    found = [
        (((mean[b, t] - y[b, t]) ** 2 / np.exp(logvar[b, t]) + logvar[b, t]) / 2).sum()
        for b, reach in enumerate(lengths)
        for t in range(reach)
    ]
    return sum(found) / len(found)


def make_club(dtype=torch.float64, width=3, detail=4, hidden=5):
    torch.manual_seed(0)
    return CLUB(width, detail, hidden).to(dtype)


CASES = [
    pytest.param([4, 4, 4], id="complete"),
    pytest.param([4, 1, 3], id="ragged"),
]


@pytest.mark.parametrize("lengths", CASES)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_equals_loops(features, lengths, dtype, rtol):
    club = make_club(dtype)
    x = features(1, (3, 4, 3), 1, dtype)["audio"]
    y = features(1, (3, 4, 4), 2, dtype)["audio"]
    mask = None
    if min(lengths) < 4:
        mask = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    permutation = torch.tensor([2, 0, 1])
    arrays = (x.double().numpy(), y.double().numpy())
    found = club.estimate(x, y, permutation, mask).detach()
    assert float(found) == pytest.approx(
        estimate_by_loops(club, *arrays, permutation, lengths), rel=rtol
    )
    found = club.negative_log_likelihood(x, y, mask).detach()
    assert float(found) == pytest.approx(likelihood_by_loops(club, *arrays, lengths), rel=rtol)


class Likelihood(torch.nn.Module):
    """What the inner fit minimizes, as a forward pass."""

    def __init__(self, club):
        super().__init__()
        self.club = club

    def forward(self, x, y, mask):
        return self.club.negative_log_likelihood(x, y, mask)


@pytest.mark.parametrize("lengths", CASES)
def test_gradients_are_those_of_the_formula(features, lengths):
    """The likelihood's gradient is written out; finite differences know nothing of that."""
    club = make_club()
    x = features(1, (3, 4, 3), 1)["audio"].requires_grad_()
    y = features(1, (3, 4, 4), 2)["audio"].requires_grad_()
    mask = None
    if min(lengths) < 4:
        mask = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    assert torch.autograd.gradcheck(lambda a, b: club.negative_log_likelihood(a, b, mask), (x, y))
    permutation = torch.tensor([2, 0, 1])
    assert torch.autograd.gradcheck(lambda a, b: club.estimate(a, b, permutation, mask), (x, y))
    names, weights = zip(*Likelihood(club).named_parameters(), strict=True)

    def of_weights(*given):
        changed = dict(zip(names, given, strict=True))
        arguments = (x.detach(), y.detach(), mask)
        return torch.func.functional_call(Likelihood(club), changed, arguments)

    assert torch.autograd.gradcheck(of_weights, weights)


def constant_club(mean, log_variance):
    """Nets that ignore x: mean and log-variance are what the last layer's bias says."""
    club = CLUB(1, 1, 2).double()
    with torch.no_grad():
        for p in club.parameters():
            p.zero_()
        club.mean[6].bias.fill_(mean)
        club.log_variance[6].bias.fill_(np.arctanh(log_variance))
    return club


@torch.no_grad()
def test_by_hand():
    """mu 1, variance e^.5. y is 2 then 3: own errors 1 and 4, swapped 4 and 1, of permuted y."""
    club = constant_club(1.0, 0.5)
    x = torch.zeros(2, 1, 1, dtype=torch.float64)
    y = torch.tensor([[[2.0]], [[3.0]]], dtype=torch.float64)
    likelihood = ((1 + 4) / 2 / np.exp(0.5) + 0.5) / 2
    assert float(club.negative_log_likelihood(x, y)) == pytest.approx(likelihood, rel=1e-12)
    assert float(club.estimate(x, y, torch.tensor([1, 0]))) == pytest.approx(0.0, abs=1e-15)
    # both negatives are clip 1: (4 - 1) and (4 - 4), mean 1.5, halved
    expected = 0.75 / np.exp(0.5)
    assert float(club.estimate(x, y, torch.tensor([1, 1]))) == pytest.approx(expected, rel=1e-12)


@torch.no_grad()
def test_identity_permutation_is_zero(features):
    club = make_club()
    x, y = features(1, (3, 4, 3), 1)["audio"], features(1, (3, 4, 4), 2)["audio"]
    assert float(club.estimate(x, y, torch.arange(3))) == 0.0


def test_log_variance_is_bounded(features):
    found = make_club().log_variance(1e6 * features(1, (3, 4, 3))["audio"])
    assert found.abs().max() <= 1.0


def make_group():
    torch.manual_seed(1)
    return CLUBGroup(3, {"audio": 4, "video": 4}, CLUBOptions(hidden=5)).double()


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2, fused=True)


def test_one_adam_equals_one_per_net(features, steps_of):
    """Two batches of five iterations, the optimizers' state kept between them."""
    together = make_group()
    apart = copy.deepcopy(together)
    shared = adam(together.parameters())
    single = {m: adam(net.parameters()) for m, net in apart.nets.items()}
    for batch in range(2):
        x, y = features(2, (3, 4, 3), batch), features(2, (3, 4, 4), 10 + batch)
        together.fit_nets(x, y, steps_of(x), shared, 5)
        for m, net in apart.nets.items():
            for _ in range(5):
                single[m].zero_grad()
                net.negative_log_likelihood(x[m], y[m]).backward()
                single[m].step()
    for (name, p), q in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-16, msg=name)


def test_fit_lowers_what_it_reports(features, steps_of):
    group = make_group()
    optimizer = adam(group.parameters())
    x, y = features(2, (3, 4, 3), 1), features(2, (3, 4, 4), 2)
    steps = steps_of(x)
    start = {m: net.negative_log_likelihood(x[m], y[m]).item() for m, net in group.nets.items()}
    first = group.fit_nets(x, y, steps, optimizer, 1)  # before its one iteration
    assert {m: float(v) for m, v in first.items()} == start
    later = group.fit_nets(x, y, steps, optimizer, 50)
    assert all(later[m] < first[m] - 0.1 for m in start)
    assert group.fit_nets(x, y, steps, optimizer, 0) == {}


def test_the_estimate_reaches_content_and_detail_and_the_fit_does_not(features, steps_of):
    group = make_group()
    x, y = features(2, (3, 4, 3), 1), features(2, (3, 4, 4), 2)
    for tensor in [*x.values(), *y.values()]:
        tensor.requires_grad_()
    group.fit_nets(x, y, steps_of(x), adam(group.parameters()), 2)
    assert all(tensor.grad is None for tensor in [*x.values(), *y.values()])
    permutations = dict.fromkeys(x, torch.tensor([1, 2, 0]))
    sum(group(x, y, steps_of(x), permutations).values()).backward()
    assert all(tensor.grad.abs().max() > 1e-4 for tensor in [*x.values(), *y.values()])


def test_outer_gradient_is_not_applied_by_the_next_fit(features, steps_of):
    """The outer loss leaves gradient in the nets; the inner loop starts from zero."""
    one, other = make_group(), make_group()
    x, y = features(2, (3, 4, 3), 1), features(2, (3, 4, 4), 2)
    permutations = dict.fromkeys(x, torch.tensor([1, 2, 0]))
    (1e3 * sum(one(x, y, steps_of(x), permutations).values())).backward()
    for group in (one, other):
        group.fit_nets(x, y, steps_of(x), adam(group.parameters()), 3)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_absent_modality_is_left_alone(features, steps_of):
    """Its net stays, its Adam state too, and it has no term."""
    group = make_group()
    optimizer = adam(group.parameters())
    x, y = features(2, (3, 4, 3), 1), features(2, (3, 4, 4), 2)
    group.fit_nets(x, y, steps_of(x), optimizer, 3)
    before = copy.deepcopy(group.nets["video"].state_dict())
    lengths = {"audio": torch.tensor([4, 2, 0]), "video": torch.tensor([0, 0, 0])}
    steps = steps_of(x, lengths)
    assert set(group.fit_nets(x, y, steps, optimizer, 3)) == {"audio"}
    for name, value in group.nets["video"].state_dict().items():
        assert torch.equal(value, before[name]), name
    counts = {float(optimizer.state[p]["step"]) for p in group.nets["video"].parameters()}
    assert counts == {3.0}
    terms = group(x, y, steps, {"audio": torch.tensor([1, 0]), "video": torch.empty(0)})
    assert set(terms) == {"audio"}


def test_clips_without_the_modality_are_no_negatives(features):
    """Audio is missing in clip 1: the same as a batch of clips 0 and 2."""
    group = make_group()
    x, y = features(2, (3, 4, 3), 1), features(2, (3, 4, 4), 2)
    lengths = {"audio": torch.tensor([4, 0, 2]), "video": torch.tensor([4, 4, 4])}
    permutations = {"audio": torch.tensor([1, 0]), "video": torch.tensor([2, 0, 1])}
    found = group(x, y, Steps(3, 4, lengths), permutations)
    kept = [0, 2]
    short = {"audio": torch.tensor([4, 2]), "video": torch.tensor([4, 4])}
    alone = group(
        {m: v[kept] for m, v in x.items()},
        {m: v[kept] for m, v in y.items()},
        Steps(2, 4, short),
        {"audio": torch.tensor([1, 0]), "video": torch.tensor([1, 0])},
    )
    torch.testing.assert_close(found["audio"], alone["audio"], rtol=1e-13, atol=0)


def test_padding_does_not_count(features, ragged, poisoned, steps_of):
    group = make_group()
    lengths = ragged(2, 5, 4, seed=4)
    x, y = features(2, (5, 4, 3), 1), features(2, (5, 4, 4), 2)
    steps = steps_of(x, lengths)
    permutations = {m: torch.randperm(int((n > 0).sum())) for m, n in lengths.items()}
    clean = group(x, y, steps, permutations)
    spoilt = group(poisoned(x, lengths, 1e3), poisoned(y, lengths, -1e3), steps, permutations)
    for m, value in clean.items():
        torch.testing.assert_close(spoilt[m], value, rtol=1e-12, atol=0)
