"""What decides the numbers of an extractor, in one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmg.files import file_sha256


def files_identity(files: Sequence[Path]) -> str:
    """SHA-256 over the contents of files, in this order; their names and places do not count."""
    return hashlib.sha256("".join(file_sha256(file) for file in files).encode()).hexdigest()


def identity_of(weights: str, **settings: Any) -> str:
    """SHA-256 over the identity of weights and everything that is done around them.

    Args:
        weights: Digest of the files.
        settings: JSON values.
    """
    said = json.dumps([weights, settings], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
