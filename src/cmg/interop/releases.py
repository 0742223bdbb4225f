"""Releases of successors whose checkpoints are read."""

from __future__ import annotations

from cmg.interop.codaar_files import CODAAR
from cmg.interop.folder import Release

SUCCESSORS: tuple[Release, ...] = (CODAAR,)
"""Each recognizes its own files."""
