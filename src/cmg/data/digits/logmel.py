"""What a spoken word becomes in a store of digits: log-mel features, or those of a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE
from cmg.mel import triangles

FRAMES = 8
BANDS = 16
WIDTH = FRAMES * BANDS

_WINDOW = 200
"""25 ms."""
_HOP = 80
"""10 ms."""
_FFT = 256
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 3800.0
_FLOOR = 1e-4
"""Power added before the logarithm: about 40 dB below speech, so silence stays finite."""
_MEAN, _SCALE = -5.0, 3.0
"""Rounded mean and deviation of the training voices' log-mel features."""
_FRAMES_AT_ONCE = 16384


class WordFeatures(Protocol):
    """One feature per spoken word."""

    width: int
    """Numbers of a feature, D."""
    notes: str
    """One sentence for the store; may be empty."""

    def of(self, waves: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
        """Features float32 [N, D] of N waveforms [samples] in [-1, 1], 8 kHz.

        Words are as the embedded archive has them: without silence around them, peak 0.9.
        """


class LogMelWords:
    """The features of the embedded set."""

    width = WIDTH
    notes = ""

    def of(self, waves: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
        """See :func:`log_mel`."""
        return log_mel(waves)


def log_mel(waves: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """Log-mel features of some waveforms.

    Each waveform is divided into 8 overlapping stretches of equal length, whatever its duration;
    a stretch has the mean log power of its frames in 16 mel bands.

    Args:
        waves: N waveforms [samples] in [-1, 1], 8 kHz, at least one sample each.

    Returns:
        float32 [N, 128], time before bands, scaled by fixed constants to about zero mean and
        unit variance over speech.
    """
    counts = np.array([1 + len(wave) // _HOP for wave in waves])
    log_power = np.log(_mel_power(waves, counts) + _FLOOR)
    starts = np.cumsum(counts) - counts
    pooled = np.stack(
        [_stretch(n) @ log_power[a : a + n] for a, n in zip(starts, counts, strict=True)]
    )
    return ((pooled - _MEAN) / _SCALE).reshape(len(waves), WIDTH).astype(np.float32)


def _mel_power(
    waves: Sequence[NDArray[np.floating]], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mel power [frames, 16] of the frames of all waveforms, one after the other."""
    room = (counts - 1) * _HOP + _WINDOW
    first = np.cumsum(room) - room
    line = np.zeros(int(room.sum()))
    for start, wave in zip(first, waves, strict=True):
        centered = start + _WINDOW // 2
        line[centered : centered + len(wave)] = wave
    within = np.concatenate([np.arange(n) * _HOP for n in counts])
    begins = np.repeat(first, counts) + within
    views = np.lib.stride_tricks.sliding_window_view(line, _WINDOW)
    window = np.hanning(_WINDOW)
    filters = _mel_filters() / (window**2).sum()
    blocks = [
        np.abs(np.fft.rfft(views[begins[i : i + _FRAMES_AT_ONCE]] * window, _FFT)) ** 2 @ filters
        for i in range(0, len(begins), _FRAMES_AT_ONCE)
    ]
    return np.concatenate(blocks)


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float64]:
    """Triangular filters [129, 16], equally spaced on the mel scale."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins: NDArray[np.float64] = np.arange(_FFT // 2 + 1) * np.float64(SAMPLE_RATE / _FFT)
    return triangles(bins, edges)


@lru_cache(maxsize=1024)
def _stretch(frames: int) -> NDArray[np.float64]:
    """Weights [8, frames]: overlapping triangles that share the frames among 8 stretches."""
    position = (np.arange(frames) + 0.5) * (FRAMES / frames)
    center = np.arange(FRAMES)[:, None] + 0.5
    # A word shorter than 8 frames leaves a triangle empty; its width grows with the frame then.
    width = max(1.0, FRAMES / frames)
    weights: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(position - center) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights
