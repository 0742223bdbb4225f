"""Recordings that the tests make themselves, and a stand-in for the speech embedding."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.data.digits import load_spoken, wav_bytes
from projects.voices import embedded
from projects.voices.pooling import as_if_recorded
from projects.voices.sources import SOURCES


class FakeEmbedding:
    """Log power in six bands of one window of 0.782 s every 0.08 s, as the real one has windows."""

    name = "speech-embedding"
    shape = (48,)
    step_seconds = 0.08
    rate = 8000  # that of the words: no resampling of every one of them
    identity = "fake"
    notes = "Made by the tests."

    def extract(self, wave):
        size, hop = round(0.782 * self.rate), round(0.08 * self.rate)
        views = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]
        parts = np.array_split(views, 8, axis=1)
        spectra = [np.abs(np.fft.rfft(p, 1024))[:, 8:512] ** 2 for p in parts]
        bands = [[b.mean(axis=1) for b in np.array_split(s, 6, axis=1)] for s in spectra]
        return np.log(np.array(bands).reshape(48, -1).T + 1e-3).astype(np.float32)


@pytest.fixture
def fake(monkeypatch):
    """The fake instead of the registry's speech embedding."""
    made = FakeEmbedding()
    monkeypatch.setattr(embedded, "speech_embedding", lambda: made)
    return made


@pytest.fixture(scope="session")
def spoken_folder(tmp_path_factory):
    """A root with synthetic words, as if recorded, where the packages have theirs."""
    root = tmp_path_factory.mktemp("packages")
    spoken = load_spoken()
    generator = np.random.default_rng(0)
    for number, source in enumerate(SOURCES):
        voice = np.flatnonzero(spoken.test_voices)[number]
        for digit in range(10):
            said = int(np.flatnonzero((spoken.voices == voice) & (spoken.digits == digit))[0])
            file = root / source.path.format(digit=digit)
            file.parent.mkdir(parents=True, exist_ok=True)
            wave = as_if_recorded(spoken.wave(said), generator)
            file.write_bytes(wav_bytes(wave))  # decoders go by the content, not the ending
    return root
