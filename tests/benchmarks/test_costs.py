"""The arithmetic of ``benchmarks.costs``, and that a point can be measured; no times."""

import pytest
from benchmarks.costs import (
    VARIABLES,
    Cost,
    Point,
    Variable,
    curve,
    exponent,
    fitted,
    measure,
    shares,
)

TINY = Point(batch=4, length=3, modalities=2, codes=8, width=8)


def test_exponents_are_slopes_of_the_upper_end():
    assert exponent([1, 10, 20], [5, 7, 28]) == pytest.approx(2.0)


@pytest.mark.parametrize("true", [[3.0, 2.0, 0.5], [0.0, 2.0, 0.0], [3.0, 0.0, 0.25], [4.0]])
def test_the_model_is_found_again(true):
    x = [20.0, 40.0, 80.0, 160.0, 320.0]
    y = [sum(c * v**p for p, c in enumerate(true)) for v in x]
    assert fitted(x, y, len(true) - 1) == pytest.approx(true, abs=1e-9)


def test_no_coefficient_is_negative():
    assert min(fitted([1.0, 2.0, 4.0], [1.0, 1.9, 3.5], 2)) >= 0.0


def test_shares_are_told_at_the_last_point():
    assert shares([10.0, 2.0, 0.5], 10.0) == "fixed 12, linear 25, quadratic 62"


def test_a_curve_varies_one_size():
    asked = []

    def cost(point):
        asked.append(point)
        return Cost([1e-3 * point.batch**2] * 3, 1024 * point.batch)

    figures, row, rows = curve("B", Variable("batch", (2, 4, 8), 2), TINY, cost)
    assert asked == [Point(b, 3, 2, 8, 8) for b in (2, 4, 8)]
    assert figures["B: exponent of time"].value == pytest.approx(2.0)
    assert figures["B: exponent of memory"].value == pytest.approx(1.0)
    assert figures["B: time, x^2"].value == pytest.approx(1e-3)
    assert row[:3] == ["B", "2 to 8", "2.00"]
    assert row[3:] == [
        "fixed 0, linear 0, quadratic 100",
        "1.00",
        "fixed 0, linear 100, quadratic 0",
    ]
    assert [r[0] for r in rows] == ["B = 2", "B = 4", "B = 8"]


def test_every_variable_is_a_size_of_a_point():
    base = Point()
    for variable in VARIABLES.values():
        assert getattr(base, variable.field) in variable.values


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.slow
def test_a_point_is_measured(ranks):
    found = measure(Point(4, 3, 2, 8, 8, ranks), steps=2)
    assert len(found.seconds) == 2
    assert min(found.seconds) > 0
    assert found.peak > 0
