"""The errors `cmg` raises on bad input: each names what is wrong, where, and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CmgError(Exception):
    """Base of every error a user can cause. The command line prints it and exits with 2."""


class ConfigError(CmgError, ValueError):
    """A configuration key or value that does not exist or does not fit."""


class DataError(CmgError, ValueError):
    """Features, labels, manifests or stores that are missing, malformed or inconsistent."""


class ModalityError(CmgError, ValueError):
    """A modality that is unknown, or whose shape or dtype does not match its declaration."""


class CheckpointError(CmgError, RuntimeError):
    """A checkpoint that is absent, truncated, foreign, or that could not be written."""


class NonFiniteError(CmgError, ArithmeticError):
    """A loss or gradient that became NaN or infinite during training."""


class WorkerError(CmgError, RuntimeError):
    """A worker process that ended before its work."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest valid name, then every valid name."""
    names = sorted(known)
    nearest = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"{hint}; valid: {', '.join(names) if names else 'none'}"
