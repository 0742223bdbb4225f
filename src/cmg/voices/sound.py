"""Bringing a recording into the form that the embedded utterances have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE
from cmg.errors import DataError
from cmg.extract.media.sound import resampled

LOUD = 1e-3
"""A word is where the power over 10 ms exceeds this part of its peak: -30 dB, as in the archive."""
PEAK = 0.9
SHORTEST, LONGEST = 0.05, 5.0
"""Seconds that a recording of one word may have."""


def as_archived(wave: NDArray[np.floating], rate: int, where: str) -> NDArray[np.float32]:
    """A recorded word as the embedded archive keeps words.

    8 kHz, no constant part, without the silence before and after (10 ms to spare), peak 0.9.

    Args:
        wave: [samples].
        rate: Samples per second.
        where: What it is, for messages.

    Raises:
        DataError: silence, numbers that are not finite, or no length that a word can have.
        ConfigError: PyAV is not installed and the rate is another.
    """
    if not SHORTEST <= len(wave) / rate <= LONGEST:
        raise DataError(
            f"{where} lasts {len(wave) / rate:.2f} s; one spoken word lasts {SHORTEST:g} to "
            f"{LONGEST:g} s"
        )
    if not np.isfinite(wave).all():
        raise DataError(f"{where} has samples that are NaN or infinite; record or convert it anew")
    word = resampled((wave - wave.mean()).astype(np.float32), rate, SAMPLE_RATE)
    if np.abs(word).max() < 1e-4:
        raise DataError(f"{where} is silent; give a recording of one spoken word")
    word = spoken_part(word)
    return np.asarray(PEAK * word / np.abs(word).max(), dtype=np.float32)


def spoken_part(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """A waveform [samples] at 8 kHz without the quiet before and after, with 10 ms to spare."""
    window = SAMPLE_RATE // 100
    power = np.convolve(wave**2, np.ones(window) / window, mode="same")
    loud = np.flatnonzero(power > LOUD * power.max())
    return wave[max(0, loud[0] - window) : loud[-1] + window]
