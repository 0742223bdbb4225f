"""The front end of VGGish against a slow transform and triangles made by hand."""

import math

import numpy as np
import pytest

from cmg import mel
from cmg.extract.logmel import frame_count, log_mel, mel_filters, window_count, windows


def noise(seconds, seed=0):
    drawn = np.random.default_rng(seed).uniform(-1, 1, round(seconds * 16000))
    return drawn.astype(np.float32)


def slow_log_mel(wave):
    """By the definition, frame for frame, in float64."""
    n, k = np.arange(400), np.arange(257)
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * i / 400) for i in range(400)]
    # Zeros behind the 400 samples add nothing to the sum over 512.
    turn = np.exp(-2j * np.pi * np.outer(k, n) / 512)
    rows = []
    for start in range(0, len(wave) - 400 + 1, 160):
        magnitude = np.abs(turn @ (wave[start : start + 400].astype(np.float64) * hann))
        rows.append([math.log(w @ magnitude + 0.01) for w in slow_triangles()])
    return np.array(rows)


def slow_triangles():
    def mel(f):
        return 1127 * math.log(1 + f / 700)

    low, high = mel(125), mel(7500)
    edges = [low + (high - low) * i / 65 for i in range(66)]
    bands = np.zeros((64, 257))
    for band in range(64):
        left, top, right = edges[band : band + 3]
        for index in range(1, 257):
            at = mel(index * 8000 / 256)
            if left < at <= top:
                bands[band, index] = (at - left) / (top - left)
            elif top < at < right:
                bands[band, index] = (right - at) / (right - top)
    return bands


def test_the_spectrogram_is_the_one_of_the_definition():
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(4800) / 16000)
    wave = np.concatenate([tone, noise(0.1), np.zeros(1500)]).astype(np.float32)
    found = log_mel(wave)
    assert (found.shape, found.dtype) == ((47, 64), np.float32)
    np.testing.assert_allclose(found, slow_log_mel(wave), rtol=1e-5, atol=1e-5)


def test_triangles_are_linear_in_mel_and_not_normalized():
    filters = mel_filters()
    np.testing.assert_allclose(filters, slow_triangles().T, atol=1e-12)
    assert not filters[0].any()
    assert not filters[:5].any()  # 125 Hz is bin 4, where the first triangle begins
    assert not filters[240:].any()  # 7500 Hz is bin 240, where the last one ends
    # Neighbors overlap so that their weights add up to 1 between the first and the last top.
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    bins = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    inside = (bins >= edges[1]) & (bins <= edges[-2])
    np.testing.assert_allclose(filters[inside].sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize(
    ("samples", "frames", "count"),
    [
        (160_000, 998, 10),  # 10 s
        (80_000, 498, 5),  # 5 s
        (16_000, 98, 1),
        (15_600, 96, 1),  # the least
        (15_599, 95, 0),
        (153_840, 960, 10),  # the shortest that gives 10
        (153_839, 959, 9),
        (480_000, 2998, 31),
        (400, 1, 0),
        (399, 0, 0),
        (1, 0, 0),
        (0, 0, 0),
    ],
)
def test_only_complete_frames_and_whole_windows_count(samples, frames, count):
    assert frame_count(samples) == frames
    assert window_count(frames) == count
    found = log_mel(np.zeros(samples, np.float32))
    assert found.shape == (frames, 64)
    assert windows(found).shape == (count, 96, 64)


def test_windows_do_not_overlap_unless_asked():
    found = log_mel(noise(3))  # 298 frames
    apart = windows(found)
    assert len(apart) == 3
    np.testing.assert_array_equal(apart[2], found[192:288])
    seconds = windows(found, hop=100)
    assert len(seconds) == 3
    np.testing.assert_array_equal(seconds[2], found[200:296])
    halves = windows(found, hop=50)
    assert len(halves) == 5
    np.testing.assert_array_equal(halves[3], found[150:246])


def test_a_long_wave_is_computed_in_pieces_that_do_not_show(monkeypatch):
    wave = noise(0.5)
    whole = log_mel(wave)
    monkeypatch.setattr(mel, "AT_ONCE", 7)
    np.testing.assert_allclose(log_mel(wave), whole, rtol=1e-6)
