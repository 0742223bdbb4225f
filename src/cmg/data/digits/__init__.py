"""The embedded set **digits**: real handwriting, synthesized voices, sentences, paired by digit."""

from cmg.data.digits.archives import SAMPLE_RATE, Scans, Spoken, load_scans, load_spoken
from cmg.data.digits.build import build_digits, patches
from cmg.data.digits.logmel import LogMelWords, WordFeatures
from cmg.data.digits.media import png_bytes, wav_bytes

__all__ = [
    "SAMPLE_RATE",
    "LogMelWords",
    "Scans",
    "Spoken",
    "WordFeatures",
    "build_digits",
    "load_scans",
    "load_spoken",
    "patches",
    "png_bytes",
    "wav_bytes",
]
