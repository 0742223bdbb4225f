"""Copies in chunks: the bytes depend on the source alone, whatever was interrupted."""

import errno
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cmg.copying import clips as module
from cmg.copying.clips import copy_clips
from cmg.data import open_store, verify_store
from cmg.data.features import converted
from cmg.errors import DataError, ModalityError


def features(store):
    return {
        (m, row.id): x[:n].numpy()
        for m in store.modalities
        for row, x, n in zip(store.rows, *store.features(m, np.arange(len(store))), strict=True)
    }


def equal(one, other):
    found, wanted = features(one), features(other)
    assert found.keys() == wanted.keys()
    for key, x in wanted.items():
        np.testing.assert_array_equal(found[key], x)


def failing(store, bad):
    """The store, some of whose clips cannot be read."""

    def read(modality, clips):
        (name,) = store.ids_of(clips)
        if modality == "single" and name in bad:
            raise DataError(f"clip {name!r}: its zip is damaged")
        return store.read(modality, clips)

    return replace(store, read=read)


@pytest.fixture
def left(tmp_path):
    """What there is besides the store that is copied."""
    return lambda: sorted(p.name for p in tmp_path.iterdir() if p.name != "store")


def test_a_copy_is_the_store(store, tmp_path, left):
    copied = copy_clips(store, tmp_path / "copy", workers=1, chunk=5)
    found = open_store(tmp_path / "copy")
    assert found.content_hash == copied.manifest.content_hash
    assert list(found.rows) == list(store.rows)
    assert found.labels == store.labels
    assert found.notes == store.notes
    assert found.manifest.modalities == store.manifest.modalities
    assert verify_store(found.path) == []
    equal(found, store)
    assert (copied.clips, copied.skipped, copied.resumed) == (12, (), 0)
    assert left() == ["copy"]


def test_an_encoding_can_be_changed_and_back(store, tmp_path):
    copy_clips(store, tmp_path / "compact", encoding="compact", workers=1, chunk=5)
    compact = open_store(tmp_path / "compact")
    assert {s.encoding for s in compact.manifest.modalities.values()} == {"compact"}
    equal(compact, store)
    copy_clips(compact, tmp_path / "dense", encoding="dense", workers=1, chunk=5)
    copy_clips(store, tmp_path / "plain", workers=1, chunk=5)
    dense = open_store(tmp_path / "dense")
    assert dense.content_hash == open_store(tmp_path / "plain").content_hash


def test_the_dtype_can_be_chosen(store, tmp_path):
    copied = copy_clips(store, tmp_path / "h", dtype="float16", workers=1, chunk=5)
    half = features(open_store(tmp_path / "h"))
    change = 0.0
    for (modality, clip), x in features(store).items():
        wanted = x.astype(np.float16)
        np.testing.assert_array_equal(half[modality, clip], wanted)
        if modality == "double" and x.size:
            change = max(change, float(np.abs(x - wanted).max()))
    assert copied.rounding["double"] == change > 0
    assert copied.rounding["half"] == copied.rounding["bytes"] == 0


def test_what_float16_cannot_hold_is_refused():
    with pytest.raises(DataError, match=r"clip 'a': 65520 is beyond float16.*as float32"):
        converted("clip 'a'", np.array([1.0, -65520.0], np.float32), "float16")
    kept, change = converted("clip 'a'", np.array([65504.0, 1 / 3], np.float32), "float16")
    assert kept[0] == 65504
    assert change == pytest.approx(1 / 3 - float(np.float16(1 / 3)), abs=1e-7)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"dtype": "float8"}, "did you mean"), ({"encoding": "compat"}, "'compact'")],
)
def test_unknown_options_are_refused(store, tmp_path, left, options, said):
    with pytest.raises(ModalityError, match=said):
        copy_clips(store, tmp_path / "copy", workers=1, **options)
    assert left() == []


def test_clips_that_cannot_be_read_are_skipped_by_name(store, tmp_path):
    bad = {store.rows[i].id for i in (2, 5, 6, 7, 8, 9)}  # the whole second chunk, and one more
    copied = copy_clips(failing(store, bad), tmp_path / "copy", on_error="skip", workers=1, chunk=5)
    assert {clip.id for clip in copied.skipped} == bad
    assert all("zip is damaged" in clip.reason for clip in copied.skipped)
    found = open_store(tmp_path / "copy")
    assert [row.id for row in found.rows] == [r.id for r in store.rows if r.id not in bad]
    assert verify_store(found.path) == []


def test_a_feature_that_is_not_finite_is_skipped_too(store, tmp_path):
    def read(modality, clips):
        x, n = store.read(modality, clips)
        if modality == "single" and store.ids_of(clips) == [bad]:
            x = x.clone()
            x[0, 0, 0] = np.nan
        return x, n

    bad = store.rows[4].id
    copied = copy_clips(
        replace(store, read=read), tmp_path / "c", on_error="skip", workers=1, chunk=5
    )
    (skipped,) = copied.skipped
    assert skipped.id == bad
    assert "'single', step 0: a feature is NaN" in skipped.reason


def test_a_clip_that_cannot_be_read_ends_it_where_asked(store, tmp_path, left):
    source = failing(store, {store.rows[1].id})
    with pytest.raises(DataError, match="its zip is damaged"):
        copy_clips(source, tmp_path / "copy", workers=1, chunk=5)
    assert left() == []  # nothing was worth keeping


def test_nothing_but_bad_clips_is_an_error(store, tmp_path, left):
    source = failing(store, {row.id for row in store.rows})
    single = {"single": store.about.specs["single"]}
    source = replace(source, about=replace(source.about, specs=single))
    with pytest.raises(DataError, match=r"no clip of .* can be read: .*its zip is damaged"):
        copy_clips(source, tmp_path / "copy", on_error="skip", workers=1, chunk=5)
    assert left() == []


# --- interruptions ------------------------------------------------------------------------------


@pytest.fixture
def whole(store, tmp_path):
    """Content hash of a copy that nothing interrupted."""
    copied = copy_clips(store, tmp_path / "whole", workers=1, chunk=2)
    return copied.manifest.content_hash


def interrupted(store, out, monkeypatch, after, **options):
    """A copy that ends after some chunks."""

    class EndError(Exception):
        pass

    def told(clips, kept):
        if clips >= after:
            raise EndError

    with pytest.raises(EndError):
        copy_clips(store, out, workers=1, chunk=2, told=told, **options)
    assert not out.exists()


@pytest.mark.parametrize("after", [2, 8, 12])
def test_an_interrupted_copy_goes_on(store, tmp_path, whole, monkeypatch, after):
    out = tmp_path / "copy"
    interrupted(store, out, monkeypatch, after)
    written = []
    write = module.write_chunk
    monkeypatch.setattr(module, "write_chunk", lambda *a: written.append(a[3]) or write(*a))
    copied = copy_clips(store, out, workers=1, chunk=2)
    assert written == list(range(after // 2, 6))
    assert copied.resumed == after
    assert copied.manifest.content_hash == whole
    assert verify_store(out) == []
    assert not list(tmp_path.glob(".*"))


def test_what_a_kill_left_half_done_is_done_again(store, tmp_path, whole, monkeypatch):
    out = tmp_path / "copy"
    interrupted(store, out, monkeypatch, 6)
    chunks = tmp_path / ".copy.partial-import/chunks"
    (chunks / "00003").mkdir()  # a chunk without its record
    (chunks / ".00004.partial-abcd").mkdir()
    (chunks / ".00004.partial-abcd/x").touch()
    (chunks / ".00005.json.partial-abcd").touch()
    shard = next((chunks / "00001/shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    assert copy_clips(store, out, workers=1, chunk=2).manifest.content_hash == whole
    assert verify_store(out) == []


@pytest.mark.parametrize("failing", range(5))
def test_a_kill_while_chunks_are_joined_does_no_harm(store, tmp_path, whole, monkeypatch, failing):
    out, calls = tmp_path / "copy", iter(range(100))
    rename = type(out).rename

    def killed(self, target):
        if "store.partial-0/shards" in str(target) and next(calls) == failing:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(type(out), "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        copy_clips(store, out, workers=1, chunk=2)
    monkeypatch.undo()
    copied = copy_clips(store, out, workers=1, chunk=2)
    assert copied.resumed == 12
    assert copied.manifest.content_hash == whole
    assert verify_store(out) == []


def test_another_source_or_other_options_are_refused(store, write, clips, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    interrupted(store, out, monkeypatch, 4)
    kept = sorted(str(p) for p in (tmp_path / ".copy.partial-import").rglob("*"))
    clips[0].features["half"][0, 0] += 1
    changed = write(clips, "changed")
    with pytest.raises(DataError, match="another source and content; import as then"):
        copy_clips(changed, out, workers=1, chunk=2)
    with pytest.raises(DataError, match=r"another modalities; .*remove that folder"):
        copy_clips(store, out, workers=1, chunk=2, encoding="compact")
    with pytest.raises(DataError, match="another files"):
        copy_clips(store, out, workers=1, chunk=2, state={"files": 3})
    assert sorted(str(p) for p in (tmp_path / ".copy.partial-import").rglob("*")) == kept


def test_two_copies_at_once_are_refused(store, tmp_path):
    out, said = tmp_path / "copy", []

    def told(clips, kept):
        if clips == 4:
            with pytest.raises(DataError, match="another process is writing"):
                copy_clips(store, out, workers=1, chunk=2)
            said.append(clips)

    copy_clips(store, out, workers=1, chunk=2, told=told)
    assert said == [4]


def test_a_full_disk_says_so_and_keeps_what_is_done(store, tmp_path, whole, monkeypatch):
    out, calls, fsync = tmp_path / "copy", iter(range(1000)), os.fsync

    def full(descriptor):
        if next(calls) == 28:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left.*run this again: 4 of 12 clips are kept"):
        copy_clips(store, out, workers=1, chunk=2, on_error="skip")
    monkeypatch.undo()
    assert not out.exists()
    copied = copy_clips(store, out, workers=1, chunk=2, on_error="skip")
    assert (copied.resumed, copied.manifest.content_hash) == (4, whole)


class Media:
    """A store as clips whose lengths nobody knows before they are read."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return getattr(self.store, name)

    def __len__(self):
        return len(self.store)

    def __getitem__(self, position):
        return self.store[position]


def test_space_is_asked_for_by_lengths_and_of_media_by_the_first_chunk(
    store, tmp_path, left, monkeypatch
):
    free, asked = [100], []

    def usage(path):
        asked.append(path)
        return SimpleNamespace(free=free[0])

    monkeypatch.setattr(shutil, "disk_usage", usage)
    out, many = tmp_path / "copy", {"workers": 1, "chunk": 4}
    with pytest.raises(DataError, match=r"copy is going to take about .*Nothing was written"):
        copy_clips(store, out, **many)
    assert (left(), len(asked)) == ([], 1)
    with pytest.raises(DataError, match=r"free space and run this again: 4 of 12 clips are kept"):
        copy_clips(Media(store), out, **many)
    free[0] = 10**9
    copied = copy_clips(Media(store), out, **many)
    assert (copied.resumed, left()) == (4, ["copy"])


def test_an_occupied_target_is_refused_before_any_work(store, tmp_path, left):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/thesis.tex").touch()
    with pytest.raises(DataError, match="not empty"):
        copy_clips(store, tmp_path / "copy", workers=1)
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        copy_clips(store, tmp_path / "copy", workers=1, overwrite=True)
    assert left() == ["copy"]
    copy_clips(store, tmp_path / "other", workers=1)
    copied = copy_clips(store, tmp_path / "other", workers=1, encoding="compact", overwrite=True)
    assert open_store(tmp_path / "other").content_hash == copied.manifest.content_hash
    assert left() == ["copy", "other"]
