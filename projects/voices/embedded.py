"""Words as features: of a speech embedding, or log-mel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.data.digits import SAMPLE_RATE, LogMelWords, WordFeatures
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.evaluation.probe import Labeled
from cmg.extract.decode import resampled
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor
from projects.voices.sources import Wave, synthetic_words

AUDIO = ("speech-embedding", "log-mel")
"""Names of :func:`word_features`."""
HOP_SECONDS = 0.08
WINDOW_SECONDS = 0.782
"""What one window of the embedding reads: 76 frames of its spectrogram."""
POOLING = (-2, -1, 0, 1, 2)
"""The windows whose mean is a word's feature, in hops from its middle.

Chosen on synthetic voices alone, see :mod:`projects.voices.pooling` and README.md."""


class EmbeddedWords:
    """The mean of an embedding's windows around the middle of a word, standardized.

    The mean and the deviation of every number are those over the embedded set's training voices;
    they are computed again wherever the features are.

    Args:
        extractor: Reads a waveform into windows that overlap, one every 80 ms.
    """

    def __init__(self, extractor: Any) -> None:
        self.extractor = extractor
        (self.width,) = extractor.shape
        self.notes = (
            f"Audio: {extractor.notes} The mean of the windows at {list(POOLING)} hops of "
            f"{HOP_SECONDS * 1000:g} ms from the middle of each word, standardized over the "
            "training voices."
        )
        known = self._pooled(synthetic_words(held_out=False).waves)
        self._mean, self._scale = known.mean(axis=0), known.std(axis=0) + 1e-6

    def of(self, waves: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
        """See :class:`cmg.data.digits.WordFeatures`."""
        return np.asarray((self._pooled(waves) - self._mean) / self._scale, dtype=np.float32)

    def _pooled(self, waves: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        reach = max(abs(hop) for hop in POOLING)
        chosen = [reach + hop for hop in POOLING]
        found = (windows(self.extractor, wave, reach) for wave in waves)
        return np.stack([one[chosen].mean(axis=0, dtype=np.float64) for one in found])


def windows(extractor: Any, wave: NDArray[np.floating], reach: int) -> Wave:
    """The windows around the middle of a word.

    Args:
        extractor: With a window every 80 ms.
        wave: [samples], 8 kHz. Of a word too long for the windows, the ends are not read.
        reach: Windows on each side of the middle one.

    Returns:
        float32 [2 * reach + 1, D].

    Raises:
        DataError: the extractor's windows do not lie around the middle of what it is given.
    """
    word = resampled(wave.astype(np.float32), SAMPLE_RATE, extractor.rate)
    length = round((WINDOW_SECONDS + 2 * reach * HOP_SECONDS) * extractor.rate)
    missing = max(0, length - len(word))
    line = np.pad(word, (missing // 2, missing - missing // 2))
    first = (len(line) - length) // 2
    found: Wave = extractor.extract(line[first : first + length])
    if len(found) != 2 * reach + 1:
        raise DataError(
            f"{extractor.name} gave {len(found)} windows for {length / extractor.rate:g} s; words "
            f"need {2 * reach + 1}, one of {WINDOW_SECONDS:g} s every {HOP_SECONDS:g} s"
        )
    return found


def word_features(name: str) -> WordFeatures:
    """Features of words by name.

    Raises:
        ConfigError: an unknown name, or a package of the speech embedding is missing.
    """
    if name not in AUDIO:
        raise ConfigError(f"no audio features {name!r}{did_you_mean(name, AUDIO)}")
    return LogMelWords() if name == "log-mel" else EmbeddedWords(speech_embedding())


def speech_embedding() -> Any:
    """The registry's speech embedding, with a window every 80 ms.

    Raises:
        ConfigError: a package that it needs is missing.
    """
    return load_extractor(AUDIO[0], LoadOptions(step_seconds=HOP_SECONDS))


def single_words(features: NDArray[np.floating], digits: NDArray[np.int64]) -> Labeled:
    """Words [N, D] as clips of one step with their digits."""
    x = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))[:, None]
    mask = torch.ones(len(x), 1, dtype=torch.bool)
    return Labeled(x, mask, torch.from_numpy(digits), 10)
