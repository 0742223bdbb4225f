"""Toolkit for Cross Modal Generalization.

One discrete codebook shared by audio, video, text and any other modality is learned from unlabeled
pairs; a head trained on one labeled modality then works, unchanged, on another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmg.clips import open_clips
    from cmg.codebook.codebook import CodebookOptions, SharedCodebook
    from cmg.codebook.continuous import Continuous
    from cmg.codebook.levels import (
        ProductCodebook,
        ProductOptions,
        ResidualCodebook,
        ResidualOptions,
    )
    from cmg.codebook.quantizer import Quantizer, quantizer
    from cmg.codebook.tied import TiedCodebook, TiedOptions
    from cmg.config.load import load_config
    from cmg.data.batches import Batches
    from cmg.data.clips import Clips
    from cmg.data.inmemory import write_store
    from cmg.models.options import ModelOptions
    from cmg.models.unified import UnifiedModel
    from cmg.objectives.base import Objective, TermOptions, View, objective
    from cmg.objectives.club import CLUBGroup, CLUBOptions
    from cmg.objectives.cmcm import CMCM, CMCMOptions, cmcm_loss
    from cmg.objectives.commitment import Commitment, CommitmentOptions, commitment_loss
    from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
    from cmg.objectives.reconstruction import (
        Reconstruction,
        ReconstructionOptions,
        reconstruction_loss,
    )
    from cmg.recipes.evaluate import probe
    from cmg.recipes.pretrain import pretrain
    from cmg.registry import use
    from cmg.report.transfer import TransferTable, transfer_table
    from cmg.runs.checkpoint import load_model as load
    from cmg.sharing.export import export
    from cmg.tasks.benchmark import benchmark
    from cmg.types import Batch, Kind, Modality

__version__ = "0.1.0"

__all__ = [
    "CMCM",
    "Batch",
    "Batches",
    "CLUBGroup",
    "CLUBOptions",
    "CMCMOptions",
    "Clips",
    "CodebookOptions",
    "Commitment",
    "CommitmentOptions",
    "Continuous",
    "CrossCPC",
    "CrossCPCOptions",
    "Kind",
    "Modality",
    "ModelOptions",
    "Objective",
    "ProductCodebook",
    "ProductOptions",
    "Quantizer",
    "Reconstruction",
    "ReconstructionOptions",
    "ResidualCodebook",
    "ResidualOptions",
    "SharedCodebook",
    "TermOptions",
    "TiedCodebook",
    "TiedOptions",
    "TransferTable",
    "UnifiedModel",
    "View",
    "__version__",
    "benchmark",
    "cmcm_loss",
    "commitment_loss",
    "export",
    "load",
    "load_config",
    "objective",
    "open_clips",
    "pretrain",
    "probe",
    "quantizer",
    "reconstruction_loss",
    "transfer_table",
    "use",
    "write_store",
]

_FROM = {
    "Batch": "cmg.types",
    "Batches": "cmg.data.batches",
    "CLUBGroup": "cmg.objectives.club",
    "CLUBOptions": "cmg.objectives.club",
    "CMCM": "cmg.objectives.cmcm",
    "CMCMOptions": "cmg.objectives.cmcm",
    "Clips": "cmg.data.clips",
    "CodebookOptions": "cmg.codebook.codebook",
    "Commitment": "cmg.objectives.commitment",
    "CommitmentOptions": "cmg.objectives.commitment",
    "Continuous": "cmg.codebook.continuous",
    "CrossCPC": "cmg.objectives.cross_cpc",
    "CrossCPCOptions": "cmg.objectives.cross_cpc",
    "Kind": "cmg.types",
    "Modality": "cmg.types",
    "ModelOptions": "cmg.models.options",
    "Objective": "cmg.objectives.base",
    "ProductCodebook": "cmg.codebook.levels",
    "ProductOptions": "cmg.codebook.levels",
    "Quantizer": "cmg.codebook.quantizer",
    "Reconstruction": "cmg.objectives.reconstruction",
    "ReconstructionOptions": "cmg.objectives.reconstruction",
    "ResidualCodebook": "cmg.codebook.levels",
    "ResidualOptions": "cmg.codebook.levels",
    "SharedCodebook": "cmg.codebook.codebook",
    "TermOptions": "cmg.objectives.base",
    "TiedCodebook": "cmg.codebook.tied",
    "TiedOptions": "cmg.codebook.tied",
    "TransferTable": "cmg.report.transfer",
    "UnifiedModel": "cmg.models.unified",
    "View": "cmg.objectives.base",
    "benchmark": "cmg.tasks.benchmark",
    "cmcm_loss": "cmg.objectives.cmcm",
    "commitment_loss": "cmg.objectives.commitment",
    "export": "cmg.sharing.export",
    "load": "cmg.runs.checkpoint",
    "load_config": "cmg.config.load",
    "objective": "cmg.objectives.base",
    "open_clips": "cmg.clips",
    "pretrain": "cmg.recipes.pretrain",
    "probe": "cmg.recipes.evaluate",
    "quantizer": "cmg.codebook.quantizer",
    "reconstruction_loss": "cmg.objectives.reconstruction",
    "transfer_table": "cmg.report.transfer",
    "use": "cmg.registry",
    "write_store": "cmg.data.inmemory",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for; torch is slow to import."""
    if name not in _FROM:
        from cmg.errors import did_you_mean

        if name == "FeatureStore":
            raise AttributeError("cmg.FeatureStore.open(...) is cmg.open_clips(...) now")
        raise AttributeError(f"module 'cmg' has no attribute {name!r}{did_you_mean(name, __all__)}")
    source = {"load": "load_model"}.get(name, name)
    found = globals()[name] = getattr(import_module(_FROM[name]), source)
    return found


def __dir__() -> list[str]:
    """What there is, imported or not, without what this file itself uses."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
