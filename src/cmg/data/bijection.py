"""A keyed order of very many things, any part of which is had without the rest.

A Feistel network over the smallest power of two that holds N numbers, with cycle walking: what
falls outside goes through the network again until it is inside. Every round can be undone, so the
whole is a permutation whatever the key. It costs a microsecond for each number asked for and
nothing for the others, where sorting N random numbers costs memory and time for all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 12
"""Half of them change each side of a number; four are known to suffice for good round functions."""


def scattered(n: int, places: NDArray[np.int64], *key: int) -> NDArray[np.int64]:
    """What stands at some places of a permutation of 0 .. n-1 that depends only on n and `key`.

    It is made of integer arithmetic and of ``numpy.random.SeedSequence``, which NumPy keeps stable
    across versions, so old runs stay reproducible.

    Args:
        n: Number of elements, at least 1.
        places: From 0 to n - 1, any number of them in any order.
        *key: Non-negative integers, e.g. seed and epoch.
    """
    bits = max(2, (n - 1).bit_length())
    keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64).astype(np.uint64)
    found = _rounds(np.asarray(places).astype(np.uint64), bits, keys)
    outside = np.flatnonzero(found >= n)
    while len(outside):
        walked = _rounds(found[outside], bits, keys)
        found[outside] = walked
        outside = outside[walked >= n]
    return found.astype(np.int64)


def _rounds(numbers: NDArray[np.uint64], bits: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of the numbers below 2**bits."""
    low = np.uint64(bits // 2)
    right_mask = np.uint64((1 << (bits // 2)) - 1)
    left_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    left, right = numbers >> low, numbers & right_mask
    for pair in keys.reshape(-1, 2):
        left = left ^ (_mixed(right, pair[0]) & left_mask)
        right = right ^ (_mixed(left, pair[1]) & right_mask)
    return np.asarray(left << low | right)


def _mixed(numbers: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64: every bit of the result hangs on every bit of the number."""
    x = numbers ^ key
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
