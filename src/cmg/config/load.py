"""Read configurations: named runs, YAML files, and dotted ``key=value`` overrides."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from cmg.codebook.kinds import keep_own
from cmg.config.schema import RunConfig
from cmg.config.values import (
    CORE,
    alternatives,
    has_keys,
    parse_value,
    parse_yaml,
    takes_text_only,
    typed,
    yaml_text,
)
from cmg.errors import ConfigError, did_you_mean
from cmg.files import StrPath, as_path
from cmg.options import Options, problems
from cmg.places import lies_there

KIND = "model.codebook.kind"


def named_runs() -> dict[str, str]:
    """YAML text of every named run that comes with the package, by name."""
    folder = resources.files("cmg") / "runs"
    files = [f for f in folder.iterdir() if f.name.endswith(".yaml")]
    return {
        f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8")
        for f in sorted(files, key=lambda f: f.name)
    }


def run_text(name_or_path: str) -> tuple[str, str]:
    """(where it is from, YAML text) of a named run or a YAML file.

    Raises:
        ConfigError: neither a named run nor a file that can be read.
    """
    runs = named_runs()
    if name_or_path in runs:
        return f"named run {name_or_path!r}", runs[name_or_path]
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        return str(path), yaml_text(path, "config")
    there = lies_there(path)
    hint = f"; {there}" if there else did_you_mean(name_or_path, runs)
    raise ConfigError(f"no run named {name_or_path!r}{hint}")


def load_config(
    name_or_path: StrPath | None,
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> RunConfig:
    """A run's configuration with overrides applied.

    Args:
        name_or_path: A named run, a YAML file, or None for the defaults.
        overrides: ``dotted.key=value``, see :func:`apply_override`.
        changes: Values by dotted key, set before the overrides.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), or a value that does not fit.
    """
    source, tree = "defaults", {}
    if name_or_path is not None:
        what = (
            "a configuration is a named run, a YAML file, or what cmg.load_config(NAME, "
            "changes={KEY: VALUE}) returns"
        )
        source, text = run_text(str(as_path(name_or_path, what)))
        tree = typed(parse_yaml(text, source), RunConfig)
    change(tree, overrides, changes)
    return validate(tree, f"{source} with overrides" if overrides else source)


def override_config(
    config: RunConfig,
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> RunConfig:
    """A configuration with overrides applied.

    Raises:
        ConfigError: see :func:`load_config`.
    """
    tree = config.model_dump(mode="json")
    change(tree, overrides, changes)
    return validate(tree, "overrides")


def change(tree: dict[str, Any], overrides: Sequence[str], changes: Mapping[str, Any]) -> None:
    """Set values by dotted key, then overrides; see :func:`load_config`."""
    # The kind first: it takes out what the preset says of another, not what is set beside it.
    for key in sorted(changes, key=lambda key: key != KIND):
        set_value(tree, key, changes[key])
    for override in sorted(overrides, key=lambda text: not text.startswith(f"{KIND}=")):
        apply_override(tree, override)


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set ``a.b.c=value`` in a nested dict; ``data=STORE`` sets ``data.store``.

    A name or path is the text itself, to its last character; ``null`` is none where that is
    allowed. Every other value is YAML: numbers, ``true``, ``null``, ``[a, b]``, ``{a: 1}``.

    Raises:
        ConfigError: no ``=``, an unknown key, no YAML, or a path through something that is no
            group.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r} must read key=value, e.g. training.seed=1")
    annotation = annotation_of(full_key(key, text))
    if not takes_text_only(annotation):
        value = parse_value(text, f"the value of {override!r}")
    else:
        value = None if text == "null" and NoneType in alternatives(annotation) else text
    set_value(tree, key, value)


def set_value(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a nested dict.

    Raises:
        ConfigError: an unknown key, or a path through something that is no group.
    """
    key = full_key(key, value)
    annotation = annotation_of(key)
    *path, last = key.split(".")
    node = tree
    for name in path:
        child = node.get(name)
        if child is None:
            child = node[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: {name!r} holds {child!r}, which has no keys")
        node = child
    node[last] = typed(value, annotation)
    if key == KIND:
        keep_own(node)


def full_key(key: str, value: Any) -> str:
    """A dotted key in full: ``data`` with a text is ``data.store``."""
    return "data.store" if key == "data" and isinstance(value, str) else key


def annotation_of(key: str) -> Any:
    """The type of a dotted key.

    Raises:
        ConfigError: an unknown key, with the nearest valid one.
    """
    known = dotted_keys(RunConfig)
    if key in known:
        return known[key]
    for group, annotation in known.items():
        if get_origin(annotation) is dict and key.startswith(f"{group}."):
            return get_args(annotation)[1]
    raise ConfigError(f"unknown key {key!r}{nearest_key(key, known)}")


def validate(tree: Mapping[str, Any], source: str) -> RunConfig:
    """The typed configuration.

    Raises:
        ConfigError: every problem on a line of its own.
    """
    try:
        return RunConfig.model_validate(typed(tree, RunConfig), strict=True)
    except ValidationError as error:
        known = dotted_keys(RunConfig)
        told = problems(error, lambda key: f"unknown key {key!r}{nearest_key(key, known)}")
        raise ConfigError(f"{source}: " + "\n".join(told)) from error


def nearest_key(key: str, known: Iterable[str]) -> str:
    """The tail of the message about an unknown key: nearest key, or the keys of its group."""
    group = key.rpartition(".")[0]
    while group and not any(k.startswith(f"{group}.") for k in known):
        group = group.rpartition(".")[0]
    siblings = [k for k in known if k.rpartition(".")[0] == group]
    same_name = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]]
    nearest = difflib.get_close_matches(key, same_name, n=3, cutoff=0.0)
    nearest = nearest or difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    if nearest:
        return f" (did you mean {' or '.join(map(repr, nearest))}?)"
    return did_you_mean(key, siblings)


def dotted_keys(model: type[Options], prefix: str = "") -> Mapping[str, Any]:
    """The type of every valid dotted key; free keys may follow a dict's (by modality)."""
    keys: dict[str, Any] = {}
    for name, annotation in model.known_keys().items():
        key = f"{prefix}{name}"
        keys[key] = annotation
        for kind in alternatives(annotation):
            if has_keys(kind) and get_origin(kind) is not dict:
                keys |= dotted_keys(kind, f"{key}.")
    return keys


class Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 reads as something else."""


Dumper.add_implicit_resolver("!core", re.compile("|".join(f"(?:{p})$" for p, _ in CORE)), None)


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=Dumper, sort_keys=False)
