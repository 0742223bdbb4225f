"""Read configurations: named runs, YAML files, and dotted ``key=value`` overrides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from cmg.config.schema import RunConfig
from cmg.errors import ConfigError, did_you_mean
from cmg.places import lies_there


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
        ConfigError: neither a named run nor a file.
    """
    runs = named_runs()
    if name_or_path in runs:
        return f"named run {name_or_path!r}", runs[name_or_path]
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        try:
            return str(path), path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read config {path}: {error.strerror}") from error
    there = lies_there(path)
    hint = f"; {there}" if there else did_you_mean(name_or_path, runs)
    raise ConfigError(f"no run named {name_or_path!r}{hint}")


def load_config(name_or_path: str | None, overrides: Sequence[str] = ()) -> RunConfig:
    """A run's configuration with overrides applied.

    Args:
        name_or_path: A named run, a YAML file, or None for the defaults.
        overrides: ``dotted.key=value``; values are YAML (``null``, numbers, lists).

    Raises:
        ConfigError: an unknown key (with the nearest valid one), or a value that does not fit.
    """
    source, tree = "defaults", {}
    if name_or_path is not None:
        source, text = run_text(name_or_path)
        tree = parse_yaml(text, source)
    for override in overrides:
        apply_override(tree, override)
    return validate(tree, f"{source} with overrides" if overrides else source)


def override_config(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """A configuration with overrides applied.

    Raises:
        ConfigError: see :func:`load_config`.
    """
    tree = config.model_dump(mode="json")
    for override in overrides:
        apply_override(tree, override)
    return validate(tree, "overrides")


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """A YAML mapping as a dict.

    Raises:
        ConfigError: not YAML, or not a mapping.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source} must be a mapping of keys to values")
    return tree


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set ``a.b.c=value`` in a nested dict; ``data=STORE`` sets ``data.store``.

    Raises:
        ConfigError: no ``=``, an unknown key, or a path through something that is no group.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r} must read key=value, e.g. training.seed=1")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"value of {key} is not valid YAML: {text!r}") from error
    if isinstance(value, str) and is_number(value):
        value = float(value)  # YAML 1.1 reads 1e-3 as text
    if key == "data" and isinstance(value, str):
        key = "data.store"
    known = dotted_keys(RunConfig)
    if key not in known and not any(key.startswith(f"{k}.") for k in known if known[k]):
        raise ConfigError(f"unknown key {key!r}{nearest_key(key, known)}")
    *path, last = key.split(".")
    node = tree
    for name in path:
        child = node.get(name)
        if child is None:
            child = node[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: {name!r} holds {child!r}, which has no keys")
        node = child
    node[last] = value


def is_number(text: str) -> bool:
    """Whether `text` reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def validate(tree: Mapping[str, Any], source: str) -> RunConfig:
    """The typed configuration.

    Raises:
        ConfigError: every problem on a line of its own.
    """
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        known = dotted_keys(RunConfig)
        problems = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                problems.append(f"unknown key {key!r}{nearest_key(key, known)}")
            else:
                problems.append(f"{key}: {item['msg']}, got {item['input']!r}")
        raise ConfigError(f"{source}: " + "\n".join(problems)) from error


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


def dotted_keys(model: type[BaseModel], prefix: str = "") -> dict[str, bool]:
    """Every valid dotted key; True where free keys may follow (a mapping by modality)."""
    keys: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        nested = [
            t
            for t in (field.annotation, *get_args(field.annotation))
            if isinstance(t, type) and issubclass(t, BaseModel)
        ]
        keys[key] = str(field.annotation).startswith("dict")
        if nested:
            keys |= dotted_keys(nested[0], f"{key}.")
    return keys


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
