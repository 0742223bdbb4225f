"""Exact search against sorting by (score, place), part by part; FAISS; indexes from files."""

import json
import os
import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.encoding import EncodedModality
from cmg.retrieval import evaluate as evaluate_module
from cmg.retrieval import index as index_module
from cmg.retrieval.evaluate import query_figures, scores_of, scores_of_pairs
from cmg.retrieval.index import (
    ExactIndex,
    Hits,
    StoredGallery,
    first_of_best,
    open_index,
    shown_hits,
)
from cmg.retrieval.representation import ALL_BY, Represented, represent, similarity

from .test_similarity import K, encoded, names, random_clips


def slow_places(scores, k):
    """Sorted by score, of equal ones the first place first."""
    return [sorted(range(len(row)), key=lambda j: (-row[j], j))[:k] for row in scores.tolist()]


@pytest.mark.parametrize(("rows", "room", "k"), [(4, 1, 1), (6, 9, 4), (5, 40, 40), (8, 200, 10)])
def test_the_first_of_equal_ones_come_first(rows, room, k):
    torch.manual_seed(room)
    scores = torch.randint(0, 5, (rows, room)).float()
    assert first_of_best(scores, k).tolist() == slow_places(scores, k)


@pytest.mark.parametrize("by", ALL_BY)
@pytest.mark.parametrize("parts", [(1 << 17, 256), (64, 3), (100, 1)])
def test_search_is_sorting_by_score_and_place_however_it_is_cut(by, parts, monkeypatch):
    # Five codes in six steps: many clips are alike, so places of ties are tested too.
    gallery, queries = random_clips(330, by), random_clips(7, by, seed=1)
    monkeypatch.setattr(index_module, "CLIPS_AT_ONCE", parts[0])
    monkeypatch.setattr(index_module, "QUERIES_AT_ONCE", parts[1])
    hits = ExactIndex(gallery).search(queries, 12)
    scores = similarity(queries, gallery).float()
    slow = scores.gather(1, torch.tensor(slow_places(scores, 12)))
    torch.testing.assert_close(hits.scores, slow, rtol=0, atol=2e-6)
    torch.testing.assert_close(hits.scores, scores.gather(1, hits.places), rtol=0, atol=2e-6)
    assert all(len(set(row)) == 12 for row in hits.places.tolist())


@pytest.mark.parametrize("parts", [1 << 17, 64, 100])
def test_of_clips_that_are_alike_the_first_is_found_first(parts, monkeypatch):
    # Unit vectors along the axes: every product is 0 or 1 on every machine.
    monkeypatch.setattr(index_module, "CLIPS_AT_ONCE", parts)
    which = torch.randint(0, 3, (500,), generator=torch.Generator().manual_seed(0))
    gallery = Represented("codes", torch.eye(3)[which], torch.ones(500), names(500))
    queries = Represented("codes", torch.eye(3), torch.ones(3), names(3))
    hits = ExactIndex(gallery).search(queries, 200)
    assert hits.places.tolist() == slow_places((which == torch.arange(3)[:, None]).float(), 200)


@pytest.mark.parametrize("by", ["mean", "codes", "continuous"])
def test_the_same_codes_in_another_order_tie_exactly(by):
    generator = torch.Generator().manual_seed(0)
    codes = [[int(c) for c in torch.randperm(7, generator=generator) % K] for _ in range(200)]
    encoded_clips = encoded(codes)
    exact = EncodedModality(
        encoded_clips.indices, encoded_clips.semantic.float(), encoded_clips.codes.float()
    )
    clips = represent(exact, by, K, names(200))
    others = random_clips(30, by, seed=4)
    assert all(len(row.unique()) == 1 for row in similarity(others, clips))
    # So nobody finds the own clip among 200 that are all alike.
    assert scores_of_pairs(clips, clips).recall[10] == 0.0


def test_a_long_query_is_refused_before_any_part_is_searched(monkeypatch):
    monkeypatch.setattr(index_module, "CLIPS_AT_ONCE", 1)
    gallery = random_clips(3, "sequence")
    short = Represented("sequence", gallery.vectors, torch.tensor([6, 6, 5]), gallery.ids)
    with pytest.raises(DataError, match=r"'c0' has 6 steps and clip 'c2' of the gallery 5"):
        ExactIndex(short).search(random_clips(1, "sequence"))


@pytest.mark.parametrize("by", ALL_BY)
def test_evaluation_does_not_depend_on_how_many_queries_are_ranked_at_a_time(by, monkeypatch):
    queries, gallery = random_clips(60, by), random_clips(60, by, seed=2)
    classes = torch.arange(60) % 7 - 1
    whole = scores_of(
        query_figures(similarity(queries, gallery), torch.arange(len(queries)), classes, classes),
        len(gallery),
    )
    for at_once in (1, 60 * 11, 1 << 22):
        monkeypatch.setattr(evaluate_module, "SCORES_AT_ONCE", at_once)
        found = scores_of_pairs(queries, gallery, classes)
        assert (found.recall, found.ceiling) == (whole.recall, whole.ceiling)
        assert (found.median_rank, found.gallery) == (whole.median_rank, 60)
        assert found.map == pytest.approx(whole.map, abs=1e-9)


def test_the_order_of_clips_does_not_change_figures():
    queries, gallery = random_clips(60), random_clips(60, seed=2)
    classes = torch.arange(60) % 4
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    one = scores_of_pairs(queries, gallery, classes)
    two = scores_of_pairs(queries.subset(order), gallery.subset(order), classes[order])
    assert one.recall == two.recall
    assert one.map == pytest.approx(two.map, abs=1e-9)


def test_places_that_an_approximate_search_leaves_empty_are_no_clips():
    hits = Hits(torch.tensor([[1, -1]]), torch.tensor([[0.5, -torch.inf]]))
    assert shown_hits(hits, random_clips(3)) == [[("c1", 0.5)]]


class FakeFlat:
    """What `faiss.IndexFlatIP` answers, with equal scores backwards and the last of them first."""

    def __init__(self, width):
        self.vectors = torch.empty(0, width)

    def add(self, vectors):
        self.vectors = torch.from_numpy(vectors)

    def search(self, queries, k):
        scores = torch.from_numpy(queries) @ self.vectors.T
        order = scores.flip(1).sort(dim=1, descending=True, stable=True).indices[:, :k]
        places = scores.shape[1] - 1 - order
        return scores.gather(1, places).numpy(), places.numpy()


@pytest.fixture(params=["fake", "real"])
def faiss(request, monkeypatch):
    """FAISS itself where it is installed, and something that answers like it."""
    if request.param == "real":
        return pytest.importorskip("faiss")
    fake = types.SimpleNamespace(IndexFlatIP=FakeFlat, METRIC_INNER_PRODUCT=0)
    monkeypatch.setitem(sys.modules, "faiss", fake)
    return fake


@pytest.mark.parametrize("k", [1, 3, 10, 47, 48, 99])
def test_equal_clips_stand_in_the_order_of_the_gallery_with_every_engine(faiss, k):
    few, queries = random_clips(6), random_clips(7, seed=1)
    drawn = torch.randint(0, 6, (48,), generator=torch.Generator().manual_seed(3))
    alike = few.subset([2] * 48)
    for gallery in (few.subset(drawn), alike, few.subset([*range(6), *[1] * 42])):
        exact = ExactIndex(gallery).search(queries, k)
        flat = index_module.FaissIndex(gallery, "flat").search(queries, k)
        assert torch.equal(flat.places, exact.places)
        torch.testing.assert_close(flat.scores, exact.scores, rtol=0, atol=1.1e-6)
    assert exact.places.shape == (7, min(k, 48))
    assert torch.equal(
        open_index(alike, "faiss-flat").search(queries, 5).places[0], torch.arange(5)
    )


def test_faiss_finds_clips_and_not_sequences():
    pytest.importorskip("faiss")
    gallery = random_clips(400)
    exact = ExactIndex(gallery).search(gallery, 1)
    for kind in ("flat", "hnsw"):
        found = index_module.FaissIndex(gallery, kind).search(gallery, 1)
        torch.testing.assert_close(found.scores, exact.scores, rtol=0, atol=1e-5)
    # All alike: the graph falls apart, and what is not found is said to be no clip.
    alike = index_module.FaissIndex(random_clips(1).subset([0] * 400)).search(gallery, 300)
    assert int(alike.places.max()) < 400
    assert bool((alike.scores[alike.places < 0] == -torch.inf).all())
    with pytest.raises(ConfigError, match="searched exactly"):
        index_module.FaissIndex(random_clips(4, "sequence"))


TOLD = {
    "format": "cmg-retrieval-index",
    "version": 1,
    "by": "mean",
    "modality": "audio",
    "split": "test",
    "store": "s",
    "model_sha256": "ab",
    "ids": names(3),
}
FINE = {"vectors": torch.ones(3, 4), "lengths": torch.ones(3, dtype=torch.int64)}
NAN = FINE["vectors"].clone()
NAN[1, 2] = torch.nan
DAMAGED = {
    "another version": ({"version": 2}, {}, "another format or version"),
    "no ids": ({"ids": None}, {}, "no index"),
    "an id too many": ({"ids": names(4)}, {}, "4 ids"),
    "no clip": ({"ids": []}, {"vectors": torch.ones(0, 4), "lengths": FINE["lengths"][:0]}, "0 id"),
    "unknown kind": ({"by": "taste"}, {}, "compares by 'taste'"),
    "a name that is none": ({"split": 3}, {}, "is damaged"),
    "vectors of sequences": ({}, {"vectors": torch.ones(3, 2, 4)}, r"vectors are torch.float32 \["),
    "half precision": ({}, {"vectors": torch.ones(3, 4).half()}, "vectors are torch.float16"),
    "lengths that are no numbers": ({}, {"lengths": torch.ones(3)}, "lengths are torch.float32"),
    "a clip without steps": ({}, {"lengths": torch.tensor([1, 0, 1])}, "lengths from 0"),
    "more steps than vectors": (
        {"by": "sequence"},
        {"vectors": torch.ones(3, 2, 4), "lengths": torch.tensor([1, 3, 1])},
        "lengths from 1 to 3",
    ),
    "NaN": ({}, {"vectors": NAN}, "embedding of clip 'c1' is not finite"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_index_is_refused(name, tmp_path):
    told, tensors, why = DAMAGED[name]
    path = tmp_path / "g.safetensors"
    save_file(FINE | tensors, path, {"index": json.dumps(TOLD | told)})
    with pytest.raises(CheckpointError, match=why):
        StoredGallery.load(path)


def test_the_undamaged_index_is_read_and_other_files_are_not(tmp_path):
    path = tmp_path / "g.safetensors"
    save_file(FINE, path, {"index": json.dumps(TOLD)})
    assert StoredGallery.load(path).gallery.ids == ("c0", "c1", "c2")
    StoredGallery.load(path).save(path)  # "s" is found from every folder from now on
    assert StoredGallery.load(path).store == os.path.abspath("s")
    for metadata in ({"index": "["}, {"index": "[]"}, {}):
        save_file(FINE, path, metadata)
        with pytest.raises(CheckpointError, match="is no index"):
            StoredGallery.load(path)
    with pytest.raises(CheckpointError, match="is no index"):
        StoredGallery.load(tmp_path / "missing.safetensors")
