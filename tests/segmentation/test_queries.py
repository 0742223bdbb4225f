"""Queries are codes of the frozen model, brought to one number of steps."""

import numpy as np
import pytest
import torch

from cmg.errors import DataError, ModalityError
from cmg.segmentation.queries import CodeQueries, PublishedQueries
from cmg.types import Batch


def test_steps_are_repeated_from_the_beginning(frozen, query_store, asked):
    row = next(r for r in query_store.rows if r.id == "c1")
    features, lengths = query_store.features("text", np.array([1]))
    assert int(lengths[0]) == row.lengths["text"] == 3
    codes = frozen.encode(Batch({"text": features}, {"text": lengths}))["text"][0, :3]
    expected = frozen.codebook.codes[codes[[0, 1, 2, 0, 1, 2]]]
    torch.testing.assert_close(asked("text").vectors(["c1"])[0], expected)


def test_a_query_does_not_depend_on_its_neighbors(frozen, query_store):
    ids = [r.id for r in query_store.rows]
    together = CodeQueries(frozen, query_store, "text", 6).vectors(ids)
    alone = CodeQueries(frozen, query_store, "text", 6)
    for i, clip in enumerate(ids):
        torch.testing.assert_close(alone.vectors([clip])[0], together[i])


def test_the_model_is_left_as_it_was(frozen, asked):
    before = {n: x.clone() for n, x in frozen.state_dict().items()}
    asked("audio").vectors(["c0"])
    assert not frozen.training
    assert all(torch.equal(x, before[n]) for n, x in frozen.state_dict().items())


def test_missing_and_long_queries_are_refused(frozen, query_store, asked):
    with pytest.raises(DataError, match=r"'nobody' has frames but no audio"):
        asked("audio").vectors(["nobody"])
    with pytest.raises(ModalityError, match="no modality 'smell'"):
        asked("smell")
    with pytest.raises(DataError, match=r"'c2': the text query has 4 steps .* at most 3"):
        CodeQueries(frozen, query_store, "text", 3).vectors(["c2"])


def test_published_queries_have_a_map_per_phase_and_dropout(frozen, query_store):
    make = lambda phase, seed=0: PublishedQueries(frozen, query_store, "audio", 3, seed, phase)  # noqa: E731
    train, test = make("train"), make("test")
    assert train.steps is None
    one = train.vectors(["c0", "c1"], draw=5)
    assert one.shape == (2, 3, 8)
    torch.testing.assert_close(one, make("train").vectors(["c0", "c1"], draw=5))
    maps = [q._mixer.map.weight for q in (train, test, make("train", 1))]
    assert not torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])
    assert maps[0].abs().max() <= 10**-0.5


def test_published_dropout_differs_between_draws(frozen, query_store):
    queries = PublishedQueries(frozen, query_store, "text", 3, 0, "train")
    seen = {queries.vectors(["c0"], draw=d).sum().item() for d in range(20)}
    assert len(seen) > 1


def test_jitter_takes_neighbors_and_only_where_something_is_drawn(frozen, query_store):
    plain = CodeQueries(frozen, query_store, "audio", 6)
    jitter = CodeQueries(frozen, query_store, "audio", 6, jitter=0.5)
    ids = [r.id for r in query_store.rows]
    exact = plain.vectors(ids)
    torch.testing.assert_close(jitter.vectors(ids), exact)
    drawn = jitter.vectors(ids, draw=3)
    torch.testing.assert_close(drawn, jitter.vectors(ids, draw=3))
    changed = (drawn != exact).any(2)
    assert 0.3 < changed.float().mean() < 0.7
    table = frozen.codebook.codes
    distances = torch.cdist(table, table).fill_diagonal_(torch.inf)
    before = torch.cdist(exact[changed], table).argmin(1)
    after = torch.cdist(drawn[changed], table).argmin(1)
    nearest = distances.topk(4, largest=False).indices
    assert all(b in nearest[a] for a, b in zip(before.tolist(), after, strict=True))
