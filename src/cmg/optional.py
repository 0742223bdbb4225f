"""Packages that the user installs for what needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cmg.errors import ConfigError


def optional(module: str, needed: str) -> Any:
    """A module of such a package, imported now.

    Args:
        module: As it is imported.
        needed: What needs it, and the command that installs it.

    Raises:
        ConfigError: it is not installed; `needed` is the message.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(needed) from error


def h5py(what: str = "an HDF5 file") -> Any:
    """The package that reads and writes HDF5 files.

    Args:
        what: Is to be read or written, for the message.

    Raises:
        ConfigError: it is not installed.
    """
    return optional("h5py", f"{what} needs h5py: pip install 'cmg-torch[official]'")
