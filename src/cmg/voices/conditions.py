"""Synthetic words as if recorded: another speaker's size and pace, a microphone, a room, a level.

What is chosen for recorded voices is chosen on these, never on recordings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE
from cmg.extract.media.sound import resampled

_SPEED = (0.8, 1.25)
"""Played slower or faster, which moves pitch and formants too."""
_TILT = (-6.0, 6.0)
"""Decibels per octave, at most 20 dB either way."""
_SILENCE = (0.0, 0.5)
"""Seconds before and after."""
_ABOVE_NOISE = (25.0, 50.0)
"""Decibels from the room's noise to the word."""
_LEVEL = (0.1, 0.9)
"""Peak."""


def as_if_recorded(
    wave: NDArray[np.floating], generator: np.random.Generator
) -> NDArray[np.float64]:
    """A word under recording conditions that are drawn at random.

    Args:
        wave: [samples], 8 kHz.
        generator: Of all draws.

    Returns:
        float64 [more samples], 8 kHz: silence with noise, the word, silence with noise.
    """
    speed = generator.uniform(*_SPEED)
    spoken = resampled(wave.astype(np.float32), round(SAMPLE_RATE * speed), SAMPLE_RATE)
    hertz = np.maximum(np.fft.rfftfreq(len(spoken), 1 / SAMPLE_RATE), 100.0)
    gain = 10 ** (generator.uniform(*_TILT) / 20 * np.log2(hertz / 1000))
    word = np.fft.irfft(np.fft.rfft(spoken) * np.clip(gain, 0.1, 10), len(spoken))
    before, after = (generator.uniform(*_SILENCE, 2) * SAMPLE_RATE).astype(int)
    line = np.pad(word, (before, after))
    noise = 10 ** (-generator.uniform(*_ABOVE_NOISE) / 20) * np.sqrt(np.mean(word**2))
    line = line + noise * generator.standard_normal(len(line))
    return np.asarray(line * (generator.uniform(*_LEVEL) / np.abs(line).max()))
