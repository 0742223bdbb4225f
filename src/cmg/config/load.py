"""Read configurations: presets, methods, YAML files, and dotted ``key=value`` overrides."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from cmg.codebook.kinds import keep_own
from cmg.config.named import METHOD, PRESET, text_of
from cmg.config.plugins import recorded_plugins, with_plugins
from cmg.config.schema import ModelSection, RunConfig
from cmg.config.values import (
    CORE,
    alternatives,
    has_keys,
    parse_value,
    parse_yaml,
    takes_text_only,
    typed,
)
from cmg.errors import ConfigError, did_you_mean
from cmg.files import StrPath, as_path
from cmg.models.options import ModelOptions
from cmg.objectives.base import objectives
from cmg.objectives.options import ObjectiveOptions
from cmg.options import Options, problems
from cmg.registry import OWN, refuse_missing

CHOICE = f"{METHOD}="
WIDTHS = ModelSection.model_fields.keys() - ModelOptions.model_fields.keys()
"""Keys of the model that are by modality, and so of the data."""
KIND = "model.codebook.kind"


NOT_SET = {
    "plugins": f"plugins are recorded, not set{OWN}",
    METHOD: "method= is chosen where a run is begun, beside its preset or data; it has one here",
}
"""What is said of keys that are none."""


def load_config(
    name_or_path: StrPath | None = None,
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] = MappingProxyType({}),
    method: StrPath | None = None,
) -> RunConfig:
    """A run's configuration: a preset or file, then a method, then changes and overrides.

    Args:
        name_or_path: A preset, a YAML file, or None for the defaults.
        overrides: ``dotted.key=value``, see :func:`apply_override`, or ``method=NAME``.
        changes: Values by dotted key, set before the overrides.
        method: A method or YAML file of one, in place of the preset's own; of the preset stays
            what :func:`apart_from_method` says, where the method does not say it.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), or a value that does not fit.
        PluginError: it was made with a plugin that is not loaded.
    """
    methods = [o.removeprefix(CHOICE) for o in overrides if o.startswith(CHOICE)]
    dotted = [o for o in overrides if not o.startswith(CHOICE)]
    source, tree = composed(name_or_path, methods[-1] if methods else method)
    change(tree, dotted, changes)
    return validate(tree, f"{source} with overrides" if dotted else source)


def composed(name_or_path: StrPath | None, method: StrPath | None) -> tuple[str, dict[str, Any]]:
    """(where it is from, values) of a preset or file, and of its method or another."""
    source, tree, beside = "defaults", dict[str, Any](), Path()
    if name_or_path is not None:
        what = (
            "a configuration is a preset, a YAML file, or what cmg.load_config(NAME, "
            "changes={KEY: VALUE}) returns"
        )
        path = as_path(name_or_path, what)
        source, text = text_of(PRESET, str(path))
        tree, beside = read_tree(text, source), path.parent
    own = method_of(tree, source)
    base = read_method(own, beside)[1] if own else {}
    told, chosen = "", base
    if method is not None:
        told, chosen = read_method(str(as_path(method, "a method is a name or a YAML file")))
    if chosen == base:
        return source, merged(base, tree)
    return f"{source} with {told}", merged(apart_from_method(tree), chosen)


def chosen_method(name: str, overrides: Sequence[str]) -> str:
    """The method by name: that of ``method=``, else the one that a preset or file names."""
    asked = [o.removeprefix(CHOICE) for o in overrides if o.startswith(CHOICE)]
    source, text = text_of(PRESET, name)
    own = asked[-1] if asked else method_of(read_tree(text, source), source)
    return own or "own"


def read_tree(text: str, source: str) -> dict[str, Any]:
    """The values of a YAML text, typed, if all plugins that it names are loaded."""
    tree: dict[str, Any] = typed(parse_yaml(text, source), RunConfig)
    refuse_missing(recorded_plugins(tree), source)
    return tree


def method_of(tree: dict[str, Any], source: str) -> str | None:
    """The method that a YAML names, which is taken out of its values.

    Raises:
        ConfigError: it is no name.
    """
    own = typed(tree.pop(METHOD, None), str | None)
    if not isinstance(own, str | None):
        raise ConfigError(f"{source}: method must be a name or a YAML file, got {own!r}")
    return own


def read_method(
    name: str, beside: Path = Path(), above: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """(where it is from, values) of a method, in which terms that it does not name are left out.

    Args:
        name: Of a method, or a YAML file of one; ``method`` in it names one that it changes.
        beside: Folder that a relative path begins at.
        above: Methods that are changes of this one.

    Raises:
        ConfigError: it says something of data, names no objective, or is a change of itself.
    """
    source, text = text_of(METHOD, name, beside)
    if source in above:
        raise ConfigError(f"{source} is a change of itself: {' of '.join((*above, source))}")
    tree = read_tree(text, source)
    if "data" in tree:
        raise ConfigError(
            f"{source} is a method, which is apart from data: leave out 'data', or give the "
            f"file as a configuration (`cmg pretrain {name}`)"
        )
    changed = method_of(tree, source)
    if changed is not None:
        below = read_method(changed, (beside / name).parent, (*above, source))[1]
        tree = merged(below, tree)
    terms = tree.get("objectives")
    if not terms:
        raise ConfigError(f"{source} names no objectives; a method names all of its terms")
    if isinstance(terms, Mapping):
        tree["objectives"] = dict.fromkeys(ObjectiveOptions().model_dump()) | {**terms}
    return source, tree


def apart_from_method(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What of a preset or file stays beside another method.

    That is ``data``, the widths of its modalities, and ``training``, which is for its number of
    clips; what the method says itself comes before.
    """
    model = tree.get("model")
    found = {key: tree[key] for key in ("data", "training") if key in tree}
    if isinstance(model, Mapping):
        found["model"] = {key: value for key, value in model.items() if key in WIDTHS}
    return found


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, those of `over` before those of `base`."""
    inner = {
        key: merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **over, **inner}


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


def collapse_remedies(config: RunConfig) -> list[str]:
    """Overrides that help where a codebook collapses, of those that change this configuration."""
    helpful = [objectives[name].part.remedy for name in config.objectives.terms]
    helpful.append("model.codebook.reset.source=tokens")
    return [remedy for remedy in helpful if remedy and changes_something(config, remedy)]


def changes_something(config: RunConfig, override: str) -> bool:
    """Whether a configuration has the key of an override, and another value of it."""
    try:
        return override_config(config, [override]) != config
    except ConfigError:  # another kind of quantizer has no such option
        return False


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
    if key in NOT_SET:
        raise ConfigError(NOT_SET[key])
    if key in known:
        return known[key]
    for group, annotation in known.items():
        if get_origin(annotation) is dict and key.startswith(f"{group}."):
            return get_args(annotation)[1]
    raise ConfigError(f"unknown key {key!r}{nearest_key(key, known)}")


def validate(tree: Mapping[str, Any], source: str) -> RunConfig:
    """The typed configuration.

    Raises:
        PluginError: it was made with a plugin that is not loaded.
        ConfigError: every problem on a line of its own.
    """
    refuse_missing(recorded_plugins(tree), source)
    try:
        return with_plugins(RunConfig.model_validate(typed(tree, RunConfig), strict=True))
    except ValidationError as error:
        known = dotted_keys(RunConfig)
        told = problems(error, lambda key: f"unknown key {key!r}{nearest_key(key, known)}")
        raise ConfigError(f"{source}: " + "\n".join(told)) from error


def nearest_key(key: str, known: Iterable[str]) -> str:
    """The tail of the message about an unknown key: nearest key, or the keys of its group."""
    section, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    if section == "objectives" and name and f"{section}.{name}" not in known:
        return did_you_mean(name, ObjectiveOptions.known_keys()) + OWN
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
