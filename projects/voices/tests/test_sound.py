"""Recordings brought into the archive's form."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.data.digits import load_spoken
from cmg.errors import DataError
from projects.voices.pooling import as_if_recorded
from projects.voices.sources import as_archived

pytest.importorskip("av")


def tone(hertz, seconds, rate):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_a_tone_keeps_its_pitch_at_the_rate_of_the_archive():
    found = as_archived(tone(440, 0.5, 44100), 44100, "x")
    spectrum = np.abs(np.fft.rfft(found))
    assert np.fft.rfftfreq(len(found), 1 / 8000)[spectrum.argmax()] == pytest.approx(440, abs=3)
    assert len(found) == pytest.approx(4000, abs=200)


def test_a_word_loses_its_silence_and_constant_part_and_gets_the_peak_of_the_archive():
    word = np.hanning(2400) * tone(500, 0.3, 8000)
    line = np.concatenate([np.zeros(1600), 0.2 * word, np.zeros(4000)]) + 0.05
    found = as_archived(line, 8000, "x")
    assert np.abs(found).max() == pytest.approx(0.9)
    assert 2400 * 0.7 < len(found) < 2400 + 200
    assert abs(found.mean()) < 0.01


def test_an_archived_word_stays_what_it_is():
    wave = load_spoken().wave(7)
    found = as_archived(np.pad(wave, 3000), 8000, "x")
    start = np.argmax(np.correlate(found, wave / np.abs(wave).max(), "full")) - len(wave) + 1
    assert abs(len(found) - len(wave)) <= 160
    assert abs(start) <= 160


def test_a_simulated_recording_holds_the_word_between_silences():
    wave = load_spoken().wave(3)
    found = as_if_recorded(wave, np.random.default_rng(1))
    assert len(found) > 0.8 * len(wave)
    assert 0.1 <= np.abs(found).max() <= 0.9
    again = as_if_recorded(wave, np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.zeros(4000), "is silent"),
        (np.ones(4000), "is silent"),
        (np.zeros(100), "lasts 0.01 s"),
        (np.zeros(80000), "lasts 10.00 s"),
        (np.full(4000, np.nan), "NaN or infinite"),
    ],
)
def test_what_is_no_word_is_refused_by_name(wave, said):
    with pytest.raises(DataError, match=rf"seven\.wav.*{said}"):
        as_archived(wave, 8000, "seven.wav")
