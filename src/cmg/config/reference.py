"""Every key of a configuration with type, default, range and meaning, as the options say it.

Types, defaults and ranges are those of the fields, and meanings those of the docstrings of the
classes: nothing is told twice. Keys of plugins that are loaded are among them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cmg.codebook.quantizer import quantizers
from cmg.config.compare import as_typed
from cmg.config.load import KIND, dotted_keys, nearest_key
from cmg.config.schema import RunConfig
from cmg.config.values import alternatives
from cmg.errors import ConfigError
from cmg.objectives.base import objectives
from cmg.options import MOST_SEED, Options

LIMITS = {Ge: ("ge", "at least"), Gt: ("gt", "above"), Le: ("le", "at most"), Lt: ("lt", "below")}
PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text", NoneType: "null"}
APART = {"plugins", "model.codebook", "objectives.second_layer.terms"}
"""Keys that are recorded, not set; told by kind; those of ``objectives`` again."""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: Dotted.
        kind: What values it takes, and their range.
        default: As it is typed.
        meaning: A sentence or more.
    """

    name: str
    kind: str
    default: str
    meaning: str


@dataclass(frozen=True)
class KeyGroup:
    """Keys that belong together.

    Attributes:
        name: Dotted, and of a quantizer its kind.
        about: A sentence.
        keys: Of the group itself, without those of groups in it.
    """

    name: str
    about: str
    keys: tuple[Key, ...]


def key_groups(prefix: str = "") -> list[KeyGroup]:
    """All groups, or those of keys that begin with a prefix.

    Raises:
        ConfigError: no key does.
    """
    every = list(groups_of(RunConfig, "", RunConfig()))
    whole = prefix.rstrip(".")
    found = []
    for group in every:
        if not whole or f"{group.name.partition(' ')[0]}.".startswith(f"{whole}."):
            keys = group.keys
        else:
            keys = tuple(key for key in group.keys if key.name == whole)
        if keys:
            found.append(KeyGroup(group.name, group.about, keys))
    if not found:
        raise ConfigError(f"no key {whole!r}{nearest_key(whole, dotted_keys(RunConfig))}")
    return found


def groups_of(
    kind: type[Options], name: str, options: Options | None = None, absent: bool = False
) -> Iterator[KeyGroup]:
    """A group of options and those in it.

    Args:
        kind: Of the options.
        name: Dotted.
        options: The defaults that it has here; None are the class's own.
        absent: Whether it is not there unless it is named.
    """
    told, keys = meanings(kind), []
    inner: list[tuple[type[Options], str, Options | None, bool]] = []
    for field, info in kind.model_fields.items():
        key = f"{name}.{field}" if name else field
        value = info.get_default(call_default_factory=True)
        value = value if options is None else getattr(options, field)
        group = next((k for k in alternatives(info.annotation) if is_group(k)), None)
        if key in APART:
            continue
        if isinstance(value, Options):
            inner.append((type(value), key, value, False))
        elif group is not None:
            inner.append((group, key, None, True))
        else:
            keys.append(Key(key, values_of(info), default_of(value), told.get(field, "")))
    if keys:
        left_out = " Not there unless it is named; null leaves it out."
        yield KeyGroup(name, summary(kind) + left_out * absent, tuple(keys))
    for below in inner:
        if below[1] == "objectives":
            yield from term_groups()
        else:
            yield from groups_of(*below)
    if name == "model":
        yield from codebook_groups()


def term_groups() -> Iterator[KeyGroup]:
    """The terms of the loss."""
    for term, entry in objectives.items():
        name, there = f"objectives.{term}", entry.part.by_default
        for group in groups_of(entry.options, name, absent=not there):
            if group.name != name:
                yield group
                continue
            default = (
                " There by default; null leaves it out."
                if there
                else " Not there unless it is named."
            )
            yield KeyGroup(name, f"{entry.part.title}: {entry.part.about}.{default}", group.keys)


def codebook_groups() -> Iterator[KeyGroup]:
    """The options of every kind of quantizer; a group in them once, if it is the same in all."""
    seen: list[KeyGroup] = []
    for kind, entry in quantizers.items():
        for group in groups_of(entry.options, "model.codebook"):
            if group.name == "model.codebook":
                keys = tuple(k if k.name != KIND else replace(k, default=kind) for k in group.keys)
                yield KeyGroup(f"{group.name} of kind {kind}", summary(entry.part), keys)
            elif group not in seen:
                seen.append(group)
                yield group


def is_group(kind: Any) -> bool:
    """Whether a type is a group of options."""
    return isinstance(kind, type) and issubclass(kind, Options)


def summary(part: type) -> str:
    """The first sentence of a class's docstring."""
    return plain((inspect.getdoc(part) or "").partition("\n\n")[0])


def meanings(kind: type) -> dict[str, str]:
    """What the docstrings of a class and of those it is made of say of its attributes."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        about = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, _, listed = about.partition("Attributes:\n")
        for name, text in re.findall(
            r"^    (\w+): ((?:.|\n(?!    \w+: |\S))*)", listed, re.MULTILINE
        ):
            found[name] = plain(text)
    return found


def plain(text: str) -> str:
    """A text without the marks of its markup, in one line."""
    named = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return " ".join(named.replace("`", "").split())


def default_of(value: Any) -> str:
    """A default as it is typed."""
    if value is PydanticUndefined:
        return "none: it has to be given"
    if isinstance(value, tuple):
        return f"[{', '.join(map(default_of, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {default_of(v)}" for k, v in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else as_typed(value)


def values_of(info: FieldInfo) -> str:
    """The values that a field takes, and their range."""
    told = " or ".join(dict.fromkeys(described(info.annotation)))
    limits = limited(info.metadata)
    return f"{told}, {limits}" if limits else told


def described(annotation: Any) -> Iterator[str]:
    """Each alternative of a type, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = limited([m for a in arguments[1:] for m in getattr(a, "metadata", [a])])
        yield ", ".join(filter(None, [" or ".join(described(arguments[0])), limits]))
    elif origin is tuple:
        yield f"list of {' or '.join(described(arguments[0]))}"
    elif origin is dict:
        yield f"{{modality: {' or '.join(described(arguments[1]))}}}"
    elif len(kinds := alternatives(annotation)) > 1 or kinds != [annotation]:
        for one in arguments if origin is not None else kinds:
            yield from [one] if isinstance(one, str) else described(one)
    elif is_group(annotation):
        yield "a group"
    else:
        yield PLAIN.get(annotation, str(annotation))


def limited(metadata: Any) -> str:
    """A range in words."""
    told = []
    for limit in metadata:
        attribute, words = LIMITS.get(type(limit), ("", ""))
        if attribute and getattr(limit, attribute) != MOST_SEED:
            told.append(f"{words} {default_of(getattr(limit, attribute))}")
    return " and ".join(told)
