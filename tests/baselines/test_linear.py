"""Ridge and CCA: by hand, against normal equations and eigenvalues, and what may not matter."""

import numpy as np
import pytest
import torch

from cmg.baselines.linear import CCA, Principal, Ridge


def drawn(clips, width, other, seed=0):
    """Features of two modalities that share two factors."""
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(clips, 2, generator=g, dtype=torch.float64)
    sides = []
    for columns in (width, other):
        mix = torch.randn(2, columns, generator=g, dtype=torch.float64)
        noise = torch.randn(clips, columns, generator=g, dtype=torch.float64)
        sides.append(shared @ mix + noise + 3.0)
    return sides


def test_ridge_by_hand():
    """One feature each: the slope is cov / (var + p), through the means."""
    given = torch.tensor([[0.0], [2.0]], dtype=torch.float64)  # mean 1, variance 1
    wanted = torch.tensor([[5.0, 0.0], [9.0, 2.0]], dtype=torch.float64)  # covariances 2, 1
    found = Ridge(given, wanted).at(1.0)
    new = torch.tensor([[3.0]], dtype=torch.float64)
    torch.testing.assert_close(found(new), torch.tensor([[9.0, 2.0]], dtype=torch.float64))
    assert Ridge(given, wanted).at(0.0)(new).tolist() == [pytest.approx([11.0, 3.0])]


def test_cca_by_hand():
    """x = (s, u), y = (2 s + v, w), of independent factors of variance 1: 2 / sqrt(5), then 0."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 4)
    s, u, v, w = signs.T
    space = CCA(torch.stack([s, u], 1), torch.stack([2 * s + v, w], 1)).at(0.0)
    expected = torch.tensor([2 / 5**0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(space.correlations, expected)
    assert space.first.weight[:, 0].abs().tolist() == pytest.approx([1.0, 0.0])
    assert space.second.weight[:, 0].abs().tolist() == pytest.approx([1 / 5**0.5, 0.0])


@pytest.mark.parametrize(("clips", "width", "other"), [(40, 5, 7), (12, 20, 9), (9, 16, 30)])
@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_both_are_those_of_the_slow_formulas(clips, width, other, penalty):
    """More clips than features, and fewer in one modality or in both."""
    x, y = drawn(clips, width, other)
    found = Ridge(y, x).at(penalty)
    a, b = (t.numpy() - t.numpy().mean(0) for t in (x, y))
    normal = b.T @ b / clips + penalty * np.eye(other)
    np.testing.assert_allclose(found.weight, np.linalg.solve(normal, b.T @ a / clips), atol=1e-10)
    first = np.linalg.solve(a.T @ a / clips + penalty * np.eye(width), a.T @ b / clips)
    eigen = np.linalg.eigvals(first @ np.linalg.solve(normal, b.T @ a / clips))
    squares = np.sort(eigen.real)[::-1]
    space = CCA(x, y).at(penalty)
    count = len(space.correlations)
    np.testing.assert_allclose(space.correlations**2, squares[:count], atol=1e-9)
    one, two = space.first(x), space.second(y)
    # Of unit length by the penalized covariances, and of these correlations with each other.
    weight = space.first.weight
    own = one.T @ one / clips + penalty * weight.T @ weight
    torch.testing.assert_close(own, torch.eye(count, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        one.T @ two / clips, torch.diag(space.correlations), atol=1e-9, rtol=0
    )


def test_cca_does_not_see_invertible_linear_maps():
    x, y = drawn(60, 4, 6)
    g = torch.Generator().manual_seed(5)
    turn = torch.randn(4, 4, generator=g, dtype=torch.float64)
    before, after = CCA(x, y).at(0.0), CCA(x @ turn - 7.0, y).at(0.0)
    torch.testing.assert_close(after.correlations, before.correlations)
    signs = (before.second.weight * after.second.weight).sum(0).sign()
    torch.testing.assert_close(after.first(x @ turn - 7.0) * signs, before.first(x))
    turned = CCA(y, x).at(0.0).turned()
    torch.testing.assert_close(turned.correlations, before.correlations)


def test_ridge_goes_from_least_squares_to_the_mean():
    x, y = drawn(50, 3, 4)
    ours = Ridge(y, x)
    design = torch.cat([y, torch.ones(50, 1, dtype=torch.float64)], 1)
    exact = design @ torch.linalg.lstsq(design, x).solution
    torch.testing.assert_close(ours.at(0.0)(y), exact)
    errors = [float((ours.at(p)(y) - x).square().sum()) for p in (0.0, 0.1, 1.0, 10.0)]
    assert errors == sorted(errors)
    torch.testing.assert_close(ours.at(1e15)(y), x.mean(0).expand_as(x))


def test_features_that_do_not_vary_say_nothing():
    x, y = drawn(20, 3, 4)
    flat = torch.full((20, 4), 2.0, dtype=torch.float64)
    assert Principal.of(flat).scale.tolist() == []
    torch.testing.assert_close(Ridge(flat, x).at(1.0)(y), x.mean(0).expand_as(x))
    assert CCA(x, flat).at(1.0).first(x).shape == (20, 0)
    doubled = torch.cat([x, x[:, :1]], 1)  # of lower rank
    assert len(CCA(doubled, y).at(0.0).correlations) == 3
