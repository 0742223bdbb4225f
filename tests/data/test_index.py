"""Stores with an index: to the bit what they are without it, rows read when they are wanted."""

from __future__ import annotations

import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pytest
import torch
from tests.data.conftest import CLIPS_IN_ALL, random_clips

from cmg.copying.clips import copy_clips
from cmg.data import Batches, FeatureStore, batches, index
from cmg.data.alignment import AlignedClips
from cmg.data.manifest import CLIPS, INDEX, MANIFEST, ClipRow, read_manifest
from cmg.data.prefetch import epoch_ahead
from cmg.data.rows import IndexedRows, LazyRows
from cmg.data.share import nested_part
from cmg.errors import DataError, ModalityError


@pytest.fixture
def everywhere(monkeypatch):
    """Orders are computed place by place, as in splits of more than a million clips."""
    monkeypatch.setattr(batches, "SORTED_UP_TO", 10)


def same(one, other):
    assert one.ids == other.ids
    assert list(one.features) == list(other.features)
    for m, x in one.features.items():
        assert torch.equal(x, other.features[m])
    assert (one.lengths is None) == (other.lengths is None)
    for m, n in (one.lengths or {}).items():
        assert torch.equal(n, other.lengths[m])


# --- what it says ------------------------------------------------------------------------------


def test_only_stores_of_many_clips_have_an_index(write, monkeypatch):
    monkeypatch.setattr(index, "INDEXED_ABOVE", 12)
    small = write(random_clips(12), "small")
    assert not (small.path / INDEX).exists()
    assert "index_sha256" not in json.loads((small.path / MANIFEST).read_text())
    assert isinstance(small.rows, list)
    large = write(random_clips(13), "large")
    told = json.loads((large.path / MANIFEST).read_text())["index_sha256"]
    assert told == hashlib.sha256((large.path / INDEX).read_bytes()).hexdigest()
    assert isinstance(large.rows, IndexedRows)


def test_an_index_by_hand(write, monkeypatch):
    monkeypatch.setattr(index, "INDEXED_ABOVE", 0)
    store = write(random_clips(3))
    lines = (store.path / CLIPS).read_bytes().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    ends = [0, len(lines[0]), len(lines[0] + lines[1]), len(b"".join(lines))]
    assert store.index.lines.tolist() == ends
    half = [row["lengths"].get("half", 0) for row in rows]
    assert half[1] == 0
    assert store.index.steps["half"].tolist() == [0, half[0], half[0], half[0] + half[2]]
    assert store.index.absent == {"half": 1, "single": 0, "double": 0, "bytes": 1}
    assert store.index.members["test"].tolist() == [0]
    assert store.index.members["train"].tolist() == [1, 2]
    digest = hashlib.sha256("clip 0/ü".encode()).hexdigest()
    assert int(store.index.keys[0]) == int(digest[:16], 16) // 2
    assert store.index.blocks.tobytes() == hashlib.sha256(b"".join(lines)).digest()


def test_rows_are_those_of_the_file(indexed, eager):
    rows = indexed.rows
    assert isinstance(eager.rows, list)
    assert len(rows) == CLIPS_IN_ALL
    assert list(rows) == eager.rows
    assert rows[0] == eager.rows[0]
    assert rows[-1] == rows[np.int64(CLIPS_IN_ALL - 1)] == eager.rows[-1]
    for part in (slice(60, 130), slice(None, None, -7), slice(5, 2), slice(-3, None)):
        assert list(rows[part]) == eager.rows[part]
    for beyond in (CLIPS_IN_ALL, -CLIPS_IN_ALL - 1):
        with pytest.raises(IndexError, match="no row"):
            rows[beyond]


def test_opening_parses_no_row(indexed, monkeypatch):
    def fails(*_args, **_options):
        raise AssertionError("a row was parsed")

    with monkeypatch.context() as patched:
        patched.setattr(ClipRow, "model_validate_json", fails)
        store = FeatureStore.open(indexed.path)
        split = store.split("train")
        made = Batches(split, 8)
        assert made.count == len(split) == 100
        nested_part(split, 1.0)
        assert split.lengths("half").sum() == split.total_steps("half")
        x, n = split.features("double", [0, 3])
        assert len(x) == len(n) == 2
        with pytest.raises(AssertionError, match="parsed"):
            made.at(0, 0)  # ids


# --- the same to the bit -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "test", "test+train"])
def test_splits_are_the_same(indexed, eager, name):
    one, other = indexed.split(name), eager.split(name)
    assert one.positions.tolist() == other.positions.tolist()
    assert isinstance(one.rows, LazyRows)
    assert list(one.rows) == other.rows
    assert list(one.rows[10:2:-3]) == other.rows[10:2:-3]
    assert list(one.rows[::-1]) == other.rows[::-1]
    assert list(one.rows[3:3]) == []
    assert list(one.rows[-10_000::-1]) == []
    assert one.ids == other.ids
    assert list(indexed.clips(name)) == eager.clips(name)
    for m in indexed.modalities:
        assert torch.equal(one.lengths(m), other.lengths(m))
        assert one.total_steps(m) == int(other.lengths(m).sum())
        assert torch.equal(one.features(m)[0], other.features(m)[0])
    for label in indexed.labels:
        assert torch.equal(one.labels(label), other.labels(label))
    some = [4, 0, 4]
    assert one.subset(some).ids == other.subset(some).ids
    with pytest.raises(ModalityError, match="did you mean 'half'"):
        one.lengths("hlaf")
    with pytest.raises(DataError, match="did you mean 'train'"):
        indexed.split("trian")


@pytest.mark.parametrize("modalities", [None, ["half"], ["bytes", "half"], ["half", "single"]])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"shuffled_pairs": True, "seed": 3}])
def test_batches_are_the_same(indexed, eager, modalities, options):
    one = Batches(indexed.split("train"), 9, modalities, **options)
    other = Batches(eager.split("train"), 9, modalities, **options)
    assert one.clips.tolist() == other.clips.tolist()
    for epoch in range(2):
        for a, b in zip(one.epoch(epoch), other.epoch(epoch), strict=True):
            same(a, b)
        for i in range(len(one)):
            a, b = one.whole_lengths(epoch, i), other.whole_lengths(epoch, i)
            assert all(torch.equal(a[m], b[m]) for m in b)


def test_clips_without_a_wanted_modality_are_left_out(indexed, eager):
    """Clips 1, 5, 9, ... lack `half`; the others are there in the order of the store."""
    made = Batches(indexed.split("test+train"), 9, ["half"], shuffle=False)
    have = np.flatnonzero(eager.split("test+train").lengths("half").numpy())
    assert 0 < len(have) < CLIPS_IN_ALL
    assert made.clips.tolist() == have.tolist()
    assert np.concatenate([made.indices(0, i) for i in range(len(made))]).tolist() == have.tolist()


def test_scans_in_parts_are_the_same(indexed, monkeypatch):
    def seen():
        split = indexed.split("train")
        kept = Batches(split, 9, ["bytes", "half"]).clips.tolist()
        return split.lengths("half").tolist(), kept, nested_part(split, 0.3).positions.tolist()

    whole = seen()
    monkeypatch.setattr("cmg.data.source.AT_ONCE", 7)
    assert seen() == whole


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.99, 1.0])
def test_a_share_is_that_of_the_ranked_ids(indexed, eager, fraction, monkeypatch):
    ids = eager.split("train").ids
    ranked = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())
    wanted = [ids[i] for i in sorted(ranked[: int(np.ceil(fraction * len(ids)))])]
    for bits in (16, 2, 0):  # of 4 ranges and of 1, most ids are ranked by their whole digests
        monkeypatch.setattr("cmg.data.share.RANGE_BITS", bits)
        for store in (indexed, eager, AlignedClips(write_unlabeled(indexed), 0.7)):
            assert nested_part(store.split("train"), fraction).ids == wanted


def write_unlabeled(store):
    """The store, said to have no label per step, so that it can be brought to other steps."""
    found = FeatureStore.open(store.path)
    found.manifest = store.manifest.model_copy(update={"labels": {}})
    return found


def test_steps_of_another_duration_are_the_same(indexed, eager):
    one, other = (AlignedClips(write_unlabeled(s), 0.7) for s in (indexed, eager))
    assert isinstance(one.rows, LazyRows)
    assert list(one.rows) == other.rows == list(one.rows[:])
    for m in one.modalities:
        wanted = [row.lengths.get(m, 0) for row in other.split("train").rows]
        assert one.split("train").lengths(m).tolist() == wanted
        assert one.split("train").features(m)[1].tolist() == wanted
    for a, b in zip(
        Batches(one.split("train"), 9).epoch(0), Batches(other.split("train"), 9).epoch(0),
        strict=True,
    ):  # fmt: skip
        same(a, b)


# --- processes and threads -----------------------------------------------------------------------


def test_what_is_pickled_is_small_and_the_same(indexed, everywhere):
    made = Batches(indexed.split("train"), 9, seed=2)
    first = made.at(1, 3)
    assert list(made.split.rows[:2])
    data = pickle.dumps(made)
    assert made.split.rows[0].id.encode() not in data  # no row
    again = pickle.loads(data)
    same(again.at(1, 3), first)
    store = again.split.store
    assert store.rows.known is store.index
    assert list(store.rows) == list(indexed.rows)
    positions = indexed.split("train").positions.tobytes()
    assert positions not in data
    aligned = Batches(AlignedClips(write_unlabeled(indexed), 0.7).split("train"), 9)
    same(pickle.loads(pickle.dumps(aligned)).at(0, 1), aligned.at(0, 1))
    subset = indexed.split("train").subset([5, 1])
    assert pickle.loads(pickle.dumps(subset)).ids == subset.ids


def test_threads_read_the_same_rows(indexed, eager):
    store = FeatureStore.open(indexed.path)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(CLIPS_IN_ALL), 4)).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.rows.__getitem__, order)) == [eager.rows[i] for i in order]


# --- copies and other machines -------------------------------------------------------------------


def test_a_copy_in_chunks_has_the_same_index(indexed, tmp_path):
    copied = copy_clips(indexed, tmp_path / "copy", workers=1, chunk=40)
    assert copied.manifest.index_sha256 == indexed.manifest.index_sha256
    store = FeatureStore.open(tmp_path / "copy")
    assert list(store.rows) == list(indexed.rows)
    assert store.verify() == []


@pytest.fixture
def bucket(indexed, request, tmp_path, monkeypatch):
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))
    address = f"memory://bucket-{abs(hash(request.node.name))}/store"
    files, root = fsspec.core.url_to_fs(address)
    for path in indexed.path.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{root}/{path.relative_to(indexed.path)}", path.read_bytes())
    return address


def test_a_remote_index_comes_with_the_rows(indexed, bucket, tmp_path):
    for _ in range(2):  # the second from the cache
        remote = FeatureStore.open(bucket)
        assert isinstance(remote.rows, IndexedRows)
        assert list(remote.rows) == list(indexed.rows)
    for a, b in zip(
        Batches(remote.split("train"), 9).epoch(0), Batches(indexed.split("train"), 9).epoch(0),
        strict=True,
    ):  # fmt: skip
        same(a, b)
    assert remote.verify() == []
    (kept,) = (tmp_path / "cache").rglob(INDEX)
    kept.write_bytes(b"")
    with pytest.raises(DataError, match="delete it"):
        FeatureStore.open(bucket)
    kept.unlink()
    assert list(FeatureStore.open(bucket).rows) == list(indexed.rows)  # fetched again


def test_a_damaged_remote_index_is_refused(bucket, tmp_path):
    files, root = fsspec.core.url_to_fs(bucket)
    data = bytearray(files.cat_file(f"{root}/{INDEX}"))
    data[-1] ^= 1
    files.pipe_file(f"{root}/{INDEX}", bytes(data))
    with pytest.raises(DataError, match=r"memory://.*clips\.index.*was edited.*checksum differs"):
        FeatureStore.open(bucket)
    assert not list((tmp_path / "cache").rglob(f"*{INDEX}*"))


def test_a_remote_index_may_be_deleted(indexed, bucket):
    files, root = fsspec.core.url_to_fs(bucket)
    files.rm(f"{root}/{INDEX}")
    assert FeatureStore.open(bucket).rows == list(indexed.rows)


# --- each clip once per epoch --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sorted", "computed"])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_clip_is_read_exactly_once_per_epoch_over_all_ranks(
    indexed, monkeypatch, kind, world, workers
):
    monkeypatch.setattr(batches, "SORTED_UP_TO", 1000 if kind == "sorted" else 10)
    split = indexed.split("test+train")
    have = split.lengths("half").numpy() > 0
    wanted = sorted(name for name, there in zip(split.ids, have, strict=True) if there)
    orders = []
    for epoch in range(2):
        seen = []
        for rank in range(world):
            made = Batches(split, 12, ["half"], seed=1, rank=rank, world=world)
            for batch in epoch_ahead(made, epoch, workers=workers):
                seen += batch.ids
        assert sorted(seen) == wanted
        orders.append(seen)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("kind", ["sorted", "computed"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_epoch_goes_on_in_the_middle_as_if_it_had_not_stopped(
    indexed, monkeypatch, kind, workers
):
    """Every rank, in a fresh process (a fresh store), from every batch on."""
    monkeypatch.setattr(batches, "SORTED_UP_TO", 1000 if kind == "sorted" else 10)
    for rank in range(2):
        options = {"batch_size": 12, "seed": 1, "rank": rank, "world": 2}
        whole = list(Batches(indexed.split("train"), **options).epoch(3))
        for start in range(0, len(whole) + 1, 2):
            made = Batches(FeatureStore.open(indexed.path).split("train"), **options)
            rest = list(epoch_ahead(made, 3, start, workers=workers))
            assert len(rest) == len(whole) - start
            for a, b in zip(rest, whole[start:], strict=True):
                same(a, b)


def test_the_computed_order_is_that_of_the_network(indexed, everywhere):
    from cmg.data.bijection import scattered

    made = Batches(indexed.split("train"), 9, seed=4)
    order = np.concatenate([made.indices(2, i) for i in range(len(made))])
    assert order.tolist() == scattered(100, np.arange(100), 4, 2).tolist()
    assert made._order is None  # nothing was sorted


def test_the_sorted_order_is_as_it_was(indexed):
    made = Batches(indexed.split("train"), 9, seed=4)
    order = np.concatenate([made.indices(2, i) for i in range(len(made))])
    assert order.tolist() == batches.permutation(100, 4, 2).tolist()


def test_manifests_are_as_they_were(store):
    """The key is only written where there is an index, so old hashes stand."""
    told = read_manifest(store.path)
    assert told.index_sha256 is None
    assert b"index_sha256" not in told.canonical() + told.pretty()
