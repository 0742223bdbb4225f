"""Python packages that bring weights: found without running them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from cmg.errors import ConfigError


def package_file(package: str, path: str, get: str) -> Path:
    """A file, or a folder, of an installed package.

    Args:
        package: How it is imported.
        path: Of the file in it.
        get: The command that installs it.

    Raises:
        ConfigError: the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or ())
    if not places:
        raise ConfigError(f"the package {package} is not installed; it brings the weights: {get}")
    for place in places:
        if (Path(place) / path).exists():
            return Path(place) / path
    raise ConfigError(f"{Path(places[0]) / path} is missing; install the package again: {get}")
