"""Recall among clips: ranks by hand, ties, and galleries."""

from __future__ import annotations

import pytest
import torch

from cmg.evaluation.encoding import EncodedModality
from cmg.evaluation.instances import mean_code, ranks_of, recall


def encoded(vectors, lengths=None):
    """Clips whose steps all have one vector."""
    codes = torch.tensor(vectors, dtype=torch.float32)[:, None].repeat(1, 2, 1)
    indices = torch.zeros(codes.shape[:2], dtype=torch.int64)
    for clip, length in enumerate(lengths or []):
        indices[clip, length:] = -1
        codes[clip, length:] = 0
    return EncodedModality(indices, codes, codes)


def test_ranks_count_those_at_least_as_near():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    gallery = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    # Query 0 ties with the second clip; its own of query 1 is orthogonal; query 2 ties thrice.
    assert ranks_of(queries, gallery).tolist() == [2, 3, 3]


def test_clips_that_are_all_equal_are_no_hits():
    same = torch.ones(5, 3)
    assert ranks_of(same, same).tolist() == [5] * 5


def test_recall_is_the_mean_over_galleries_with_chance_by_size():
    a = encoded([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]])
    b = encoded([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 1.0]])
    groups = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    found = recall({"a": a, "b": b}, groups, ranks=(1, 5))
    assert found["a->b"]["R@1"] == pytest.approx(50.0)
    assert found["a->b"]["chance R@1"] == pytest.approx(50.0)
    assert found["b->a"] == {
        "R@1": pytest.approx(50.0),
        "chance R@1": 50.0,
        "R@5": 100.0,
        "chance R@5": 100.0,
    }


def test_steps_that_do_not_exist_do_not_count():
    whole, part = encoded([[2.0, 4.0]]), encoded([[2.0, 4.0]], lengths=[1])
    assert torch.equal(mean_code(whole), mean_code(part))
