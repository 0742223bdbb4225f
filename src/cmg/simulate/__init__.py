"""A generated stand-in for the official download: the same layout, features of a made-up world."""

from cmg.simulate.options import SimulateOptions
from cmg.simulate.scripts import Occurrence, Script
from cmg.simulate.simulation import Summary, simulate
from cmg.simulate.world import World

__all__ = [
    "Occurrence",
    "Script",
    "SimulateOptions",
    "Summary",
    "World",
    "simulate",
]
