"""Interchange with the official implementation's checkpoints."""

from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.names import NameMap
from cmg.interop.official import (
    ImportedModel,
    OfficialCheckpoint,
    by_section,
    export_official,
    import_official,
    load_official,
    read_official,
)

__all__ = [
    "Architecture",
    "ImportedModel",
    "NameMap",
    "OfficialCheckpoint",
    "by_section",
    "export_official",
    "import_official",
    "infer_architecture",
    "load_official",
    "read_official",
]
