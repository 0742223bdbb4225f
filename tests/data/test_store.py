import errno
import json
import os

import numpy as np
import pytest
import torch
from safetensors import safe_open

from cmg.data import Clip, FeatureSpec, StoreWriter, open_store, verify_store, write_store
from cmg.errors import DataError, ModalityError
from cmg.types import Kind


def by_id(clips):
    return {clip.id: clip for clip in clips}


def test_round_trip_is_exact(store, clips):
    wanted = by_id(clips)
    assert store.splits == {"train": 8, "test": 4}
    assert sum(store.splits.values()) == len(clips)
    for split in map(store.split, store.splits):
        for name, spec in store.manifest.modalities.items():
            x, lengths = split.features(name)
            assert x.dtype == getattr(torch, spec.dtype)
            assert lengths.dtype == torch.int64
            assert x.shape[1] == int(lengths.max())
            for i, row in enumerate(split.rows):
                block = wanted[row.id].features.get(name)
                steps = 0 if block is None else len(block)
                assert int(lengths[i]) == steps
                assert not x[i, steps:].any()
                if block is not None:
                    np.testing.assert_array_equal(x[i, :steps].numpy(), block)


def test_rows_labels_and_declarations_round_trip(store, clips):
    wanted = by_id(clips)
    split = store.split("train")
    assert split.ids == [clip.id for clip in clips if clip.split == "train"]
    assert [row.meta for row in split.rows] == [wanted[i].meta for i in split.ids]
    kinds = split.label("kind")
    assert kinds.dtype == torch.int64
    none_is_minus_one = [wanted[i].labels["kind"] for i in split.ids]
    assert kinds.tolist() == [-1 if k is None else k for k in none_is_minus_one]
    steps = split.label("step")
    for i, name in enumerate(split.ids):
        given = wanted[name].labels["step"]
        assert steps[i].tolist() == given + [-1] * (steps.shape[1] - len(given))
    assert list(store.modalities) == ["half", "single", "double", "bytes"]
    assert store.modalities["bytes"].kind is Kind.MAPS
    assert store.step_seconds == {"half": 0.5, "single": None, "double": 1.0, "bytes": 1.0}


def test_shards_are_plain_safetensors_and_split(store):
    shards = store.manifest.shards
    assert len(shards) > len(store.modalities)
    for shard in shards:
        with safe_open(store.path / shard.file, framework="np") as file:
            assert list(file.keys()) == ["features"]
            assert file.get_tensor("features").dtype.name == store.about.specs[shard.modality].dtype


def test_any_selection_equals_the_rows_of_the_whole(store):
    split = store.split("train")
    whole, lengths = split.features("double")
    chosen = [7, 0, 3, 3]
    x, n = split.features("double", chosen)
    assert torch.equal(n, lengths[chosen])
    assert torch.equal(x, whole[chosen][:, : x.shape[1]])
    again, _ = split.only(chosen).features("double", np.array([1, 2]))
    assert torch.equal(again, whole[chosen[1:3]][:, : again.shape[1]])
    assert torch.equal(split.lengths("double"), lengths)
    with pytest.raises(IndexError):
        split.features("double", [8])


def test_content_hash_is_a_function_of_the_content(write, clips):
    first, second = write(clips, "a"), write(clips, "b")
    assert first.content_hash == second.content_hash
    clips[0].features["half"][0, 0] += 1
    assert write(clips, "c").content_hash != first.content_hash
    clips[1].meta["index"] = -1
    assert write(clips, "d").content_hash != write(clips[:-1], "e").content_hash


def test_unknown_names_are_answered_with_the_nearest(store):
    with pytest.raises(DataError, match="did you mean 'train'"):
        store.split("trian")
    with pytest.raises(ModalityError, match="did you mean 'double'"):
        store.split("train").features("duoble")
    with pytest.raises(DataError, match="did you mean 'kind'"):
        store.split("train").label("kinds")


# --- damage ---------------------------------------------------------------------------------


def test_a_truncated_shard_is_found_at_open_and_by_verify(store):
    path = store.path / store.manifest.shards[0].file
    path.write_bytes(path.read_bytes()[:-1])
    (problem,) = verify_store(store.path)
    assert path.name in problem
    assert "truncated" in problem
    with pytest.raises(DataError, match=path.name):
        open_store(store.path)


def test_a_missing_and_a_foreign_shard_are_found(store):
    path = store.path / store.manifest.shards[0].file
    path.rename(path.with_name("other.safetensors"))
    missing, foreign = verify_store(store.path)
    assert "missing" in missing
    assert "other.safetensors" in foreign
    with pytest.raises(DataError, match="missing"):
        open_store(store.path)


def test_edited_columns_are_found(store):
    path = store.path / "clips.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"index":', b'"xndex":', 1))
    (problem,) = verify_store(store.path)
    assert "clips.safetensors" in problem
    with pytest.raises(DataError, match=r"clips\.safetensors was edited"):
        open_store(store.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version 3 is not 1 or 2"),
        ({"format": "other"}, "another format"),
        ({"splits": {"train": 3}}, "cover every clip"),
        ({"shards": [{"file": "../../x"}]}, "shards.0.file"),
    ],
)
def test_a_foreign_manifest_is_refused(store, change, message):
    path = store.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        open_store(store.path)
    assert message in verify_store(store.path)[0]


def test_a_folder_that_is_no_store_says_so(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"not a cmg store: no manifest\.json"):
        open_store(tmp_path)
    assert "not a cmg store" in verify_store(tmp_path)[0]
    for text in ("{", "[" * 100_000, "9" * 5000, "\0"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match="not readable JSON"):
            open_store(tmp_path)


# --- what is refused ------------------------------------------------------------------------

GOOD = {"half": np.zeros((3, 5), np.float16)}


@pytest.mark.parametrize(
    ("clip", "error", "message"),
    [
        (Clip("clip 0/ü", "train", GOOD), DataError, "occurs twice"),
        (Clip("", "train", GOOD), DataError, "no text"),
        (Clip("x", "", GOOD), DataError, "no plain name"),
        (Clip("x", "a/b", GOOD), DataError, "no plain name"),
        (Clip("x", "train", {}), DataError, "no step of any modality"),
        (Clip("x", "train", {"half": np.zeros((0, 5))}), DataError, "no step of any modality"),
        (Clip("x", "train", {"hlaf": GOOD["half"]}), ModalityError, "did you mean 'half'"),
        (Clip("x", "train", {"half": np.zeros((3, 6), "f2")}), ModalityError, r"\(3, 6\)"),
        (Clip("x", "train", {"half": np.zeros(5, "f2")}), ModalityError, "expected"),
        (Clip("x", "train", {"half": np.zeros((3, 5))}), ModalityError, r"astype\('float16'\)"),
        (Clip("x", "train", {"half": [["a"] * 5]}), ModalityError, "dtype"),
        (Clip("x", "train", {"half": np.float16(3)}), ModalityError, r"'x', .*'half': shape \(\)"),
        (Clip("x", "train", {"half": [[1], [2, 3]]}), ModalityError, "'half': no array of numbers"),
        (Clip("x", "train", {"half": np.ma.masked_equal(GOOD["half"], 0)}), DataError, "masked"),
        (Clip("x", "train", GOOD, {"kind": 2}), DataError, "out of range"),
        (Clip("x", "train", GOOD, {"kind": 0.5}), DataError, "whole numbers"),
        (Clip("x", "train", GOOD, {"kidn": 0}), DataError, "did you mean 'kind'"),
        (Clip("x", "train", GOOD, {"step": [0, 1]}), DataError, "2 indices for 3 steps"),
        (Clip("x", "train", GOOD, {"step": 1}), DataError, "list of class indices"),
        (Clip("x", "train", GOOD, {}, {"a": float("nan")}), DataError, "plain JSON"),
        (Clip("x", "train", GOOD, {}, {"a": object()}), DataError, "plain JSON"),
    ],
)
def test_a_bad_clip_is_refused_and_nothing_is_left(write, clips, tmp_path, clip, error, message):
    with pytest.raises(error, match=message):
        write([*clips, clip])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_named(write, clips, bad):
    clips[3].features["single"][-1, 2] = bad
    step = len(clips[3].features["single"]) - 1
    with pytest.raises(DataError, match=f"clip 3/ü', modality 'single', step {step}"):
        write(clips)


@pytest.mark.parametrize("encoding", ["dense", "compact"])
@pytest.mark.parametrize(("value", "sound"), [(3e38, True), (-1e39, False), (1e-60, True)])
def test_numbers_that_models_cannot_read_are_found_in_stores_from_before(
    tmp_path, monkeypatch, value, sound, encoding
):
    monkeypatch.setattr("cmg.data.features.check_numbers", lambda where, block: None)
    spec = FeatureSpec(kind="vectors", shape=(2,), dtype="float64", encoding=encoding)
    with StoreWriter(tmp_path / "s", {"a": spec}) as writer:
        writer.add(Clip("x", "train", {"a": np.array([[1.0, value]])}))
    problems = verify_store(tmp_path / "s")
    assert ["beyond float32" in line for line in problems] == ([] if sound else [True])


def test_a_refused_clip_can_be_left_out(tmp_path):
    with StoreWriter(tmp_path / "s", {"half": FeatureSpec(kind="vectors", shape=(5,))}) as writer:
        writer.add(Clip("a", "train", {"half": np.ones((2, 5), "f4")}))
        with pytest.raises(DataError, match="NaN"):
            writer.add(Clip("b", "train", {"half": np.full((2, 5), np.nan, "f4")}))
        writer.add(Clip("c", "train", {"half": np.ones((1, 5), "f4")}))
    store = open_store(tmp_path / "s")
    assert store.split("train").ids == ["a", "c"]
    assert verify_store(store.path) == []


def test_an_empty_store_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="no clip"):
        write([])
    assert list(tmp_path.iterdir()) == []


# --- nothing half-written -------------------------------------------------------------------

DOUBLE = {"double": FeatureSpec(kind="vectors", shape=(5,), dtype="float64")}


@pytest.mark.parametrize("failing", range(6))
def test_a_full_disk_leaves_nothing(write, clips, tmp_path, monkeypatch, failing):
    calls = iter(range(1000))
    fsync = os.fsync

    def full(descriptor):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        write(clips)
    assert list(tmp_path.iterdir()) == []


def test_no_store_follows_a_swallowed_write_error(clips, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left")

    def careless():
        with StoreWriter(tmp_path / "s", DOUBLE, shard_bytes=1) as writer:
            monkeypatch.setattr(os, "fsync", full)
            with pytest.raises(DataError, match="No space left"):
                writer.add(Clip("a", "train", {"double": clips[0].features["double"]}))
            monkeypatch.undo()

    with pytest.raises(DataError, match="failed before"):
        careless()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(clips, tmp_path):
    def use():
        with StoreWriter(tmp_path / "s", DOUBLE) as writer:
            for clip in clips[:3]:
                writer.add(Clip(clip.id, "train", {"double": clip.features["double"]}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_safe(write, store, clips, tmp_path, monkeypatch):
    before = store.content_hash
    with pytest.raises(DataError, match="not empty"):
        write(clips)
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(DataError, match="full"):
        write(clips[:5], overwrite=True)
    monkeypatch.setattr(os, "fsync", fsync)
    assert open_store(store.path).content_hash == before
    assert len(write(clips[:5], overwrite=True).rows) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_foreign_folder_is_never_overwritten(write, clips, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/thesis.tex").write_text("precious")
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        write(clips, overwrite=True)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(DataError, match="not a folder"):
        write(clips, "file", overwrite=True)
    (tmp_path / "empty").mkdir()
    assert verify_store(write(clips, "empty").path) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "store"]


def test_a_target_filled_meanwhile_is_kept(clips, tmp_path):
    def use():
        with StoreWriter(tmp_path / "s", DOUBLE) as writer:
            writer.add(Clip("a", "train", {"double": clips[0].features["double"]}))
            (tmp_path / "s").mkdir()
            (tmp_path / "s/precious").touch()

    with pytest.raises(DataError, match="not empty"):
        use()
    assert [path.name for path in tmp_path.rglob("*")] == ["s", "precious"]


# --- from arrays in memory ------------------------------------------------------------------


def test_write_store_from_arrays(tmp_path):
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(4, 3, 6)).astype("f4")
    video = [rng.normal(size=(t, 1, 1, 2)) if t else None for t in (3, 0, 2, 1)]
    store = write_store(
        tmp_path / "s",
        {"audio": audio, "video": video, "text": torch.ones(4, 2, 5)},
        labels={"class": ["cat", "dog", None, "cat"], "step": [[0, 1, -1]] * 4, "n": [2, 0, -1, 1]},
        split=["train", "train", "test", "train"],
        kinds={"text": "tokens"},
        step_seconds={"audio": 0.96},
    )
    assert [m.kind for m in store.modalities.values()] == [Kind.VECTORS, Kind.MAPS, Kind.TOKENS]
    assert store.step_seconds == {"audio": 0.96, "video": None, "text": None}
    train = store.split("train")
    assert torch.equal(train.features("audio")[0], torch.tensor(audio[[0, 1, 3]]))
    assert train.lengths("video").tolist() == [3, 0, 1]
    assert store.labels["class"].classes == ("cat", "dog")
    assert train.label("class").tolist() == [0, 1, 0]
    assert store.labels["n"].classes == ("0", "1", "2")
    assert store.split("test").label("n").tolist() == [-1]
    assert store.split("test").label("step").tolist() == [[0, 1, -1]]
    assert train.ids == ["clip-00000", "clip-00001", "clip-00003"]


@pytest.mark.parametrize(
    ("features", "options", "error", "message"),
    [
        ({}, {}, DataError, "at least one modality"),
        ({"a": np.zeros((2, 1, 3))}, {"labels": {"x": [0]}}, DataError, "1 entries for 2 clips"),
        ({"a": np.zeros((2, 1, 3))}, {"ids": ["x"]}, DataError, "'?ids'?: 1 entries"),
        ({"a": np.zeros((2, 3))}, {}, ModalityError, "expected"),
        ({"a": np.zeros((2, 1, 3), "i8")}, {}, ModalityError, "int64"),
        ({"a": np.zeros((2, 1, 3))}, {"kinds": {"b": "maps"}}, ModalityError, "unknown modality"),
        ({"a": np.zeros((2, 1, 3))}, {"kinds": {"a": "maps"}}, ModalityError, "does not fit"),
        ({"a": np.zeros((2, 1, 3))}, {"kinds": {"a": "token"}}, ModalityError, "mean 'tokens'"),
        ({"a": np.zeros((2, 1, 3))}, {"step_seconds": -1.0}, DataError, "must be positive"),
        ({"a": [None, None]}, {}, DataError, "no clip has"),
        ({"a": np.float32(3)}, {}, DataError, "features 'a': .*is no list; give one entry per"),
        ({"a": np.zeros((2, 1, 3))}, {"labels": {"x": np.array(3)}}, DataError, "is no list"),
        ({"a": (x for x in [1])}, {}, DataError, "is no list"),
        ({"a": np.zeros((2, 1, 0))}, {}, ModalityError, r"shape \(1, 0\).* of positive sizes"),
        ({"a": [np.ones((1, 3)), [[1], [2, 3]]]}, {}, ModalityError, "clip 1, .*'a': no array"),
        (
            {"a": [np.ones((1, 3)), np.array([[1.0, 2, 3], [4, -1e39, 6]])]},
            {},
            DataError,
            r"clip 'clip-00001', modality 'a', step 1: a feature is -1e\+39, beyond the float32",
        ),
        *(
            ({"a": [np.ones((1, 1), stored), np.full((1, 1), value)]}, {}, error, said)
            for stored, value, error, said in (
                ("f4", 1e300, DataError, r"a feature is 1e\+300, beyond the float32 that models"),
                ("f2", 1e300, DataError, r"a feature is 1e\+300, beyond the float32 that models"),
                ("f2", 1e6, DataError, r"1e\+06 is beyond float16.*; store it as float32"),
                ("f4", np.nan, DataError, "a feature is NaN or infinite"),
                ("f2", 6e4, ModalityError, r"does not fit .*\.astype\('float16'\)"),
                ("u1", 1e300, ModalityError, "float64 does not fit the stored uint8"),
            )
        ),
        ({"a": np.zeros((2, 1, 3))}, {"labels": {"x": [0, np.nan]}}, DataError, "nan is neither"),
        ({"a": np.zeros((2, 1, 3))}, {"labels": {"x": [0, {}]}}, DataError, "{} is neither"),
        (
            {"a": np.zeros((2, 1, 3))},
            {"labels": {"x": [0, 1]}, "classes": {"x": [3, "b"]}},
            DataError,
            "label 'x': classes.0: Input should be a valid string, got 3",
        ),
        (
            {"a": np.zeros((2, 1, 3))},
            {"labels": {"x": ["cat", "dgo"]}, "classes": {"x": ["cat", "dog"]}},
            DataError,
            "did you mean 'dog'",
        ),
        *(
            ({name: np.zeros((2, 1, 3))}, {}, ModalityError, "must be a plain word")
            for name in ("", "a b", "a/b", "..", "audio.x", "vidéo", "audio\n")
        ),
    ],
)
def test_write_store_refuses(tmp_path, features, options, error, message):
    with pytest.raises(error, match=message):
        write_store(tmp_path / "s", features, **options)
    assert list(tmp_path.iterdir()) == []


HALF = "c\udcff"
"""A name as os.listdir gives it of a file whose name is not in UTF-8."""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ids": ["a", HALF]}, r"clip 'c\\udcff': .* rename it"),
        ({"meta": [{}, {"file": [HALF]}]}, r"clip 'clip-00001': half .*\"file\": \[\"c\\udcff'"),
        ({"meta": [{HALF: 1}, {}]}, "clip 'clip-00000': half a character"),
        ({"split": HALF}, r"clip 'clip-00000': split 'c\\udcff'"),
        ({"notes": HALF}, r"store .*: half .*\"notes\": \"c\\udcff'"),
        ({"labels": {HALF: [0, 1]}}, r"store .*: half .*\"labels\": {\"c\\udcff'"),
        ({"labels": {"kind": ["a", HALF]}}, r"store .*: half .*\[\"a\", \"c\\udcff'"),
    ],
)
def test_a_store_is_not_replaced_by_one_that_cannot_be_read(tmp_path, options, named):
    features = {"a": np.ones((2, 1, 3))}
    hashed = write_store(tmp_path / "s", features).content_hash
    with pytest.raises(DataError, match=named) as caught:
        write_store(tmp_path / "s", features, overwrite=True, **options)
    print(caught.value)  # every terminal can show it
    assert open_store(tmp_path / "s").content_hash == hashed
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
