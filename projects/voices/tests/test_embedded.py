"""Words as features of an embedding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmg.data import Clips, open_store
from cmg.data.digits import LogMelWords, build_digits, load_spoken
from cmg.errors import ConfigError, DataError
from projects.voices import pooling
from projects.voices.embedded import POOLING, EmbeddedWords, windows, word_features
from projects.voices.pooling import CANDIDATES, judge_poolings

pytest.importorskip("av")


def test_windows_lie_around_the_middle_of_a_word(fake):
    class Places(type(fake)):
        """Tells where in every window the loudest sample is, in seconds, at another rate."""

        rate = 16000

        def extract(self, wave):
            size, hop = round(0.782 * self.rate), round(0.08 * self.rate)
            views = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]
            return views.argmax(axis=1)[:, None].astype(np.float32) / self.rate

    word = np.zeros(3200, np.float32)
    word[1600] = 1.0
    found = windows(Places(), word, 2)[:, 0]
    np.testing.assert_allclose(found, 0.782 / 2 - 0.08 * np.arange(-2, 3), atol=1e-4)
    np.testing.assert_allclose(windows(Places(), word, 0)[:, 0], [0.782 / 2], atol=1e-4)


def test_a_longer_word_loses_its_ends(fake):
    word = np.random.default_rng(0).normal(size=40000).astype(np.float32)
    assert windows(fake, word, 0).shape == (1, 48)
    middle = word[20000 - 4000 : 20000 + 4000]
    np.testing.assert_allclose(windows(fake, middle, 0), windows(fake, word, 0), atol=0.1)


def test_an_extractor_without_such_windows_is_refused(fake):
    class Coarse(type(fake)):
        def extract(self, wave):
            return super().extract(wave)[:1]

    with pytest.raises(DataError, match=r"gave 1 windows for 1\.102 s; words need 5"):
        windows(Coarse(), np.zeros(2000, np.float32), 2)


def test_features_are_standardized_over_the_training_voices(fake):
    spoken = load_spoken()
    training = np.flatnonzero(~spoken.test_voices[spoken.voices])
    words = EmbeddedWords(fake)
    found = words.of([spoken.wave(int(i)) for i in training])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-3)
    one = words.of([spoken.wave(5)])[0]
    raw = np.stack([windows(fake, spoken.wave(int(i)), 2).mean(axis=0) for i in training])
    expected = (windows(fake, spoken.wave(5), 2).mean(axis=0) - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(one, expected, atol=1e-3)


def test_unknown_features_are_refused():
    assert isinstance(word_features("log-mel"), LogMelWords)
    with pytest.raises(ConfigError, match="did you mean 'log-mel'"):
        word_features("logmel")


def test_only_the_audio_of_a_store_depends_on_the_features(fake, tmp_path):
    plain = build_digits(tmp_path / "plain", 20, 20)
    other = build_digits(tmp_path / "other", 20, 20, words=word_features("speech-embedding"))
    assert other.manifest.modalities["audio"].shape == (48,)
    assert "Made by the tests." in other.manifest.notes
    for split in ("train", "test", "test_one_scan"):
        mine, theirs = plain.split(split), other.split(split)
        assert mine.ids == theirs.ids
        assert (mine.label("step") == theirs.label("step")).all()
        assert [row.meta for row in mine.rows] == [row.meta for row in theirs.rows]
        clips = range(len(mine))
        for modality in ("video", "text"):
            assert torch.equal(
                mine.features(modality, clips)[0], theirs.features(modality, clips)[0]
            )
    assert isinstance(open_store(tmp_path / "other"), Clips)


@pytest.mark.slow
def test_poolings_are_judged_on_unseen_accents_and_the_one_in_use_is_among_them(fake, monkeypatch):
    short = pooling.HEAD.model_copy(update={"epochs": 8})
    monkeypatch.setattr(pooling, "HEAD", short)
    judged = judge_poolings(fake, takes=1)
    assert sorted(one.pooling for one in judged) == sorted(CANDIDATES)
    assert POOLING in CANDIDATES
    assert [j.recorded for j in judged] == sorted((j.recorded for j in judged), reverse=True)
    assert all(50 < j.recorded < j.clean < 100 for j in judged)
