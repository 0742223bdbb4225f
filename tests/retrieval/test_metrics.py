"""Ranks, average precision and their expectations: by hand, by loops, by drawing lots."""

import pytest
import torch

from cmg.errors import DataError
from cmg.evaluation.metrics import average_precision
from cmg.retrieval.evaluate import (
    RANKS,
    expected_average_precision,
    query_figures,
    ranks_of,
    scores_of,
)


def retrieval_scores(scores, own=None, query_classes=None, gallery_classes=None, ks=RANKS):
    """Everything of one direction; query i's own clip is clip i if `own` does not say."""
    own = torch.arange(len(scores)) if own is None else own
    found = query_figures(scores, own, query_classes, gallery_classes)
    return scores_of(found, scores.shape[1], ks)


def test_ranks_count_those_at_least_as_near():
    scores = torch.tensor([[0.9, 0.9, 0.1], [0.5, 0.2, 0.3], [0.1, 0.1, 0.7]])
    assert ranks_of(scores, torch.arange(3)).tolist() == [2, 3, 1]
    assert ranks_of(torch.ones(2, 5), torch.tensor([0, 3])).tolist() == [5, 5]


def test_expectation_of_a_random_order_against_drawn_orders():
    torch.manual_seed(0)
    relevant = (torch.arange(12) < 4).expand(20_000, 12)
    drawn = average_precision(torch.rand(20_000, 12), relevant).mean()
    assert expected_average_precision(torch.tensor([4]), 12).item() == pytest.approx(
        drawn.item(), abs=0.005
    )
    assert expected_average_precision(torch.tensor([5]), 5).item() == pytest.approx(1.0)


def test_the_class_perfect_ceiling_against_drawn_orders():
    torch.manual_seed(0)
    classes = torch.tensor([0] * 3 + [1] * 7)
    same = (classes[:, None] == classes[None]).double()
    hits = {1: 0.0, 5: 0.0}
    for _ in range(3000):
        drawn = retrieval_scores(same + 0.1 * torch.rand(10, 10), None, classes, classes, (1, 5))
        assert drawn.map == pytest.approx(100.0)
        for k in hits:
            hits[k] += drawn.recall[k] / 3000
    for k, found in hits.items():
        assert drawn.ceiling[k] == pytest.approx(found, abs=1.5)


def test_everything_of_a_direction():
    scores = torch.eye(4) + 0.01 * torch.arange(4.0)
    found = retrieval_scores(scores, None, torch.tensor([0, 0, 1, -1]), torch.tensor([0, 0, 1, -1]))
    assert found.recall == {1: 100.0, 5: 100.0, 10: 100.0}
    assert found.chance == {1: 25.0, 5: 100.0, 10: 100.0}
    assert found.ceiling[1] == pytest.approx(100 * (1 / 2 + 1 / 2 + 1) / 3)
    assert (found.median_rank, found.queries, found.gallery) == (1.0, 4, 4)
    # Clip 3 has no class: it is no query for mAP, but it is in the way as part of the gallery.
    by_hand = [(1 + 2 / 4) / 2, (1 + 2 / 4) / 2, 1.0]
    assert found.map == pytest.approx(100 * sum(by_hand) / 3)
    assert retrieval_scores(scores).map is None


def test_queries_may_have_their_clips_anywhere():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.9, 0.1, 0.5]])
    found = retrieval_scores(scores, torch.tensor([1, 2]), ks=(1,))
    assert found.recall == {1: 50.0}
    assert found.median_rank == 1.5


def test_clips_without_a_class_are_left_out_of_map_only():
    scores = torch.eye(3)
    none = torch.full((3,), -1)
    found = retrieval_scores(scores, None, none, none)
    assert (found.map, found.map_chance, found.ceiling) == (None, None, {})
    assert found.recall[1] == 100.0
    # Query 1 is of a class that no clip of the gallery has.
    apart = retrieval_scores(scores, None, torch.tensor([0, 5, -1]), torch.tensor([0, 0, 1]))
    assert apart.map == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert apart.ceiling[1] == pytest.approx(50.0)


def test_scores_that_are_nan_have_no_rank():
    scores = torch.eye(3)
    scores[1, 1] = torch.nan  # NaN >= NaN is false: its rank would be 0, a hit
    with pytest.raises(DataError, match="a score is NaN"):
        retrieval_scores(scores)
