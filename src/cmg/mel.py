"""What all log-mel spectrograms have in common: windows, filters, blocks of frames.

Shape legend: R samples of a frame, M frames, K bins of its spectrum, B bands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

AT_ONCE = 4096
"""Frames that are computed at a time."""


def periodic_hann(length: int) -> Doubles:
    """One period of a raised cosine over some samples, whose next would be 0: [length]."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))


def triangles(bins: Doubles, edges: Doubles) -> Doubles:
    """Triangles of height 1, band b from edge b over edge b + 1 to edge b + 2.

    Args:
        bins: Where the bins of a spectrum lie, [K], in the unit that the triangles are straight in.
        edges: Rising, in the same unit, [B + 2].

    Returns:
        Weights [K, B].
    """
    at = bins[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))


def spectrogram(
    frames: NDArray[np.floating],
    window: Doubles,
    length: int,
    bands: int,
    turned: Callable[[Doubles], Doubles],
) -> NDArray[np.float32]:
    """A row per frame, computed in float64, a block of frames at a time.

    Args:
        frames: [M, R]; a view may overlap itself.
        window: That frames are multiplied by, [R].
        length: Of the transform, at least R.
        bands: B.
        turned: From magnitudes [m, K] of the bins to rows [m, B].

    Returns:
        float32 [M, B].
    """
    found = np.empty((len(frames), bands), dtype=np.float32)
    for first in range(0, len(frames), AT_ONCE):
        spectra = np.fft.rfft(frames[first : first + AT_ONCE] * window, length, axis=1)
        found[first : first + AT_ONCE] = turned(np.abs(spectra))
    return found
