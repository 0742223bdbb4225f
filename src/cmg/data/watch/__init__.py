"""The embedded set **watch**: what a smartwatch measured during seven exercises of ten people."""

from cmg.data.watch.archive import Recording, load_recordings
from cmg.data.watch.build import build_watch

__all__ = ["Recording", "build_watch", "load_recordings"]
