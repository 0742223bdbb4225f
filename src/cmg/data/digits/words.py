"""What a spoken word becomes in a store of digits: log-mel features, or those of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits.logmel import WIDTH, log_mel


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
        """See :func:`cmg.data.digits.logmel.log_mel`."""
        return log_mel(waves)
