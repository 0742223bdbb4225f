"""The embedded set watch: its archive, how it was made, its features, its folds."""

import io
from collections import Counter

import numpy as np
import pytest
from tools import make_watch as tool

from cmg.data import build_watch, embedded, open_store
from cmg.data.watch import load_recordings
from cmg.data.watch.archive import PER_UNIT, Recording, Recordings, unpacked
from cmg.data.watch.build import FOLDS, Parts, first_sample, steps, windows
from cmg.errors import ConfigError, DataError
from cmg.recipes.pretrain import absent_modality
from cmg.types import Kind

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def fold():
    return open_store("watch:3")


# --- the archive ----------------------------------------------------------------------------


def test_everyone_did_every_exercise_with_either_arm():
    found = load_recordings()
    assert found.exercises == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert len(found.each) == 140
    assert len({(r.subject, r.side, r.exercise) for r in found.each}) == 10 * 2 * 7
    assert {r.subject for r in found.each} == set(range(1, 11))
    lengths = [{len(x) for x in r.samples.values()} for r in found.each]
    assert all(len(one) == 1 for one in lengths), "sensors are paired by time"
    assert sum(map(sum, lengths)) == 122_083  # of 244,102 at 50 Hz


def test_units_are_those_of_gravity_and_of_a_moving_arm():
    """The length of the acceleration is near 1 g; nothing came near the ends of 16 bits."""
    every = {
        s: np.concatenate([r.samples[s] for r in load_recordings().each]) / PER_UNIT[s]
        for s in PER_UNIT
    }
    assert np.median(np.linalg.norm(every["accelerometer"], axis=1)) == pytest.approx(
        1.07, abs=0.01
    )
    assert np.abs(every["accelerometer"]).max() == pytest.approx(4.57, abs=0.01)
    assert np.abs(every["gyroscope"]).max() == pytest.approx(16.9, abs=0.1)


def test_packing_is_exact_also_where_differences_overflow():
    extreme = np.array([[32767, -32768, 0], [-32768, 32767, 1]], np.int16)
    each = tuple(
        Recording(n, side, "B", dict.fromkeys(PER_UNIT, extreme[:length] + n))
        for n, side, length in ((1, "left", 2), (2, "right", 1))
    )
    found = unpacked(tool.packed(Recordings(("A", "B"), each)))
    assert found.exercises == ("A", "B")
    for one, wanted in zip(found.each, each, strict=True):
        assert (one.subject, one.side, one.exercise) == (wanted.subject, wanted.side, "B")
        for s in PER_UNIT:
            assert one.samples[s].dtype == np.int16
            assert one.samples[s].tolist() == wanted.samples[s].tolist()


def test_a_damaged_archive_is_refused():
    with pytest.raises(DataError, match=r"recordings\.npz is damaged \(checksum\); reinstall cmg"):
        embedded.read_archive("cmg.data.watch", "recordings.npz", "0" * 64)
    with pytest.raises(DataError, match=r"none\.npz is missing; reinstall cmg"):
        embedded.read_archive("cmg.data.watch", "none.npz", "0" * 64)


# --- how it was made ------------------------------------------------------------------------


def test_the_tool_reads_halves_and_counts_a_source():
    """A source as that of seglearn: an array without axes whose element is a dict."""
    x = np.zeros((5, 6))
    x[:, 0] = [1, 2, 4, 2, 1]
    x[:, 5] = [0, 0, 4, 0, 0]
    source = {
        "X": [x, x[:2]],
        "X_labels": ["ax", "ay", "az", "wx", "wy", "wz"],
        "y": np.array([1, 0]),
        "y_labels": ["PEN", "ABD"],
        "subject": np.array([7, 2]),
        "side": np.array([1.0, 0.0]),
    }
    file = io.BytesIO()
    np.save(file, np.array(source, dtype=object), allow_pickle=True)
    found = tool.recordings_of(tool.read_source(file.getvalue()))
    facts = [(r.subject, r.side, r.exercise) for r in found.each]
    assert facts == [(7, "right", "ABD"), (2, "left", "PEN")]
    first, second = (r.samples for r in found.each)
    assert first["accelerometer"].T.tolist() == [[5 * 1024, 3 * 4096, 5 * 1024], [0] * 3, [0] * 3]
    assert first["gyroscope"].T.tolist() == [[0] * 3, [0] * 3, [0, 2 * 1024, 0]]
    assert second["accelerometer"].tolist() == [[5 * 1024, 0, 0]]
    with pytest.raises(AssertionError, match="16 bits"):
        tool.in_counts(np.array([8.0]), 4096)


# --- features -------------------------------------------------------------------------------


def test_steps_are_13_samples_their_mean_and_spread():
    samples = np.random.default_rng(0).integers(-999, 999, (63, 3)).astype(np.int16)
    found = steps(samples, 8)
    assert [first_sample(j) for j in range(5)] == [0, 12, 25, 37, 50]
    assert found.shape == (5, 45), "63 samples end with the fifth step's"
    for j, first in enumerate((0, 12, 25, 37, 50)):
        part = samples[first : first + 13].astype(float) / 8
        assert (found[j, :39] == part.reshape(-1)).all()
        np.testing.assert_allclose(found[j, 39:42], part.mean(0), rtol=1e-13)
        np.testing.assert_allclose(found[j, 42:], part.std(0), rtol=1e-13)
    assert [len(steps(samples[:n], 8)) for n in (0, 12, 13, 24, 25, 62)] == [0, 0, 1, 1, 2, 4]


def test_clips_are_5_seconds_every_2_and_a_half():
    long = np.arange(3 * 201, dtype=np.int16).reshape(201, 3)
    one = Recording(1, "left", "PEN", {"accelerometer": long, "gyroscope": -long})
    found = windows(4, one)
    assert [(w.recording, w.start) for w in found] == [(4, 0.0), (4, 2.5)]  # 201 samples: 16 steps
    whole = {s: steps(one.samples[s], PER_UNIT[s]) for s in PER_UNIT}
    for at, w in zip((0, 5), found, strict=True):
        for s in PER_UNIT:
            assert (w.features[s] == whole[s][at : at + 10]).all()


# --- folds ----------------------------------------------------------------------------------


def test_everyone_is_tested_once_and_validates_twice():
    found = [Parts.of(f) for f in range(FOLDS)]
    assert [p.test for p in found] == [(n,) for n in range(1, 11)]
    assert all(sorted(p.train + p.val + p.test) == list(range(1, 11)) for p in found)
    assert {len(p.val) for p in found} == {2}
    assert set(Counter(n for p in found for n in p.val).values()) == {2}
    assert len({p.val for p in found}) > 5
    with pytest.raises(ConfigError, match="watch has 10 folds, 0 to 9; got 10"):
        build_watch("never", 10)


def test_a_fold_holds_every_clip_once_by_person(fold):
    parts = Parts.of(3)
    people = {p: {row.meta["group"] for row in fold.split(p).rows} for p in PARTS}
    assert people == {p: {f"subject {n}" for n in getattr(parts, p)} for p in PARTS}
    assert fold.splits == {"train": 1273, "val": 359, "test": 105}
    assert len(fold) == 1737
    assert fold.media == "watch"
    assert set(fold.modalities) == set(PER_UNIT)
    assert {(m.kind, m.shape) for m in fold.modalities.values()} == {(Kind.VECTORS, (45,))}
    assert set(fold.step_seconds.values()) == {0.5}
    for p in PARTS:
        assert {row.labels["exercise"] for row in fold.split(p).rows} == set(range(7))
    recorded = {r.meta["recording"]: r.split for r in fold.rows}
    assert all(recorded[r.meta["recording"]] == r.split for r in fold.rows), "none straddles"
    assert len(recorded) == 140


def test_the_training_part_alone_sets_the_scale(fold):
    """Of train every number has mean 0 and variance 1; the rest is moved and scaled as that is."""
    recordings, subjects = load_recordings().each, Parts.of(3).train
    chosen = [w for i, r in enumerate(recordings) if r.subject in subjects for w in windows(i, r)]
    for s in PER_UNIT:
        raw = np.concatenate([w.features[s] for w in chosen])
        train = fold.split("train").features(s, range(1273))[0].double().flatten(0, 1)
        np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(train.var(0, correction=0), 1, atol=1e-6)
        row = fold.split("test").rows[7]
        at = round(row.meta["start"] / 0.5)
        clip = steps(recordings[row.meta["recording"]].samples[s], PER_UNIT[s])[at : at + 10]
        wanted = (clip - raw.mean(0)) / raw.std(0)
        found = fold.split("test").features(s, [7])[0][0].numpy()
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-7)


def test_the_content_of_a_fold_is_what_it_was(fold):
    """Whole-number and exact sums: the same on every machine. Raise VERSION where this changes."""
    assert fold.content_hash == "e6124bf6ca98944e760c733aacf2600c063f36fda6804c5284c138470a60710a"
    assert fold.path.name == "watch-1-3"


def test_notes_say_what_is_recorded_and_by_whom(fold):
    assert "1802.01489" in fold.notes
    assert "BSD-3-Clause" in fold.notes
    assert "Nothing is constructed" in fold.notes


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gyroscop", "(did you mean 'gyroscope'?); valid: accelerometer, gyroscope"),
        ("smell", "; valid: accelerometer, gyroscope; what the store says of itself: Recorded"),
    ],
)
def test_notes_are_told_where_a_modality_is_not_just_misspelt(fold, name, told):
    assert told in absent_modality(name, fold)
    assert absent_modality(name, fold).endswith("gyroscope") == ("mean" in told)
