"""Columns: to the bit what the rows of version 1 were, made when they are wanted."""

import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from tests.data.conftest import CLIPS_IN_ALL, random_clips, resealed

from cmg.copying.clips import copy_clips
from cmg.data import Batches, batches, open_store, verify_store
from cmg.data.columns import Rows, line_of
from cmg.data.manifest import BLOCKS, COLUMNS, LINES, MANIFEST, ClipRow
from cmg.data.mapped import write_arrays
from cmg.data.prefetch import epoch_ahead
from cmg.errors import DataError, ModalityError

KEPT = Path(__file__).parents[1] / "compatibility" / "kept" / "stores"


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


def test_columns_by_hand(write):
    store = write(random_clips(3))
    rows = list(store.rows)
    arrays = store.columns.arrays
    names = [row.id.encode() for row in rows]
    assert arrays["ids"].tobytes() == b"".join(names) == "clip 0/üclip 1/üclip 2/ü".encode()
    assert arrays["ids.ends"].tolist() == [0, 9, 18, 27]
    half = [row.lengths.get("half", 0) for row in rows]
    assert half[1] == 0
    assert arrays["steps.half"].tolist() == [0, half[0], half[0], half[0] + half[2]]
    assert store.columns.absent == {"half": 1, "single": 0, "double": 0, "bytes": 1}
    assert arrays["split.test"].tolist() == [0]
    assert arrays["split.train"].tolist() == [1, 2]
    assert arrays["split"].tolist() == [0, 1, 1]
    assert arrays["label.kind"].tolist() == [-1, 1, 0]
    ends = arrays["rest.ends"]
    first = json.loads(arrays["rest"][: ends[1]].tobytes())
    assert first == {
        "labels": {"step": rows[0].labels["step"]}, "meta": {"index": 0, "nested": {"a": [1, None]}}
    }  # fmt: skip


def test_a_line_is_what_version_1_wrote():
    labels = {"kind": None, "step": [1, -1]}
    row = ClipRow(id="ü", split="a", lengths={"x": 2, "y": 0}, labels=labels, meta={"b": 1.5})
    assert line_of(row) == (
        b'{"id":"\\u00fc","split":"a","lengths":{"x":2},"labels":{"kind":null,"step":[1,-1]},'
        b'"meta":{"b":1.5}}\n'
    )


def test_both_versions_say_the_same_and_have_one_content_hash(many, old):
    assert old.manifest.version == 1
    assert many.manifest.version == 2
    assert old.content_hash == many.content_hash
    assert list(old.rows) == list(many.rows)
    assert sorted(old.columns.arrays) == sorted(many.columns.arrays)
    for name, array in many.columns.arrays.items():
        assert np.array_equal(array, old.columns.arrays[name]), name
    assert verify_store(old.path) == verify_store(many.path) == []


def test_rows_are_a_sequence(many):
    rows, all_ = many.rows, [many.rows[i] for i in range(CLIPS_IN_ALL)]
    assert len(rows) == CLIPS_IN_ALL
    assert list(rows) == all_
    assert rows[-1] == rows[np.int64(CLIPS_IN_ALL - 1)] == all_[-1]
    for part in (slice(60, 130), slice(None, None, -7), slice(5, 2), slice(-3, None)):
        assert list(rows[part]) == all_[part]
    for beyond in (CLIPS_IN_ALL, -CLIPS_IN_ALL - 1):
        with pytest.raises(IndexError):
            rows[beyond]


def test_opening_and_batches_make_no_row(many, monkeypatch):
    def fails(*_args, **_options):
        raise AssertionError("a row was made")

    monkeypatch.setattr("cmg.data.columns.ClipRow", fails)
    store = open_store(many.path)
    split = store.split("train")
    made = Batches(split, 8)
    assert made.count == len(split) == 100
    assert len(split.share(0.5)) == 50
    assert split.lengths("half").sum() == split.total_steps("half")
    assert len(made.at(0, 0).ids) == 8
    assert split.label("kind").shape == (100,)
    with pytest.raises(AssertionError, match="was made"):
        split.rows[0]


# --- the same to the bit -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "test", "test+train"])
def test_splits_are_the_same(many, old, name):
    one, other = many.split(name), old.split(name)
    assert one.positions.tolist() == other.positions.tolist()
    assert isinstance(one.rows, Rows)
    assert list(one.rows) == list(other.rows)
    assert list(one.rows[10:2:-3]) == list(one.rows)[10:2:-3]
    assert one.ids == other.ids == [row.id for row in one.rows]
    for m in many.modalities:
        assert torch.equal(one.lengths(m), other.lengths(m))
        assert one.total_steps(m) == int(other.lengths(m).sum())
        assert torch.equal(one.features(m)[0], other.features(m)[0])
    for label in many.labels:
        assert torch.equal(one.label(label), other.label(label))
    some = [4, 0, 4]
    assert one.only(some).ids == other.only(some).ids
    with pytest.raises(ModalityError, match="did you mean 'half'"):
        one.lengths("hlaf")
    with pytest.raises(DataError, match="did you mean 'train'"):
        many.split("trian")


@pytest.mark.parametrize("modalities", [None, ["half"], ["bytes", "half"], ["half", "single"]])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"shuffled_pairs": True, "seed": 3}])
def test_batches_are_the_same(many, old, modalities, options):
    one = Batches(many.split("train"), 9, modalities, **options)
    other = Batches(old.split("train"), 9, modalities, **options)
    assert one.clips.tolist() == other.clips.tolist()
    for epoch in range(2):
        for a, b in zip(one.epoch(epoch), other.epoch(epoch), strict=True):
            same(a, b)
        for i in range(len(one)):
            a, b = one.whole_lengths(epoch, i), other.whole_lengths(epoch, i)
            assert all(torch.equal(a[m], b[m]) for m in b)


def test_scans_in_parts_are_the_same(many, monkeypatch):
    def seen():
        split = many.split("train")
        kept = Batches(split, 9, ["bytes", "half"]).clips.tolist()
        return split.lengths("half").tolist(), kept, split.share(0.3).positions.tolist()

    whole = seen()
    monkeypatch.setattr("cmg.data.clips.AT_ONCE", 7)
    assert seen() == whole


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.99, 1.0])
def test_a_share_is_that_of_the_ranked_ids(many, old, fraction):
    ids = old.split("train").ids
    ranked = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())
    wanted = [ids[i] for i in sorted(ranked[: int(np.ceil(fraction * len(ids)))])]
    for store in (many, old, unlabeled(many).on_grid(0.7)):
        assert store.split("train").share(fraction).ids == wanted


def unlabeled(store):
    """The store, said to have no label per step, so that it can be brought to other steps."""
    return replace(store, about=replace(store.about, labels={}))


def test_steps_of_another_duration_are_the_same(many, old):
    one, other = (unlabeled(s).on_grid(0.7) for s in (many, old))
    assert list(one.rows) == list(other.rows) == list(one.rows[:])
    for m in one.modalities:
        wanted = [row.lengths.get(m, 0) for row in other.split("train").rows]
        assert one.split("train").lengths(m).tolist() == wanted
        assert one.split("train").features(m)[1].tolist() == wanted
    for a, b in zip(
        Batches(one.split("train"), 9).epoch(0), Batches(other.split("train"), 9).epoch(0),
        strict=True,
    ):  # fmt: skip
        same(a, b)


def test_views_of_views(many):
    train = many.split("train")
    some = train.only([4, 0, 9])
    assert some.ids == [train.ids[i] for i in (4, 0, 9)]
    assert some.only([2]).ids == [train.ids[9]]
    assert [row.split for row in many.only(range(20)).split("test").rows] == ["test"] * 7
    assert len(some.split("test")) == 0
    with pytest.raises(IndexError):
        train.only([100])
    with pytest.raises(IndexError):
        many.features("half", [CLIPS_IN_ALL])
    assert torch.equal(some.label("kind"), train.label("kind")[[4, 0, 9]])


# --- processes and threads -----------------------------------------------------------------------


def test_what_is_pickled_is_small_and_the_same(many, everywhere):
    made = Batches(many.split("train"), 9, seed=2)
    first = made.at(1, 3)
    assert list(made.split.rows[:2])
    data = pickle.dumps(made)
    assert made.split.rows[0].id.encode() not in data  # no row
    again = pickle.loads(data)
    same(again.at(1, 3), first)
    assert list(again.split.rows) == list(many.split("train").rows)
    assert many.split("train").positions.tobytes() not in data
    aligned = Batches(unlabeled(many).on_grid(0.7).split("train"), 9)
    same(pickle.loads(pickle.dumps(aligned)).at(0, 1), aligned.at(0, 1))
    subset = many.split("train").only([5, 1])
    assert pickle.loads(pickle.dumps(subset)).ids == subset.ids


def test_threads_read_the_same_rows(many, old):
    store = open_store(many.path)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(CLIPS_IN_ALL), 4)).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.rows.__getitem__, order)) == [old.rows[i] for i in order]


# --- copies and other machines -------------------------------------------------------------------


def test_a_copy_in_chunks_has_the_same_columns(many, old, tmp_path):
    for name, source in (("copy", many), ("anew", old)):  # version 1 is written anew as version 2
        copied = copy_clips(source, tmp_path / name, workers=1, chunk=40)
        assert copied.manifest.columns_sha256 == many.manifest.columns_sha256
        store = open_store(tmp_path / name)
        assert list(store.rows) == list(many.rows)
        assert store.manifest.version == 2
        assert verify_store(store.path) == []


@pytest.fixture
def bucket(many, in_bucket):
    return in_bucket(many)


def test_remote_columns_come_at_opening(many, bucket, tmp_path):
    for _ in range(2):  # the second from the cache
        remote = open_store(bucket)
        assert list(remote.rows) == list(many.rows)
    for a, b in zip(
        Batches(remote.split("train"), 9).epoch(0), Batches(many.split("train"), 9).epoch(0),
        strict=True,
    ):  # fmt: skip
        same(a, b)
    assert verify_store(remote.path) == []
    (kept,) = (tmp_path / "cache").rglob(COLUMNS)
    kept.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        open_store(bucket)
    kept.unlink()
    assert list(open_store(bucket).rows) == list(many.rows)  # fetched again


def test_damaged_remote_columns_are_refused(bucket, tmp_path):
    files, root = fsspec.core.url_to_fs(bucket)
    data = bytearray(files.cat_file(f"{root}/{COLUMNS}"))
    data[-1] ^= 1
    files.pipe_file(f"{root}/{COLUMNS}", bytes(data))
    with pytest.raises(DataError, match=r"memory://.*clips\.safetensors.*was edited.*checksum"):
        open_store(bucket)
    assert not list((tmp_path / "cache").rglob(f"*{COLUMNS}*"))


# --- damage --------------------------------------------------------------------------------------


def test_version_1_refuses_edited_rows(old):
    path = old.path / LINES
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"index":', b'"xndex":', 1))
    with pytest.raises(DataError, match=r"clips\.jsonl was edited.*write the store again"):
        open_store(old.path)
    assert "clips.jsonl was edited" in verify_store(old.path)[0]
    path.unlink()
    with pytest.raises(DataError, match=r"clips\.jsonl is missing"):
        open_store(old.path)


def rewritten(store, change=None, **facts):
    """Columns that were changed, and everything beside them as if they had been written so."""
    arrays = {name: np.array(x) for name, x in store.columns.arrays.items()}
    if change is not None:
        change(arrays)
    told = {"format": "cmg-columns", "version": 1, "absent": store.columns.absent} | facts
    write_arrays(store.path / COLUMNS, arrays, told)
    resealed(store.path)


def put(name, at, value):
    def change(arrays):
        arrays[name][at] = value

    return change


@pytest.mark.parametrize(
    ("change", "facts", "message"),
    [
        (None, {"version": 2}, "is of format"),
        (None, {"absent": "x"}, "which modalities are absent"),
        (None, {"absent": {"half": 1, "single": 1}}, "which modalities are absent"),
        (None, {"absent": dict.fromkeys(["half", "single", "double", "bytes"], 151)}, "strange co"),
        (lambda a: a.update(idz=a.pop("ids")), {}, "holds"),
        (lambda a: a.update(split=a["split"][:-1]), {}, "has split int32"),
        (lambda a: a.update(split=a["split"].astype(float)), {}, "has split float64"),
        (put("ids.ends", -1, 3), {}, "strange ends of ids"),
        (put("steps.half", 0, 1), {}, "strange steps of half"),
        (put("steps.half", slice(5, None), 10**13), {}, "has 1000.* steps of half"),
    ],
)
def test_malformed_columns_are_refused_at_opening(many, change, facts, message):
    rewritten(many, change, **facts)
    with pytest.raises(DataError, match=rf"{message}.*restore"):
        open_store(many.path)
    assert verify_store(many.path) != []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (put("ids.ends", 6, 10**12), "ids"),
        (put("ids", 2, 255), "ids"),
        (put("rest.ends", 6, -5), "rest"),
        (put("rest", 0, 65), "rest"),
        (put("split", 5, 7), "split"),
        (put("steps.half", 5, -(10**15)), "steps.half"),
        (put("steps.half", 5, 10**15), "steps.half"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_read(many, change, named):
    """As in columns that are too large to be compared with their checksum at every opening."""
    rewritten(many, change)
    store = open_store(many.path)
    with pytest.raises(DataError, match=f"column '{named}' is damaged"):
        assert [store[i] for i in range(10)]
    assert verify_store(many.path) != []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (put("split.train", 5, 0), "split.train"),
        (put("label.kind", 0, 5), "class index out of range 0..1 in 5"),
        (put("ids", slice(0, 9), list("clip 1/ü".encode())), "clip id 'clip 1/ü' occurs 2 times"),
        (put("ids", 5, 65), "the rows are not those of manifest.json"),
    ],
)
def test_verify_finds_what_reading_does_not(many, change, named):
    rewritten(many, change)
    open_store(many.path)
    assert any(named in problem for problem in verify_store(many.path))


def test_an_edited_manifest_and_edited_checksums_are_refused(many):
    path = many.path / MANIFEST
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"notes": "test"', b'"notes": "tset"'))
    with pytest.raises(DataError, match=r"manifest\.json was edited or damaged"):
        open_store(many.path)
    path.write_bytes(good)
    blocks = many.path / BLOCKS
    data = bytearray(blocks.read_bytes())
    data[-1] ^= 1
    blocks.write_bytes(data)
    assert "blocks.safetensors was edited or damaged" in verify_store(many.path)[0]
    blocks.unlink()
    assert "blocks.safetensors cannot be read" in verify_store(many.path)[0]


def test_verify_names_the_mebibyte(tmp_path, write):
    clips = random_clips(1)
    clips[0].features = {"double": np.ones((60_000, 5))}
    clips[0].labels = {}
    store = write(clips, "large")
    (shard,) = [s.file for s in store.manifest.shards if s.modality == "double"]
    data = bytearray((store.path / shard).read_bytes())
    data[(2 << 20) + 5] ^= 1
    (store.path / shard).write_bytes(data)
    (problem,) = verify_store(store.path)
    assert "first in the 1 MiB from byte 2097152" in problem


@pytest.mark.parametrize("name", ["plain", "compact", "indexed"])
def test_rows_of_version_1_come_back_to_the_byte(tmp_path, name):
    """Stores that commit 409785a wrote, as columns and as lines again; what has its checksum."""
    old = open_store(KEPT / name)
    lines = b"".join(map(line_of, old.rows))
    assert lines == (KEPT / name / LINES).read_bytes()
    copied = copy_clips(old, tmp_path / "new", workers=1).manifest
    assert copied.clips_sha256 == old.manifest.clips_sha256


# --- each clip once per epoch --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sorted", "computed"])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_clip_is_read_exactly_once_per_epoch_over_all_ranks(
    many, monkeypatch, kind, world, workers
):
    monkeypatch.setattr(batches, "SORTED_UP_TO", 1000 if kind == "sorted" else 10)
    split = many.split("test+train")
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
def test_an_epoch_goes_on_in_the_middle_as_if_it_had_not_stopped(many, monkeypatch, kind, workers):
    """Every rank, in a fresh process (a fresh store), from every batch on."""
    monkeypatch.setattr(batches, "SORTED_UP_TO", 1000 if kind == "sorted" else 10)
    for rank in range(2):
        options = {"batch_size": 12, "seed": 1, "rank": rank, "world": 2}
        whole = list(Batches(many.split("train"), **options).epoch(3))
        for start in range(0, len(whole) + 1, 2):
            made = Batches(open_store(many.path).split("train"), **options)
            rest = list(epoch_ahead(made, 3, start, workers=workers))
            assert len(rest) == len(whole) - start
            for a, b in zip(rest, whole[start:], strict=True):
                same(a, b)


def test_the_computed_order_is_that_of_the_network(many, everywhere, monkeypatch):
    monkeypatch.setattr(batches, "SCATTERED", 4)
    from cmg.data.bijection import scattered

    made = Batches(many.split("train"), 9, seed=4)
    order = np.concatenate([made.indices(2, i) for i in range(len(made))])
    assert order.tolist() == scattered(100, np.arange(100), 4, 2).tolist()
    back = [made.indices(2, i) for i in reversed(range(len(made)))]
    assert np.concatenate(back[::-1]).tolist() == order.tolist()


def test_the_sorted_order_is_as_it_was(many):
    made = Batches(many.split("train"), 9, seed=4)
    order = np.concatenate([made.indices(2, i) for i in range(len(made))])
    assert order.tolist() == batches.permutation(100, 4, 2).tolist()
