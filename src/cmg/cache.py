"""The user's cache folder: built sets, fetched stores, weights, vectors of prompts."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where things are kept that can be made again: ``CMG_CACHE``, or `cmg` in the user's cache."""
    if os.environ.get("CMG_CACHE"):
        return Path(os.environ["CMG_CACHE"])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cmg"
