"""Intervals of a mean: quantiles against printed tables, sizes by the definition."""

import pytest

from cmg.evaluation.scores import Score, half_width, t_quantile, t_within


@pytest.mark.parametrize(
    ("degrees", "printed"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (4, 2.7764),
        (7, 2.3646),
        (9, 2.2622),
        (29, 2.0452),
        (120, 1.9799),
    ],
)
def test_quantiles_are_those_of_the_tables(degrees, printed):
    """Two-sided 5 % of Student's t, as every textbook prints them to four digits."""
    assert t_quantile(degrees) == pytest.approx(printed, abs=5e-5)


def test_the_probability_is_the_integral_of_the_density():
    """Of 3 degrees the density is 6 sqrt(3) / (pi (3 + t^2)^2); of 1 it is Cauchy's."""
    steps, density = 20_000, 0.0
    for i in range(steps):
        t = 2.0 * (i + 0.5) / steps
        density += 6 * 3**0.5 / (3.141592653589793 * (3 + t * t) ** 2)
    assert t_within(2.0, 3) == pytest.approx(2 * density * 2.0 / steps, abs=1e-8)
    assert t_within(1.0, 1) == pytest.approx(0.5)


def test_an_interval_by_hand():
    """1, 2, 6: mean 3, deviation sqrt(7); 4.3027 sqrt(7 / 3) = 6.5724."""
    low, high = Score.of([1.0, 2.0, 6.0]).interval
    assert (low, high) == pytest.approx((3 - 6.5724, 3 + 6.5724), abs=1e-3)
    assert Score.of([5.0]).interval is None
    assert Score.of([5.0, 5.0]).interval == (5.0, 5.0)


@pytest.mark.parametrize(("std", "enough"), [(5.0, 27), (1.0, 4), (0.0, 2), (20.0, 387)])
def test_how_many_would_decide(std, enough):
    """n = (t s / 2)^2, t of n - 1 degrees: (2.0555 x 5 / 2)^2 = 26.4, so 27 and not 26."""
    assert Score(0.0, std, 10).enough(2.0) == enough
    assert half_width(std, enough) <= 2.0
    assert enough == 2 or half_width(std, enough - 1) > 2.0
