"""Stores of letters: who is in which part, what is paired, what is scaled by what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cmg
from cmg.errors import DataError
from projects.letters import store as letter_store
from projects.letters.__main__ import app
from projects.letters.recordings import FOLDS, LETTERS, VOICES
from projects.letters.store import (
    PAIRED,
    PARTS,
    Reading,
    Scaling,
    pairs_of,
    sound_features,
    write_letters,
)
from projects.letters.tests.spoken import ears, made_up_letters, put_font, sing, sing_asterisk

LETTERS_MADE_UP = made_up_letters()


def test_no_speaker_recording_or_design_is_in_two_parts_and_every_one_is_tested_once():
    tested = []
    for fold in range(FOLDS):
        pairs = pairs_of(LETTERS_MADE_UP, fold)
        for what in (
            lambda p: LETTERS_MADE_UP.recordings[p.recording].voice.speaker,
            lambda p: p.recording,
            lambda p: LETTERS_MADE_UP.fonts[p.font].design,
        ):
            seen = {part: {what(p) for p in pairs if p.part == part} for part in PARTS}
            assert not seen["train"] & seen["val"]
            assert not seen["train"] & seen["test"]
            assert not seen["val"] & seen["test"]
        tested += sorted({p.recording for p in pairs if p.part == "test"})
        valued = {
            LETTERS_MADE_UP.recordings[p.recording].voice.fold for p in pairs if p.part == "val"
        }
        assert valued == {(fold + 1) % FOLDS}
    assert sorted(tested) == list(range(len(LETTERS_MADE_UP.recordings)))


def test_a_recording_is_paired_with_as_many_different_fonts_as_its_part_says():
    pairs = pairs_of(LETTERS_MADE_UP, 3)
    for part in PARTS:
        ours = [p for p in pairs if p.part == part]
        by_recording = {
            i: {p.font for p in ours if p.recording == i} for i in {p.recording for p in ours}
        }
        assert {len(fonts) for fonts in by_recording.values()} == {PAIRED[part]}
        assert len(ours) == PAIRED[part] * len(by_recording)
    assert (PAIRED["train"], PAIRED["val"], PAIRED["test"]) == (12, 6, 6)
    assert pairs == pairs_of(LETTERS_MADE_UP, 3)
    assert pairs != pairs_of(LETTERS_MADE_UP, 3, seed=1)


def test_a_part_without_a_letter_or_with_too_few_fonts_is_refused():
    with pytest.raises(DataError, match="fold 4, val: no recording of Q"):
        pairs_of(made_up_letters(lacking="5:q"), 4)
    assert pairs_of(made_up_letters(lacking="5:q"), 0)  # there, other speakers say it
    with pytest.raises(DataError, match="val: 4 fonts, but a recording is paired with 6"):
        pairs_of(made_up_letters(fonts=32), 0)


FEW = {"train": 3, "val": 2, "test": 1}
"""Fonts of a recording, for stores that are quickly written."""


@pytest.fixture(scope="module")
def fold_2(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letter_store, "PAIRED", FEW)
        return write_letters(LETTERS_MADE_UP, tmp_path_factory.mktemp("letters") / "store", 2)


def test_a_clip_is_a_recording_beside_its_letter_in_a_font(fold_2):
    rows = list(fold_2.rows)
    assert fold_2.splits == {"train": 6 * 26 * 3, "val": 26 * 2, "test": 26}
    fonts = {font.name: font for font in LETTERS_MADE_UP.fonts}
    recordings = {one.id: (k, one) for k, one in enumerate(LETTERS_MADE_UP.recordings)}
    pixels = np.stack([fonts[row.meta["font"]].glyphs[row.labels["letter"]] for row in rows])
    heard = np.stack([LETTERS_MADE_UP.sounds[recordings[row.meta["recording"]][0]] for row in rows])
    known = [row.split == "train" for row in rows]
    batch = cmg.Batches(fold_2.split("train"), sum(known), shuffle=False).at(0, 0)
    trained = heard[known]
    scaled = (trained - trained.mean(0)) / trained.std(0)
    np.testing.assert_allclose(batch.features["audio"][:, 0], scaled, atol=2e-3)
    seen = pixels[known].reshape(sum(known), -1)
    drawn = batch.features["image"][:, 0].numpy()
    # Of every pixel the same number is taken, and all are divided by one.
    ratio = np.polyfit(seen[:, 0].astype(float), drawn[:, 0], 1)[0]
    np.testing.assert_allclose(
        np.diff(drawn[:9], axis=0), np.diff(seen[:9].astype(float), axis=0) * ratio, atol=4e-3
    )
    for row in rows[::97]:
        one = recordings[row.meta["recording"]][1]
        assert LETTERS[row.labels["letter"]] == one.letter
        assert row.meta["group"] == one.voice.speaker
        assert row.meta["design"] == fonts[row.meta["font"]].design
    assert fold_2.manifest.labels["letter"].classes == tuple(LETTERS.upper())


def test_what_is_scaled_takes_its_numbers_from_the_training_part(tmp_path, fold_2, monkeypatch):
    monkeypatch.setattr(letter_store, "PAIRED", FEW)
    others = [k for k, one in enumerate(LETTERS_MADE_UP.recordings) if one.voice.fold in (2, 3)]
    sounds = LETTERS_MADE_UP.sounds.copy()
    sounds[others] *= 100
    louder = write_letters(replace(LETTERS_MADE_UP, sounds=sounds), tmp_path / "louder", 2)
    batch = [cmg.Batches(s.split("train"), 64, shuffle=False).at(0, 0) for s in (fold_2, louder)]
    assert batch[0].features["audio"].equal(batch[1].features["audio"])


def test_components_are_those_of_standardized_training_rows():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(200, 3)) @ np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0.1]]) + 5).astype(
        "f4"
    )
    scaling = Scaling.of(rows, 2)
    found = scaling.apply(rows)
    centered = (rows - rows.mean(0)) / rows.std(0)
    values, vectors = np.linalg.eigh(np.cov(centered, rowvar=False))
    expected = centered @ vectors[:, ::-1][:, :2]
    expected /= np.sqrt((expected**2).mean())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    assert values[-1] > values[0]
    assert Scaling.of(rows, 99).apply(rows).shape == (200, 3)


def test_a_word_lies_in_its_line_and_too_long_a_one_is_cut():
    heard = []
    extractor = ears()
    extractor.extract = lambda line: (heard.append(line.copy()), np.ones((4, 2), np.float32))[1]
    reading = Reading(seconds=0.5, lead=0.1)
    found = sound_features(
        [np.ones(1000, np.float32), np.full(9000, 2, np.float32)], extractor, reading
    )
    assert found.shape == (2, 8)
    assert [len(line) for line in heard] == [8000, 8000]
    assert np.flatnonzero(heard[0])[[0, -1]].tolist() == [1600, 2599]
    assert np.flatnonzero(heard[1])[[0, -1]].tolist() == [1600, 7999]


@pytest.fixture
def letters(run, monkeypatch):
    """The command, with ears instead of a network, two voices instead of twenty, few fonts."""
    asked = []

    def load(name, options):
        asked.append((name, options.step_seconds))
        return ears()

    monkeypatch.setattr(letter_store, "load_extractor", load)

    return lambda *words: (*run(app, *words), asked)


def test_the_command_tells_what_is_missing_and_what_exists(letters, tmp_path):
    code, _, err, _ = letters("build", "--source", tmp_path, "--out", tmp_path / "store")
    assert code == 2
    assert "error: no recordings of asterisk-core-sounds-en-wav=1.6.1-1, " in err
    assert len(err.splitlines()) == 1
    code, _, err, _ = letters("build", "--out", tmp_path / "store", "--fold", 8)
    assert (code, "--fold 8: it is a number from 0 to 7, or all" in err) == (2, True)
    code, _, err, _ = letters("build", "--out", tmp_path, "--fold", 0)
    assert (code, "exists; name another --out" in err) == (2, True)
    code, _, err, _ = letters("build", "--out", tmp_path / "store", "--audio", "efficientnet-lite0")
    assert (code, "reads frames" in err) == (2, True)


def test_from_packages_to_a_store(letters, tmp_path, monkeypatch):
    voices = [
        replace(VOICES[0], name=f"v{k}", folder=f"asterisk/sounds/v{k}", speaker=f"s{k}", fold=k)
        for k in range(3)
    ]
    for k, voice in enumerate(voices):
        sing_asterisk(tmp_path, voice, base=200 + 7 * k)
    copy = tmp_path / "usr/share/asterisk/sounds"
    (copy / "v2/letters/z.wav").write_bytes((copy / "v0/letters/z.wav").read_bytes())
    put_font(tmp_path, "plain", "again")
    find, read = letter_store.find_recordings, letter_store.read_fonts
    monkeypatch.setattr(letter_store, "find_recordings", lambda source: find(source, voices))
    monkeypatch.setattr(letter_store, "FOLDS", 3)
    monkeypatch.setattr(letter_store, "PAIRED", dict.fromkeys(PARTS, 1))
    command = ("build", "--source", tmp_path, "--out", tmp_path / "s", "--fold", 1)
    code, _, err, asked = letters(*command)
    assert (code, asked) == (2, [("speech-embedding", 0.08)])
    assert "left out: v2.z: the same sound as v0.z" in err
    assert "left out: plain: the same letters as again" in err
    assert "error: fold 1, train: 0 fonts" in err or "error: fold 1, val: no recording of Z" in err
    monkeypatch.setattr(
        letter_store, "read_fonts", lambda source: replace(read(source), kept=LETTERS_MADE_UP.fonts)
    )
    sing(copy / "v2/letters/z.wav", 1000)
    code, out, err, _ = letters(*command, "--components", 4)
    assert code == 0, err
    assert "78 recordings, 64 fonts of 32 designs" in out
    store = cmg.open_clips(tmp_path / "s")
    assert store.splits == dict.fromkeys(PARTS, 26)
    batch = cmg.Batches(store.split("test"), 26, shuffle=False).at(0, 0)
    assert {m: tuple(x.shape) for m, x in batch.features.items()} == {
        "audio": (26, 1, 4),
        "image": (26, 1, 576),
    }
    assert {row.meta["group"] for row in store.rows if row.split == "val"} == {"s2"}
