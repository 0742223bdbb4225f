"""Quantizers: lookup, MM-EMA, code reset, and how codes are used."""

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.ema import EMAOptions
from cmg.codebook.levels import (
    ProductCodebook,
    ProductOptions,
    ResidualCodebook,
    ResidualOptions,
)
from cmg.codebook.measures import CodeUsage
from cmg.codebook.quantizer import Continuous, ContinuousOptions, Quantizer, quantizers
from cmg.codebook.reset import ResetOptions, random_reset
from cmg.codebook.tied import TiedCodebook, TiedOptions

__all__ = [
    "CodeUsage",
    "CodebookOptions",
    "Continuous",
    "ContinuousOptions",
    "EMAOptions",
    "ProductCodebook",
    "ProductOptions",
    "Quantizer",
    "ResetOptions",
    "ResidualCodebook",
    "ResidualOptions",
    "SharedCodebook",
    "TiedCodebook",
    "TiedOptions",
    "quantizers",
    "random_reset",
]
