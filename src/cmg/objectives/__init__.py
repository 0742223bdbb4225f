"""Objectives: one term per file, functional cores, composed by weight."""

from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cmcm import CMCMOptions, cmcm_loss
from cmg.objectives.commitment import CommitmentOptions, commitment_loss
from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
from cmg.objectives.draws import Draws
from cmg.objectives.reconstruction import ReconstructionOptions, reconstruction_loss
from cmg.objectives.weighted import ObjectiveOptions, WeightedObjectives

__all__ = [
    "CLUB",
    "CLUBGroup",
    "CLUBOptions",
    "CMCMOptions",
    "CommitmentOptions",
    "CrossCPC",
    "CrossCPCOptions",
    "Draws",
    "ObjectiveOptions",
    "ReconstructionOptions",
    "WeightedObjectives",
    "cmcm_loss",
    "commitment_loss",
    "reconstruction_loss",
]
