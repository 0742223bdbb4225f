from __future__ import annotations

import hashlib
import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmg.data import build_digits, open_store, verify_store
from cmg.data.digits import archives, load_scans, load_spoken, patches, png_bytes, wav_bytes
from cmg.data.digits.build import LogMelWords
from cmg.data.digits.logmel import log_mel
from cmg.data.digits.sentences import (
    DIGIT_WORDS,
    TEST_TEMPLATES,
    TRAIN_TEMPLATES,
    sentence,
    token,
    tokens,
    words,
)
from cmg.errors import DataError
from cmg.types import Kind

SPLITS = ("train", "test", "test_one_scan")


def events(split):
    return split.label("step").numpy() != 10


def meta(split, key):
    return np.array([row.meta[key] for row in split.rows])


# --- archives -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scans.npz", "spoken.npz"])
def test_archives_are_the_recorded_ones(name):
    data = (Path(archives.__file__).parent / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == archives.SHA256[name]
    assert len(data) < 2_500_000


def test_a_damaged_archive_is_refused(monkeypatch):
    monkeypatch.setitem(archives.SHA256, "scans.npz", "0" * 64)
    with pytest.raises(DataError, match=r"scans\.npz is damaged"):
        load_scans.__wrapped__()


def test_archives_say_what_they_hold():
    scans, spoken = load_scans(), load_spoken()
    assert scans.images.shape == (1797, 8, 8)
    assert scans.images.max() == 16
    assert "CC BY 4.0" in scans.attribution["license"]
    assert "Alpaydin" in scans.attribution["authors"]
    assert len(spoken.digits) == 640
    assert np.bincount(spoken.digits).tolist() == [64] * 10
    assert "espeak-ng" in spoken.attribution["source"]
    notice = (Path(archives.__file__).parent / "NOTICE.md").read_text()
    assert all(word in notice for word in ("CC BY 4.0", "espeak-ng", "GPL-3", "constructed"))


def test_held_out_scans_voices_and_templates_are_disjoint():
    scans, spoken = load_scans(), load_spoken()
    for source in (scans, spoken):
        parts = [[source.of(d, held_out) for d in range(10)] for held_out in (False, True)]
        train, test = (np.concatenate(part) for part in parts)
        assert len(train) + len(test) == len(source.digits)
        assert not set(train) & set(test)
        assert min(len(pool) for part in parts for pool in part) >= 10
    assert min(scans.of(d, held_out=True).min() for d in range(10)) == 1297
    variants = [name.split(" ")[0].split("+")[1] for name in spoken.voice_names]
    assert len(set(variants)) == 64
    assert int(spoken.test_voices.sum()) == 16
    assert not set(TRAIN_TEMPLATES) & set(TEST_TEMPLATES)


# --- sentences ------------------------------------------------------------------------------


def test_templates_are_varied():
    assert len(TRAIN_TEMPLATES) >= 40
    assert len(TEST_TEMPLATES) >= 15
    filler: dict[bool, list[str]] = {False: [], True: []}
    for test, templates in ((False, TRAIN_TEMPLATES), (True, TEST_TEMPLATES)):
        assert len(set(templates)) == len(templates)
        for template in templates:
            assert 5 <= len(words(sentence(template, 7))) <= 10
            others = words(template.format(digit=""))
            assert not set(others) & set(DIGIT_WORDS)
            filler[test] += others
    seen = set(filler[False])
    assert np.mean([word in seen for word in filler[True]]) < 0.2


def test_sentences_read_well():
    assert sentence("{digit} is here.", 7) == "Seven is here."
    assert words("Seven isn't, here.") == ["seven", "isn't", "here"]


def test_tokens_are_scaled_features_of_words():
    x = tokens("Write seven, SEVEN or eleven.")
    assert x.shape == (5, 96)
    np.testing.assert_allclose(np.square(x).mean(axis=1), 1, rtol=1e-5)
    assert np.array_equal(x[1], x[2])
    assert x[1] @ x[4] > 0.2 * 96 + abs(x[1] @ x[0])  # seven and eleven have n-grams in common
    digest = hashlib.sha256(np.round(token("seven") * 1000).astype("<i4").tobytes()).hexdigest()
    assert digest[:12] == "754fc4cc6be9"


# --- features -------------------------------------------------------------------------------


def test_patches_sum_to_the_scan_exactly():
    images = load_scans().images
    maps = patches(images)
    assert maps.shape == (1797, 4, 4, 64)
    assert maps.dtype == np.float16
    assert np.array_equal(maps.astype("f8").sum(axis=(1, 2)) * 16, images.reshape(-1, 64))
    for i, j in ((0, 0), (3, 1)):
        pixels = maps[:, i, j].reshape(-1, 8, 8)
        inside = pixels[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        wanted = images[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] / np.float16(16)
        assert np.array_equal(inside, wanted)
        assert np.count_nonzero(pixels) == np.count_nonzero(inside)


def test_log_mel_is_independent_of_its_neighbors_and_scaled():
    spoken = load_spoken()
    waves = [spoken.wave(i) for i in range(0, 640, 9)]
    together = log_mel(waves)
    assert together.shape == (len(waves), 128)
    np.testing.assert_allclose(log_mel(waves[5:6])[0], together[5], rtol=1e-4, atol=1e-5)
    assert abs(together.mean()) < 0.2
    assert 0.7 < together.std() < 1.3
    short = log_mel([np.zeros(1), np.zeros(900)])
    assert np.isfinite(short).all()
    assert np.ptp(short) < 1e-6


def test_log_mel_sees_when_and_how_high():
    time = np.arange(4000) / 8000
    low, high = np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 3000 * time)
    x = log_mel([np.concatenate([low, high])]).reshape(8, 16)
    assert (x[:3].argmax(axis=1) < 5).all()
    assert (x[5:].argmax(axis=1) > 11).all()


# --- the store ------------------------------------------------------------------------------


def test_declarations(digits):
    assert digits.splits == {"train": 30, "test": 20, "test_one_scan": 20}
    shapes = {m: (x.kind, x.shape) for m, x in digits.modalities.items()}
    assert shapes == {
        "audio": (Kind.VECTORS, (128,)),
        "video": (Kind.MAPS, (4, 4, 64)),
        "text": (Kind.TOKENS, (96,)),
    }
    assert digits.media == "digits"
    assert digits.labels["step"].classes[-1] == "background"
    assert verify_store(digits.path) == []


@pytest.mark.parametrize("name", SPLITS)
def test_an_event_is_4_to_10_consecutive_steps_of_the_clip_s_digit(digits, name):
    split = digits.split(name)
    inside, label = events(split), split.label("digit").numpy()
    assert inside.shape == (len(split), 10)
    assert set(inside.sum(axis=1)) <= set(range(4, 11))
    edges = np.diff(inside.astype(int), axis=1, prepend=0, append=0)
    assert ((edges == 1).sum(axis=1) == 1).all()
    steps = split.label("step").numpy()
    assert (steps[inside] == np.repeat(label, inside.sum(axis=1))).all()
    assert np.bincount(label, minlength=10).min() == len(split) // 10
    for key, source in (("scans", load_scans()), ("utterances", load_spoken())):
        index = meta(split, key)
        assert ((index >= 0) == inside).all()
        assert (source.digits[index[inside]] == steps[inside]).all()


@pytest.mark.parametrize("name", SPLITS)
def test_every_event_step_has_another_scan_and_utterance(digits, name):
    split = digits.split(name)
    inside = events(split)
    for key in ("scans", "utterances"):
        for row, index in zip(inside, meta(split, key), strict=True):
            single = name == "test_one_scan" and key == "scans"
            assert len(set(index[row])) == (1 if single else row.sum())


def test_splits_are_of_unseen_scans_voices_and_templates(digits):
    spoken = load_spoken()
    for name in SPLITS:
        split = digits.split(name)
        held_out = name != "train"
        inside = events(split)
        assert ((meta(split, "scans")[inside] >= 1297) == held_out).all()
        voices = spoken.voices[meta(split, "utterances")[inside]]
        assert (spoken.test_voices[voices] == held_out).all()
        templates = TEST_TEMPLATES if held_out else TRAIN_TEMPLATES
        possible = {sentence(t, d) for t in templates for d in range(10)}
        assert set(meta(split, "sentence")) <= possible


def test_one_scan_is_the_test_split_but_for_the_scans(digits):
    test, one = digits.split("test"), digits.split("test_one_scan")
    for m in ("audio", "text"):
        for x, y in zip(test.features(m), one.features(m), strict=True):
            assert torch.equal(x, y)
    outside = torch.from_numpy(~events(test))
    x, y = test.features("video")[0], one.features("video")[0]
    assert torch.equal(x[outside], y[outside])
    assert not torch.equal(x, y)


def test_features_are_what_meta_says(digits):
    split = digits.split("test")
    inside = torch.from_numpy(events(split))
    images = load_scans().images[meta(split, "scans")[inside]]
    video = split.features("video")[0]
    assert torch.equal(
        video[inside].float().sum(dim=(1, 2)) * 16, torch.tensor(images).view(-1, 64)
    )
    chosen = meta(split, "utterances")[inside]
    speech = log_mel([load_spoken().wave(int(i)) for i in chosen])
    audio = split.features("audio")[0]
    np.testing.assert_allclose(audio[inside].numpy(), speech, rtol=1e-4, atol=1e-5)
    text, lengths = split.features("text")
    for i, row in enumerate(split.rows):
        wanted = tokens(row.meta["sentence"])
        assert int(lengths[i]) == len(wanted)
        assert torch.equal(text[i, : len(wanted)], torch.tensor(wanted))


def test_background_is_quiet_and_never_twice_the_same(digits):
    split = digits.split("train")
    outside = torch.from_numpy(~events(split))
    audio, video = split.features("audio")[0], split.features("video")[0].float()
    assert audio[outside].mean() < audio[~outside].mean() - 0.5
    assert video[outside].sum(dim=(1, 2)).max() <= 2 / 16
    for x in (audio[outside], video[outside].flatten(1)):
        assert len(torch.unique(x, dim=0)) == len(x)


def test_builds_are_deterministic_and_follow_the_seed(digits, tmp_path):
    again = build_digits(tmp_path / "again", 30, 20)
    assert again.content_hash == digits.content_hash
    other = build_digits(tmp_path / "other", 30, 20, seed=1)
    assert other.content_hash != digits.content_hash


def test_too_few_clips_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 2"):
        build_digits(tmp_path / "s", 30, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_refused_before_the_work(tmp_path, monkeypatch):
    class Unasked(LogMelWords):
        def of(self, waves):
            raise AssertionError("sounds were read first")

    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="replace it with --overwrite"):
        build_digits(tmp_path, 30, 20, words=Unasked())


def test_the_name_digits_opens_the_set():
    store = open_store("digits")
    assert store.splits == {"train": 1500, "test": 500, "test_one_scan": 500}


# --- media ----------------------------------------------------------------------------------


def test_wav_holds_the_utterance():
    waveform = load_spoken().wave(17)
    with wave.open(io.BytesIO(wav_bytes(waveform))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_allclose(samples / 32767, waveform, atol=1 / 32767)
    assert 0.5 < np.abs(waveform).max() <= 1
    with pytest.raises(IndexError):
        load_spoken().wave(640)


def test_png_holds_the_scan():
    scan = load_scans().images[5]
    data = png_bytes(scan, scale=3)
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        pixels = np.asarray(picture).astype(int)
    gray = 255 - np.minimum(scan.astype(int) * 16, 255)
    assert np.array_equal(pixels, gray.repeat(3, axis=0).repeat(3, axis=1))
