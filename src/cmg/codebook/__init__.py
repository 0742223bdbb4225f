"""Quantizers: lookup, MM-EMA, code reset, and how codes are used."""

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.continuous import Continuous, ContinuousOptions
from cmg.codebook.ema import EMAOptions
from cmg.codebook.learned import LearnedCodebook, LearnedOptions
from cmg.codebook.levels import (
    ProductCodebook,
    ProductOptions,
    ResidualCodebook,
    ResidualOptions,
)
from cmg.codebook.library import LibraryQuantizer
from cmg.codebook.library_kinds import (
    FSQ,
    LFQ,
    FSQOptions,
    LFQOptions,
    ResidualVQ,
    ResidualVQOptions,
    SimVQ,
    SimVQOptions,
)
from cmg.codebook.measures import CodeUsage
from cmg.codebook.quantizer import Quantizer, QuantizerOptions, quantizers
from cmg.codebook.reset import ResetOptions, random_reset
from cmg.codebook.tied import TiedCodebook, TiedOptions

__all__ = [
    "FSQ",
    "LFQ",
    "CodeUsage",
    "CodebookOptions",
    "Continuous",
    "ContinuousOptions",
    "EMAOptions",
    "FSQOptions",
    "LFQOptions",
    "LearnedCodebook",
    "LearnedOptions",
    "LibraryQuantizer",
    "ProductCodebook",
    "ProductOptions",
    "Quantizer",
    "QuantizerOptions",
    "ResetOptions",
    "ResidualCodebook",
    "ResidualOptions",
    "ResidualVQ",
    "ResidualVQOptions",
    "SharedCodebook",
    "SimVQ",
    "SimVQOptions",
    "TiedCodebook",
    "TiedOptions",
    "quantizers",
    "random_reset",
]
