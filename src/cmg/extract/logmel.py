"""The front end of VGGish: from a waveform to windows of a log-mel spectrogram.

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017, with
the parameters of the published code (*as coded*): magnitudes, not powers; no padding; a periodic
Hann window; mel triangles that are not normalized.

Shape legend: S samples, M mel frames, n windows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
READS, HOP, FFT = 400, 160, 512
"""Samples of a mel frame (25 ms), from one to the next (10 ms), and of the transform."""
HOP_SECONDS = HOP / RATE
BANDS = 64
LOWEST, HIGHEST = 125.0, 7500.0
"""Of the bands, in Hz."""
OFFSET = 0.01
"""Added before the logarithm."""
FRAMES = 96
"""Mel frames of a window: 0.96 s."""
LEAST = READS + (FRAMES - 1) * HOP
"""Samples that the first window reads: 0.975 s."""
AT_ONCE = 4096
"""Mel frames that are computed at a time."""


def frame_count(samples: int) -> int:
    """Mel frames that lie wholly inside a wave."""
    return max(0, 1 + (samples - READS) // HOP)


def window_count(frames: int, hop: int = FRAMES) -> int:
    """Windows that lie wholly inside a spectrogram, `hop` frames from one to the next."""
    return max(0, 1 + (frames - FRAMES) // hop)


def log_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """``ln(mel + 0.01)`` of a mono waveform [S] in [-1, 1] at 16 kHz: float32 [M, 64].

    Computed in float64. M counts complete frames: 998 of 10 s.
    """
    count = frame_count(len(wave))
    found = np.empty((count, BANDS), dtype=np.float32)
    if count == 0:
        return found
    views = np.lib.stride_tricks.sliding_window_view(wave, READS)[::HOP]
    window, filters = periodic_hann(), mel_filters()
    for first in range(0, count, AT_ONCE):
        magnitudes = np.abs(np.fft.rfft(views[first : first + AT_ONCE] * window, FFT, axis=1))
        found[first : first + AT_ONCE] = np.log(magnitudes @ filters + OFFSET)
    return found


def windows(spectrogram: NDArray[np.float32], hop: int = FRAMES) -> NDArray[np.float32]:
    """Windows of 96 frames.

    Args:
        spectrogram: [M, 64].
        hop: Frames from one window to the next.

    Returns:
        A view [n, 96, 64]: 10 windows of 10 s, 5 of 5 s; what is left at the end is in none.
    """
    count = window_count(len(spectrogram), hop)
    if count == 0:
        return np.empty((0, FRAMES, BANDS), dtype=np.float32)
    views = np.lib.stride_tricks.sliding_window_view(spectrogram, FRAMES, axis=0)
    found: NDArray[np.float32] = views[::hop].transpose(0, 2, 1)
    return found


def periodic_hann() -> NDArray[np.float64]:
    """One period of a raised cosine over 400 samples, whose next would be 0: [400]."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(READS) / READS))


@cache
def mel_filters() -> NDArray[np.float64]:
    """Triangles over the mel scale of HTK, of height 1, from 257 bins to 64 bands: [257, 64].

    The first bin (0 Hz) weighs nothing.
    """
    edges = np.linspace(_mel(np.array(LOWEST)), _mel(np.array(HIGHEST)), BANDS + 2)
    bins = _mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    found = np.maximum(0, triangles)
    found[0] = 0
    found.flags.writeable = False
    return found


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log(1 + hertz / 700))
