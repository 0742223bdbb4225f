"""Interchange with the official implementation's checkpoints."""

from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.export import OfficialCheckpoints, official_content, save_official
from cmg.interop.extras import fresh_extras
from cmg.interop.form import require_official_form
from cmg.interop.layout import official_layout
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
    "OfficialCheckpoints",
    "by_section",
    "export_official",
    "fresh_extras",
    "import_official",
    "infer_architecture",
    "load_official",
    "official_content",
    "official_layout",
    "read_official",
    "require_official_form",
    "save_official",
]
