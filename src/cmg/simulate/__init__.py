"""A generated stand-in for the official download: the same layout, features of a made-up world."""

from cmg.simulate.latents import World
from cmg.simulate.options import SimulateOptions
from cmg.simulate.scripts import Occurrence, Script
from cmg.simulate.simulation import Summary, simulate

__all__ = [
    "Occurrence",
    "Script",
    "SimulateOptions",
    "Summary",
    "World",
    "simulate",
]
