"""Objectives: one term per file, functional cores, composed by weight."""

# The registry's order is that of the sum, of initial weights and of random choices.
# isort: off
from cmg.objectives.reconstruction import Reconstruction, ReconstructionOptions, reconstruction_loss
from cmg.objectives.commitment import Commitment, CommitmentOptions, commitment_loss
from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cmcm import CMCM, CMCMOptions, cmcm_loss

# isort: on
from cmg.objectives.base import Objective, Term, TermOptions, View, objectives
from cmg.objectives.draws import Draws
from cmg.objectives.options import ObjectiveOptions
from cmg.objectives.weighted import WeightedObjectives

__all__ = [
    "CLUB",
    "CMCM",
    "CLUBGroup",
    "CLUBOptions",
    "CMCMOptions",
    "Commitment",
    "CommitmentOptions",
    "CrossCPC",
    "CrossCPCOptions",
    "Draws",
    "Objective",
    "ObjectiveOptions",
    "Reconstruction",
    "ReconstructionOptions",
    "Term",
    "TermOptions",
    "View",
    "WeightedObjectives",
    "cmcm_loss",
    "commitment_loss",
    "objectives",
    "reconstruction_loss",
]
