"""The two embedded archives: scanned handwriting and synthesized speech.

``tools/make_digit_archives.py`` made them; ``NOTICE.md`` says where they are from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cmg.data.embedded import read_archive

SHA256 = {
    "scans.npz": "a3f163a04ce9e8565f347381122085e89eef4773797597488920e49f9d9a5d0a",
    "spoken.npz": "f3fd5497d92c4d2495f5e41c807cc926d1bf162ae5e3ac288be6fc9c975d4c03",
}
SAMPLE_RATE = 8000
HELD_OUT_SCANS = 500
"""So many scans at the end of the archive are for testing."""


@dataclass(frozen=True)
class Scans:
    """Scanned handwritten digits.

    Attributes:
        images: uint8 [1797, 8, 8], ink 0 (paper) to 16.
        digits: int64 [1797], the digit each one shows.
        attribution: Source, authors and license.
    """

    images: NDArray[np.uint8]
    digits: NDArray[np.int64]
    attribution: dict[str, str]

    def of(self, digit: int, held_out: bool) -> NDArray[np.int64]:
        """Indices of the scans of a digit, for training or held out for testing."""
        first = len(self.digits) - HELD_OUT_SCANS
        late = np.arange(len(self.digits)) >= first
        return np.flatnonzero((self.digits == digit) & (late == held_out))


@dataclass(frozen=True)
class Spoken:
    """Digit words spoken by a synthesizer, 8 kHz.

    Attributes:
        mulaw: uint8, the 8-bit mu-law samples of all utterances, one after the other.
        offsets: int64 [N + 1], where each utterance starts.
        digits: int64 [N], the digit each one says.
        voices: int64 [N], index of its voice.
        voice_names: Names of the voices: accent, variant, rate and pitch.
        test_voices: bool [voices], the voices held out for testing; no variant of theirs is
            among the others.
        attribution: Source and license.
    """

    mulaw: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    digits: NDArray[np.int64]
    voices: NDArray[np.int64]
    voice_names: tuple[str, ...]
    test_voices: NDArray[np.bool_]
    attribution: dict[str, str]

    def wave(self, utterance: int) -> NDArray[np.float32]:
        """The waveform of one utterance, float32 [samples] in [-1, 1], 8 kHz.

        Raises:
            IndexError: there is no such utterance.
        """
        if not 0 <= utterance < len(self.digits):
            raise IndexError(f"no utterance {utterance}; there are {len(self.digits)}")
        first, last = self.offsets[utterance : utterance + 2]
        return _MULAW_VALUES[self.mulaw[first:last]]

    def of(self, digit: int, held_out: bool) -> NDArray[np.int64]:
        """Indices of the utterances of a digit, by training or by held-out voices."""
        return np.flatnonzero((self.digits == digit) & (self.test_voices[self.voices] == held_out))


def _mulaw_values() -> NDArray[np.float32]:
    code = np.arange(256) / 127.5 - 1
    values: NDArray[np.float32] = (np.sign(code) * (256 ** np.abs(code) - 1) / 255).astype("f4")
    return values


_MULAW_VALUES = _mulaw_values()


@lru_cache(maxsize=1)
def load_scans() -> Scans:
    """The embedded scans.

    Raises:
        DataError: the archive is missing or damaged.
    """
    arrays = read_archive(__package__, "scans.npz", SHA256["scans.npz"])
    return Scans(
        images=arrays["images"],
        digits=arrays["digits"].astype(np.int64),
        attribution=json.loads(str(arrays["attribution"])),
    )


@lru_cache(maxsize=1)
def load_spoken() -> Spoken:
    """The embedded utterances.

    Raises:
        DataError: the archive is missing or damaged.
    """
    arrays = read_archive(__package__, "spoken.npz", SHA256["spoken.npz"])
    return Spoken(
        mulaw=arrays["mulaw"],
        offsets=arrays["offsets"],
        digits=arrays["digits"].astype(np.int64),
        voices=arrays["voices"].astype(np.int64),
        voice_names=tuple(map(str, arrays["voice_names"])),
        test_voices=arrays["test_voices"],
        attribution=json.loads(str(arrays["attribution"])),
    )
