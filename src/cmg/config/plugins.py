"""Plugins of a configuration: which of its parts come from one, and whether those are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmg.config.schema import RunConfig
from cmg.files import StrPath
from cmg.registry import Registry, refuse_missing


def with_plugins(config: RunConfig) -> RunConfig:
    """A configuration that names the plugins which its objectives and its quantizer are from."""
    terms = config.objectives.model_dump()
    parts = {
        "objective": [name for name, term in terms.items() if term is not None],
        "quantizer": [getattr(config.model.codebook, "kind", "")],
    }
    used = {
        registry.entries[name].plugin
        for registry in Registry.every
        for name in parts.get(registry.what, ())
        if name in registry.entries
    }
    return config.model_copy(update={"plugins": tuple(sorted(used - {""}))})


def recorded_plugins(tree: Any) -> list[str]:
    """The plugins that a configuration's values name, whatever else they are."""
    named = tree.get("plugins") if isinstance(tree, Mapping) else None
    return [str(name) for name in named] if isinstance(named, list | tuple) else []


def recorded(tree: Any, source: StrPath) -> RunConfig:
    """The configuration that a file of a run, checkpoint or study records.

    Args:
        tree: Its values, of JSON.
        source: The file, for messages.

    Raises:
        PluginError: it was made with a plugin that is not loaded; nothing is imported.
        ValidationError: no configuration.
    """
    refuse_missing(recorded_plugins(tree), str(source))
    return RunConfig.model_validate(tree)
