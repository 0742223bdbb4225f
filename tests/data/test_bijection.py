"""The computed order of very large splits: a permutation, keyed, uniform, and never another one."""

import numpy as np
import pytest

from cmg.data.bijection import scattered


@pytest.mark.parametrize(
    "n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 257, 1000, 4095, 4096, 4097, 65_537]
)
def test_every_element_stands_at_one_place(n):
    for key in ((0, 0), (0, 1), (2**40, 3)):
        order = scattered(n, np.arange(n), *key)
        assert order.dtype == np.int64
        assert np.array_equal(np.sort(order), np.arange(n))


def test_a_part_is_that_of_the_whole():
    whole = scattered(5000, np.arange(5000), 3, 1)
    places = np.array([4999, 0, 17, 17, 2500])
    assert scattered(5000, places, 3, 1).tolist() == whole[places].tolist()
    assert scattered(5000, places[:0], 3, 1).tolist() == []


def test_it_is_pinned():
    # Changing it changes every run on a very large split.
    assert scattered(10, np.arange(10), 0, 0).tolist() == [5, 6, 7, 2, 1, 9, 0, 3, 4, 8]
    assert scattered(10**7, np.arange(4), 7, 2).tolist() == [2063013, 2986724, 4020250, 2663301]
    ends = scattered(2**40 + 1, np.array([0, 2**40]), 1, 0)
    assert ends.tolist() == [619781908532, 1009602938911]


def test_seed_and_epoch_change_the_order():
    orders = [scattered(1000, np.arange(1000), s, e) for s in range(4) for e in range(4)]
    same = [int((a == b).sum()) for i, a in enumerate(orders) for b in orders[:i]]
    # Two random orders of 1,000 agree in one place on average, and hardly ever in ten.
    assert max(same) < 10
    assert 0.7 < np.mean(same) < 1.3


@pytest.mark.parametrize("n", [13, 16])
def test_every_place_is_equally_likely_to_hold_every_element(n):
    trials = 4000
    found = np.stack([scattered(n, np.arange(n), seed, 0) for seed in range(trials)])
    for place in (0, 1, n - 1):
        counts = np.bincount(found[:, place], minlength=n)
        chi_square = float(((counts - trials / n) ** 2).sum() / (trials / n))
        assert chi_square < 40  # n - 1 on average; beyond 40 once in 2,000 (n = 16)
    # Nor does what stands at one place say what stands at the next: their sum is uniform too.
    counts = np.bincount((found[:, 0] - found[:, 1]) % n, minlength=n)[1:]
    expected = trials / (n - 1)
    assert float(((counts - expected) ** 2).sum() / expected) < 40


def test_neighbors_are_scattered():
    n = 1 << 20
    order = scattered(n, np.arange(20_000), 5, 0)
    steps = np.abs(np.diff(order))
    # The mean distance of two random places is n / 3, here with a standard error of 0.2 %.
    assert abs(float(steps.mean()) / (n / 3) - 1) < 0.02
    assert abs(float(order.mean()) / (n / 2) - 1) < 0.02
