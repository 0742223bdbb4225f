"""Make the archives of the embedded set: `python tools/make_digit_archives.py`.

A development tool; users never need it. It needs scikit-learn (for the scans) and
espeakng-loader (for the synthesized speech), and writes

* ``src/cmg/data/digits/scans.npz``: the 1797 8x8 scans of `sklearn.datasets.load_digits`,
* ``src/cmg/data/digits/spoken.npz``: "zero" to "nine" spoken by 64 espeak-ng voices.

Then it prints sizes and SHA-256 digests, which `cmg.data.digits.archives` records.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parents[1] / "src/cmg/data/digits"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = (
    "en-us",
    "en",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
VARIANTS = (
    "Alex Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike "
    "Nguyen Reed Storm Tweaky adam anika announcer antonio aunty belinda benjamin boris caleb "
    "david ed edward f1 f4 grandma grandpa gustave ian iven john kaukovalta klatt klatt3 linda m1 "
    "m2 m3 m4 m5 m7 marcelo max michel miguel norbert pablo paul pedro quincy rob robert shelby "
    "steph victor zac"
).split()
RATES = (150, 175, 200)
"""Words per minute."""
PITCHES = (38, 50, 62)

SCANS_ATTRIBUTION = {
    "what": "1797 scans of handwritten digits, 8x8, values 0..16 (real handwriting)",
    "title": "Optical Recognition of Handwritten Digits (test part)",
    "authors": "E. Alpaydin, C. Kaynak",
    "source": "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, as distributed "
    "by scikit-learn (sklearn.datasets.load_digits), same order",
    "license": "CC BY 4.0",
}
SPOKEN_ATTRIBUTION = {
    "what": "English digit words spoken by 64 synthesizer voices (synthesized, nobody recorded)",
    "source": "made with espeak-ng through espeakng-loader by tools/make_digit_archives.py",
    "license": "Apache-2.0; espeak-ng itself is GPL-3 and not included, and its license does not "
    "cover its output",
}

_SYNCHRONOUS = 2
_RATE, _PITCH = 1, 3
_UTF8 = 1
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True)
class Voice:
    """One voice: an accent spoken by a variant at a rate and a pitch."""

    accent: str
    variant: str
    rate: int
    pitch: int

    @property
    def name(self) -> str:
        """What espeak-ng calls it, with rate and pitch."""
        return f"{self.accent}+{self.variant} rate {self.rate} pitch {self.pitch}"


class Synthesizer:
    """espeak-ng, called in process."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng did not start")
        self._chunks: list[NDArray[np.int16]] = []
        self._callback = _Callback(self._receive)
        self._lib.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: object) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: Voice) -> NDArray[np.float64]:
        """The waveform of `text`, float64 [samples]."""
        name = f"{voice.accent}+{voice.variant}".encode()
        if self._lib.espeak_SetVoiceByName(name) != 0:
            raise RuntimeError(f"espeak-ng has no voice {name!r}")
        self._lib.espeak_SetParameter(_RATE, voice.rate, 0)
        self._lib.espeak_SetParameter(_PITCH, voice.pitch, 0)
        # Breathy voices take their noise from rand(), otherwise seeded with the time.
        self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._chunks.clear()
        raw = text.encode() + b"\0"
        self._lib.espeak_Synth(raw, len(raw), 0, 0, 0, _UTF8, None, None)
        return np.concatenate(self._chunks).astype(np.float64)


def voices() -> list[Voice]:
    """The 64 voices: every variant once, accents, rates and pitches in turn."""
    return [
        Voice(ACCENTS[(i + i // 8) % 8], variant, RATES[i % 3], PITCHES[(i // 3) % 3])
        for i, variant in enumerate(VARIANTS)
    ]


def trimmed(wave: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """`wave` without the silence before and after, with 10 ms to spare."""
    window = rate // 100
    power = np.convolve(wave**2, np.ones(window) / window, mode="same")
    loud = np.flatnonzero(power > 1e-3 * power.max())
    return wave[max(0, loud[0] - window) : loud[-1] + window]


def mu_law(wave: NDArray[np.float64]) -> NDArray[np.uint8]:
    """8-bit mu-law code of a waveform in [-1, 1]."""
    compressed = np.sign(wave) * np.log1p(255 * np.abs(wave)) / np.log(256)
    return np.round((compressed + 1) * 127.5).astype(np.uint8)


def spoken() -> dict[str, NDArray[Any]]:
    """The arrays of `spoken.npz`."""
    synthesizer = Synthesizer()
    cast = voices()
    waves = []
    for voice in cast:
        for word in WORDS:
            wave = resample_poly(synthesizer.say(word, voice), 8000, synthesizer.rate)
            wave = trimmed(wave, 8000)
            waves.append(mu_law(0.9 * wave / np.abs(wave).max()))
    ends = np.cumsum([len(wave) for wave in waves])
    return {
        "mulaw": np.concatenate(waves),
        "offsets": np.concatenate([[0], ends]).astype(np.int64),
        "digits": np.tile(np.arange(10, dtype=np.uint8), len(cast)),
        "voices": np.repeat(np.arange(len(cast), dtype=np.uint8), 10),
        "voice_names": np.array([voice.name for voice in cast]),
        # Every fourth variant is held out, so that all accents, rates and pitches are in both.
        "test_voices": np.arange(len(cast)) % 4 == 3,
        "attribution": np.array(json.dumps(SPOKEN_ATTRIBUTION)),
    }


def scans() -> dict[str, NDArray[Any]]:
    """The arrays of `scans.npz`."""
    source = load_digits()
    return {
        "images": source.images.astype(np.uint8),
        "digits": source.target.astype(np.uint8),
        "attribution": np.array(json.dumps(SCANS_ATTRIBUTION)),
    }


def main() -> None:
    """Write both archives and print their sizes and digests."""
    for name, arrays in (("scans.npz", scans()), ("spoken.npz", spoken())):
        path = FOLDER / name
        np.savez_compressed(path, **arrays)
        data = path.read_bytes()
        print(f"{name}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
