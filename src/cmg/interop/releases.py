"""Releases of successors whose checkpoints are read."""

from __future__ import annotations

from cmg.interop.codaar import CODAAR
from cmg.interop.fcid import FCID
from cmg.interop.folder import Release
from cmg.interop.micu import MICU
from cmg.interop.srcid import SRCID

TOLD: dict[str, Release] = {"micu": MICU}
"""By the name that the user gives, for nothing in these files tells whose they are."""

SUCCESSORS: tuple[Release, ...] = (CODAAR.release, SRCID.release, FCID.release)
"""Each recognizes its own files."""
