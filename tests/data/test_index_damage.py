"""Stores whose index, or whose rows beside it, were damaged: what is refused, and when."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct

import pytest
from tests.data.conftest import CLIPS_IN_ALL, random_clips

from cmg.data import FeatureStore, verify_store
from cmg.data.manifest import CLIPS, INDEX, MANIFEST
from cmg.errors import DataError


def edit_row(store, clip):
    """Change one letter of a row."""
    path = store.path / CLIPS
    lines = path.read_text().splitlines(keepends=True)
    lines[clip] = lines[clip].replace('"index":', '"xndex":')
    path.write_text("".join(lines))


def test_an_edited_row_is_refused_when_its_block_is_read(indexed):
    edit_row(indexed, 70)
    store = FeatureStore.open(indexed.path)
    assert store.rows[63].id == "clip 63/ü"  # of the block before
    assert store.rows[128].id == "clip 128/ü"
    for wanted in (64, 70, 127):
        with pytest.raises(DataError, match=r"clips\.jsonl, lines 65 to 128, was edited"):
            store.rows[wanted]
    with pytest.raises(DataError, match=r"clips\.jsonl, lines 65 to 128"):
        list(store.rows)
    (problem,) = store.verify()
    assert "clips.jsonl was edited" in problem


def test_rows_of_another_size_are_refused_at_open(indexed):
    path = indexed.path / CLIPS
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(DataError, match=r"clips\.jsonl was edited.*index.*write the store again"):
        FeatureStore.open(indexed.path)
    path.unlink()
    with pytest.raises(DataError, match=r"clips\.jsonl: No such file"):
        FeatureStore.open(indexed.path)


def test_a_foreign_index_is_refused(indexed, write):
    other = write(random_clips(CLIPS_IN_ALL, seed=1), "other", shard_bytes=4000)
    shutil.copy(other.path / INDEX, indexed.path / INDEX)
    with pytest.raises(DataError, match=r"index.*another clips\.jsonl; delete it .*reads all"):
        FeatureStore.open(indexed.path)
    (problem,) = indexed.verify()
    assert "another clips.jsonl" in problem


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_a_cut_index_is_refused(indexed, keep):
    path = indexed.path / INDEX
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match=r"clips\.index.*cannot be read.*delete it"):
        FeatureStore.open(indexed.path)
    (problem,) = indexed.verify()
    assert "clips.index" in problem


def rewritten(path, change):
    """The file with another header."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8 : 8 + size])
    change(head)
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def without_facts(head):
    del head["__metadata__"]


def of_another_version(head):
    head["__metadata__"]["version"] = "2"


def without_absent(head):
    head["__metadata__"]["absent"] = "{]"


def with_strange_absent(head):
    head["__metadata__"]["absent"] = json.dumps(dict.fromkeys(["half", "single"], 1))


def with_many_absent(head):
    names = ["half", "single", "double", "bytes"]
    head["__metadata__"]["absent"] = json.dumps(dict.fromkeys(names, 151))


def with_another_name(head):
    head["kays"] = head.pop("keys")


def with_another_shape(head):
    head["keys"]["shape"] = [CLIPS_IN_ALL // 2, 2]


def with_another_dtype(head):
    head["keys"]["dtype"] = "F64"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_facts, "is of format"),
        (of_another_version, "is of format"),
        (without_absent, "which modalities are absent"),
        (with_strange_absent, "which modalities are absent"),
        (with_many_absent, "strange counts"),
        (with_another_name, "holds"),
        (with_another_shape, "has keys int64"),
        (with_another_dtype, "has keys float64"),
    ],
)
def test_a_malformed_index_is_refused(indexed, change, message):
    rewritten(indexed.path / INDEX, change)
    with pytest.raises(DataError, match=rf"clips\.index.*{message}.*delete it"):
        FeatureStore.open(indexed.path)
    (problem,) = indexed.verify()
    assert message in problem


def test_an_edited_index_is_found(indexed):
    """Verify finds any change; a row that is read, wrong places of lines and wrong lengths."""
    path = indexed.path / INDEX
    good = path.read_bytes()
    places = {
        "lines": (indexed.index.lines, 5, "checksum|no line"),
        "steps.half": (indexed.index.steps["half"], 5, "differ in lengths of half"),
        "split.train": (indexed.index.members["train"], 5, None),
        "keys": (indexed.index.keys, 5, None),
        "blocks": (indexed.index.blocks, 0, "checksum differs"),
    }
    start = struct.unpack("<Q", good[:8])[0] + 8
    head = json.loads(good[8:start])
    for name, (tensor, place, message) in places.items():
        at = start + head[name]["data_offsets"][0] + place * tensor.strides[0]
        data = bytearray(good)
        data[at] ^= 1
        path.write_bytes(data)
        (problem,) = verify_store(indexed.path)
        assert f"{name} is not what the rows say" in problem
        if message is not None:
            with pytest.raises(DataError, match=message):
                list(FeatureStore.open(indexed.path).rows[:10])
    path.write_bytes(good)
    assert verify_store(indexed.path) == []
    rewritten(path, lambda head: head["__metadata__"].update(more="x"))
    (problem,) = verify_store(indexed.path)
    assert "clips.index" in problem
    assert "checksum differs" in problem


def test_a_deleted_index_is_done_without_and_told(indexed, eager):
    assert eager.content_hash == indexed.content_hash
    (problem,) = verify_store(eager.path)
    assert "clips.index.safetensors is missing" in problem


def test_an_index_that_the_manifest_does_not_name_is_not_read(write, monkeypatch):
    store = write(random_clips(12))
    (store.path / INDEX).write_bytes(b"anything")
    assert isinstance(FeatureStore.open(store.path).rows, list)
    (problem,) = store.verify()
    assert "clips.index.safetensors is not in manifest.json; remove it" in problem


def test_verify_finds_what_it_found_in_small_stores(indexed):
    """An id that occurs twice, and a label out of range, in rows whose checksums were renewed."""
    path = indexed.path / CLIPS
    text = path.read_text().replace('"id":"clip 7/\\u00fc"', '"id":"clip 9/\\u00fc"')
    text = text.replace('"kind":1', '"kind":5', 1)
    path.write_text(text)
    manifest = json.loads((indexed.path / MANIFEST).read_text())
    manifest["clips_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (indexed.path / MANIFEST).write_text(json.dumps(manifest))
    problems = verify_store(indexed.path)
    assert any("clip id 'clip 9/ü' occurs 2 times" in p for p in problems)
    assert any("class index out of range 0..1 in 5" in p for p in problems)
    assert any("clips.index" in p and "another clips.jsonl" in p for p in problems)
    assert len(problems) == 3
