"""Data: the feature store, batches by address, importers, embedded sets."""

from cmg.data.arrays import import_arrays
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.data.digits import build_digits
from cmg.data.emoji import build_emoji
from cmg.data.inmemory import write_store
from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec, Manifest
from cmg.data.prefetch import epoch_ahead
from cmg.data.store import open_store
from cmg.data.verify import verify_store
from cmg.data.watch import build_watch
from cmg.data.writer import Clip, StoreWriter

__all__ = [
    "Batches",
    "Clip",
    "ClipRow",
    "Clips",
    "FeatureSpec",
    "LabelSpec",
    "Manifest",
    "StoreWriter",
    "build_digits",
    "build_emoji",
    "build_watch",
    "epoch_ahead",
    "import_arrays",
    "open_store",
    "verify_store",
    "write_store",
]
