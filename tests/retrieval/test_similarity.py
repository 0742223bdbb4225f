"""Representations, alignment and search, each against a slow form."""

import math

import pytest
import torch

from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.encoding import EncodedModality
from cmg.retrieval import index as index_module
from cmg.retrieval.evaluate import evaluate_directions, over_seeds
from cmg.retrieval.index import ExactIndex, StoredGallery, open_index, shown_hits
from cmg.retrieval.representation import ALL_BY, alignment, represent, similarity, unit

K, D = 5, 4
TABLE = torch.randn(K, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def encoded(codes):
    """Clips of given codes, -1 where a step does not exist."""
    indices = torch.tensor(codes)
    mask = (indices >= 0)[..., None]
    vectors = TABLE[indices.clamp_min(0)] * mask
    return EncodedModality(indices, vectors + 0.1 * mask, vectors)


def names(n):
    return [f"c{i}" for i in range(n)]


def test_representations_by_hand():
    given = encoded([[0, 1, 1], [2, -1, -1]])
    mean = (TABLE[0] + 2 * TABLE[1]) / 3
    found = represent(given, "mean", K, names(2))
    torch.testing.assert_close(found.vectors[0], mean / mean.norm())
    torch.testing.assert_close(found.vectors[1], TABLE[2] / TABLE[2].norm())
    histogram = represent(given, "codes", K, names(2)).vectors
    torch.testing.assert_close(
        histogram[0], torch.tensor([1.0, 2, 0, 0, 0]).double() / math.sqrt(5)
    )
    continuous = represent(given, "continuous", K, names(2)).vectors
    torch.testing.assert_close(continuous[0], (mean + 0.1) / (mean + 0.1).norm())
    sequence = represent(given, "sequence", K, names(2))
    torch.testing.assert_close(sequence.vectors[0, 1], TABLE[1] / TABLE[1].norm())
    assert sequence.lengths.tolist() == [3, 1]


def test_embeddings_that_are_not_finite_are_refused_by_id():
    given = encoded([[0, 1], [1, 1]])
    given.semantic[1, 0, 0] = float("nan")
    with pytest.raises(DataError, match="clip 'c1' is NaN or infinite"):
        represent(given, "continuous", K, names(2))
    with pytest.raises(DataError, match="clip 'c1' lacks the modality"):
        represent(encoded([[0], [-1]]), "mean", K, names(2))


def test_alignment_against_loops():
    torch.manual_seed(0)
    queries = represent(encoded([[0, 1, -1], [2, 3, 4]]), "sequence", K, names(2))
    clips = [[0, 1, 2, 3], [4, 3, 2, -1], [1, 1, 2, 0]]
    gallery = represent(encoded(clips), "sequence", K, names(3))
    unit_table = TABLE / TABLE.norm(dim=1, keepdim=True)
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for i, q in enumerate([[0, 1], [2, 3, 4]]):
        for j, g in enumerate([[0, 1, 2, 3], [4, 3, 2], [1, 1, 2, 0]]):
            expected[i, j] = max(
                sum(float(unit_table[a] @ unit_table[b]) for a, b in zip(q, g[o:], strict=False))
                / len(q)
                for o in range(len(g) - len(q) + 1)
            )
    torch.testing.assert_close(alignment(queries, gallery), expected, rtol=1e-4, atol=2e-6)
    assert alignment(queries, gallery)[0, 0] == 1.0


def test_a_query_longer_than_a_clip_cannot_slide():
    queries = represent(encoded([[0, 1, 2]]), "sequence", K, ["long"])
    gallery = represent(encoded([[0, 1, 2], [0, 1, -1]]), "sequence", K, ["a", "short"])
    with pytest.raises(DataError, match=r"'long' has 3 steps and clip 'short' .* 2"):
        similarity(queries, gallery)


def random_clips(n, by="mean", seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, K, (n, 6), generator=generator).tolist()
    return represent(encoded(codes), by, K, names(n))


@pytest.mark.parametrize("by", ALL_BY)
def test_a_clip_finds_itself(by):
    clips = represent(encoded([[0, 1], [1, 2], [3, 3], [4, 2]]), by, K, names(4))
    hits = ExactIndex(clips).search(clips, 1)
    assert hits.places[:, 0].tolist() == [0, 1, 2, 3]
    assert [found[0][0] for found in shown_hits(hits, clips)] == names(4)


def test_blocks_change_nothing(monkeypatch):
    torch.manual_seed(0)
    gallery = unit(torch.randn(200, 8), "mean", torch.ones(200), names(200))
    one = ExactIndex(gallery).search(gallery, 5)
    monkeypatch.setattr(index_module, "BLOCK", 7)
    assert torch.equal(ExactIndex(gallery).search(gallery, 5).places, one.places)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="queries by codes"):
        ExactIndex(random_clips(4)).search(random_clips(2, "codes"))


def test_without_faiss_the_remedy_is_named(monkeypatch):
    import builtins

    real = builtins.__import__

    def no_faiss(name, *args, **kwargs):
        if name == "faiss":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_faiss)
    with pytest.raises(ConfigError, match=r"cmg-torch\[faiss\]"):
        open_index(random_clips(4), "faiss")


def test_an_index_is_read_back(tmp_path):
    kept = StoredGallery(random_clips(4, "sequence"), "audio", "test", "store", "ab")
    kept.save(tmp_path / "g.safetensors")
    found = StoredGallery.load(tmp_path / "g.safetensors")
    assert torch.equal(found.gallery.vectors, kept.gallery.vectors.float())
    assert found.gallery.ids == kept.gallery.ids
    assert (found.modality, found.split, found.model_sha256) == ("audio", "test", "ab")
    (tmp_path / "g.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is no index"):
        StoredGallery.load(tmp_path / "g.safetensors")


def test_directions_galleries_and_what_is_not_defined():
    a = encoded([[0, 1, 0], [1, 1, 1], [2, 3, 2], [4, 4, 4], [0, 0, 0]])
    b = encoded([[0, 1, -1], [1, 1, -1], [2, 3, -1], [4, 4, -1], [-1, -1, -1]])
    classes = torch.tensor([0, 0, 1, 1, 0])
    found, undefined = evaluate_directions({"a": a, "b": b}, "mean", K, names(5), classes)
    assert found["a->b"].gallery == 4
    assert not undefined
    found, undefined = evaluate_directions({"a": a, "b": b}, "sequence", K, names(5), classes)
    assert set(found) == {"b->a"}
    assert "3 steps" in undefined["a->b"]
    groups = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    by_group, _ = evaluate_directions({"a": a, "b": b}, "mean", K, names(5), None, groups)
    assert by_group["a->b"].chance[1] == 50.0
    told = over_seeds([found, found])["b->a"]
    assert told["R@1"].n == 2
    assert "mAP" in told


def test_a_single_pair_is_refused():
    a, b = encoded([[0], [1]]), encoded([[0], [-1]])
    with pytest.raises(DataError, match=r"1 clip\(s\) have both a and b"):
        evaluate_directions({"a": a, "b": b}, "mean", K, names(2))
