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
    ClipInfoNCEOptions,
    InfoNCEOptions,
    StepInfoNCE,
    clip_info_nce,
    step_info_nce,
)
from cmg.objectives.margin import ClipMargin, ClipMarginOptions, clip_margin, margin_loss
from cmg.objectives.cross_reconstruction import CrossReconstruction, cross_reconstruction_loss
from cmg.objectives.sigmoid import ClipSigmoid, ClipSigmoidOptions, clip_sigmoid
from cmg.objectives.teachers import (
    Assignment,
    AssignmentOptions,
    TeacherInfoNCE,
    TeacherInfoNCEOptions,
    assignment_loss,
    sinkhorn,
)
from cmg.objectives.masked_contrast import MaskedContrast, MaskedContrastOptions, masked_contrast
from cmg.objectives.jigsaw import Jigsaw, JigsawOptions
from cmg.objectives.quantizer_loss import QuantizerLoss
from cmg.objectives.second import SecondLayerTermOptions, SecondLayerTerms

# isort: on
from cmg.objectives.base import Objective, Term, TermOptions, View, objectives
from cmg.objectives.draws import Draws
from cmg.objectives.options import ObjectiveOptions
from cmg.objectives.weighted import WeightedObjectives

__all__ = [
    "CLUB",
    "CMCM",
    "Assignment",
    "AssignmentOptions",
    "CLUBGroup",
    "CLUBOptions",
    "CMCMOptions",
    "ClipInfoNCE",
    "ClipInfoNCEOptions",
    "ClipMargin",
    "ClipMarginOptions",
    "ClipSigmoid",
    "ClipSigmoidOptions",
    "Commitment",
    "CommitmentOptions",
    "CrossCPC",
    "CrossCPCOptions",
    "CrossReconstruction",
    "Draws",
    "InfoNCEOptions",
    "Jigsaw",
    "JigsawOptions",
    "MaskedContrast",
    "MaskedContrastOptions",
    "Objective",
    "ObjectiveOptions",
    "QuantizerLoss",
    "Reconstruction",
    "ReconstructionOptions",
    "SecondLayerTermOptions",
    "SecondLayerTerms",
    "StepInfoNCE",
    "TeacherInfoNCE",
    "TeacherInfoNCEOptions",
    "Term",
    "TermOptions",
    "View",
    "WeightedObjectives",
    "assignment_loss",
    "clip_info_nce",
    "clip_margin",
    "clip_sigmoid",
    "cmcm_loss",
    "commitment_loss",
    "cross_reconstruction_loss",
    "margin_loss",
    "masked_contrast",
    "objectives",
    "reconstruction_loss",
    "sinkhorn",
    "step_info_nce",
]
