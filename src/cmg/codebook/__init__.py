"""The shared codebook: lookup, MM-EMA, code reset, and how it is used."""

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.ema import EMAOptions
from cmg.codebook.measures import CodeUsage
from cmg.codebook.reset import ResetOptions, random_reset

__all__ = [
    "CodeUsage",
    "CodebookOptions",
    "EMAOptions",
    "ResetOptions",
    "SharedCodebook",
    "random_reset",
]
