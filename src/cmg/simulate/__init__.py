"""A generated stand-in for the official download: the same layout, features of a made-up world."""

from cmg.simulate.latents import Latents
from cmg.simulate.options import SimulateOptions
from cmg.simulate.scripts import Occurrence, Script
from cmg.simulate.simulation import SimulationSummary, simulate

__all__ = [
    "Latents",
    "Occurrence",
    "Script",
    "SimulateOptions",
    "SimulationSummary",
    "simulate",
]
