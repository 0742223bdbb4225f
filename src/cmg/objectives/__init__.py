"""Objectives: one term per file, functional cores, composed by weight."""

# The registry's order is that of the sum, of initial weights and of random choices.
# isort: off
from cmg.objectives.reconstruction import Reconstruction, ReconstructionOptions, reconstruction_loss
from cmg.objectives.commitment import Commitment, CommitmentOptions, commitment_loss
from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cmcm import CMCM, CMCMOptions, cmcm_loss
from cmg.objectives.info_nce import (
    ClipInfoNCE,
    InfoNCEOptions,
    StepInfoNCE,
    clip_info_nce,
    step_info_nce,
)
from cmg.objectives.masked_contrast import MaskedContrast, MaskedContrastOptions, masked_contrast
from cmg.objectives.jigsaw import Jigsaw, JigsawOptions

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
    "ClipInfoNCE",
    "Commitment",
    "CommitmentOptions",
    "CrossCPC",
    "CrossCPCOptions",
    "Draws",
    "InfoNCEOptions",
    "Jigsaw",
    "JigsawOptions",
    "MaskedContrast",
    "MaskedContrastOptions",
    "Objective",
    "ObjectiveOptions",
    "Reconstruction",
    "ReconstructionOptions",
    "StepInfoNCE",
    "Term",
    "TermOptions",
    "View",
    "WeightedObjectives",
    "clip_info_nce",
    "cmcm_loss",
    "commitment_loss",
    "masked_contrast",
    "objectives",
    "reconstruction_loss",
    "step_info_nce",
]
