"""Which concepts are for training, choosing and testing: a draw per fold, whole families."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.data.batches import permutation

FOLDS = 8
TESTED, CHOSEN_ON = 1 / 4, 1 / 8
"""Shares of every subgroup in ``test`` and ``val``: a quarter, and a sixth of the rest."""


def parts(families: Sequence[str], subgroups: Sequence[str], fold: int) -> list[str]:
    """The part of every concept in a fold: ``train``, ``val`` or ``test``.

    In every subgroup its families are shuffled; ``val``, then ``test`` take one after the other
    as long as they stay within their share. A family larger than a share is always for training:
    the clock faces are.

    Args:
        families: Of every concept; a family lies in one subgroup.
        subgroups: Of every concept.
        fold: Which draw.
    """
    part_of: dict[str, str] = {}
    for k, subgroup in enumerate(sorted(set(subgroups))):
        sizes: dict[str, int] = {}
        for family, where in zip(families, subgroups, strict=True):
            if where == subgroup:
                sizes[family] = sizes.get(family, 0) + 1
        order = permutation(len(sizes), fold, k)
        shuffled = [list(sizes)[i] for i in order]
        whole = sum(sizes.values())
        for part, share in (("val", CHOSEN_ON), ("test", TESTED)):
            room = round(share * whole)
            for family in shuffled:
                if family not in part_of and sizes[family] <= room:
                    part_of[family] = part
                    room -= sizes[family]
    return [part_of.get(family, "train") for family in families]
