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

from cmg.mel import periodic_hann, spectrogram, triangles

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
    if frame_count(len(wave)) == 0:
        return np.empty((0, BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, READS)[::HOP]
    filters = mel_filters()
    return spectrogram(
        frames, periodic_hann(READS), FFT, BANDS, lambda x: np.log(x @ filters + OFFSET)
    )


def windows(mel: NDArray[np.float32], hop: int = FRAMES) -> NDArray[np.float32]:
    """Windows of 96 frames.

    Args:
        mel: [M, 64].
        hop: Frames from one window to the next.

    Returns:
        A view [n, 96, 64]: 10 windows of 10 s, 5 of 5 s; what is left at the end is in none.
    """
    count = window_count(len(mel), hop)
    if count == 0:
        return np.empty((0, FRAMES, BANDS), dtype=np.float32)
    views = np.lib.stride_tricks.sliding_window_view(mel, FRAMES, axis=0)
    found: NDArray[np.float32] = views[::hop].transpose(0, 2, 1)
    return found


@cache
def mel_filters() -> NDArray[np.float64]:
    """Triangles over the mel scale of HTK, of height 1, from 257 bins to 64 bands: [257, 64].

    The first bin (0 Hz) weighs nothing.
    """
    edges = np.linspace(_mel(np.array(LOWEST)), _mel(np.array(HIGHEST)), BANDS + 2)
    found = triangles(_mel(np.linspace(0, RATE / 2, FFT // 2 + 1)), edges)
    found[0] = 0
    found.flags.writeable = False
    return found


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log(1 + hertz / 700))
