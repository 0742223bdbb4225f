"""Toolkit for Cross Modal Generalization.

One discrete codebook shared by audio, video, text and any other modality is learned from unlabeled
pairs; a head trained on one labeled modality then works, unchanged, on another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmg.config.load import load_config
    from cmg.data.batches import Batches
    from cmg.data.inmemory import write_store
    from cmg.data.store import FeatureStore
    from cmg.models.unified import UnifiedModel
    from cmg.recipes.evaluate import probe
    from cmg.recipes.pretrain import pretrain
    from cmg.registry import use
    from cmg.runs.checkpoint import load_model as load
    from cmg.types import Batch, Kind, Modality

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Batches",
    "FeatureStore",
    "Kind",
    "Modality",
    "UnifiedModel",
    "__version__",
    "load",
    "load_config",
    "pretrain",
    "probe",
    "use",
    "write_store",
]

_FROM = {
    "Batch": "cmg.types",
    "Batches": "cmg.data.batches",
    "FeatureStore": "cmg.data.store",
    "Kind": "cmg.types",
    "Modality": "cmg.types",
    "UnifiedModel": "cmg.models.unified",
    "load": "cmg.runs.checkpoint",
    "load_config": "cmg.config.load",
    "pretrain": "cmg.recipes.pretrain",
    "probe": "cmg.recipes.evaluate",
    "use": "cmg.registry",
    "write_store": "cmg.data.inmemory",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for; torch is slow to import."""
    if name not in _FROM:
        from cmg.errors import did_you_mean

        raise AttributeError(f"module 'cmg' has no attribute {name!r}{did_you_mean(name, __all__)}")
    source = {"load": "load_model"}.get(name, name)
    found = globals()[name] = getattr(import_module(_FROM[name]), source)
    return found


def __dir__() -> list[str]:
    """What there is, imported or not, without what this file itself uses."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
