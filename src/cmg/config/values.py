"""The one reader of values: YAML 1.2's core schema, typed by the place a value is written at.

PyYAML guesses types by YAML 1.1, where 010 is 8, 1:30 is 90, no is false and a date is no text.
Here it only tells where values begin and end. An unquoted one stays the text that was written until
:func:`typed` knows what its place takes: where a name is wanted, 2024, no and 1e3 are names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from cmg.errors import ConfigError, DataError
from cmg.files import read_text
from cmg.options import Options

MOST_BYTES, MOST_VALUES, DEEPEST, LONGEST = 1_000_000, 100_000, 32, 1000
"""Bounds of a file, of its values with repeated ones, of their nesting, of a number's digits."""

TOO_DEEP = f"nested deeper than {DEEPEST} levels"

MERGE = "<<"
"""Takes over the keys of another mapping, which the mapping's own keys win over."""

Core = None | bool | int | float | str

CORE: tuple[tuple[str, Callable[[str], Core]], ...] = (
    (r"|~|null|Null|NULL", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+", lambda text: int(text[2:], 8)),
    (r"0x[0-9a-fA-F]+", lambda text: int(text[2:], 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
    (r"\.(nan|NaN|NAN)", lambda text: float("nan")),
)
"""The core schema (YAML 1.2.2, section 10.3.2); whatever is not listed is a text."""


class Plain(str):
    """An unquoted value, as it was written."""

    __slots__ = ()

    @property
    def core(self) -> Core:
        """Its value where nothing is known of its place."""
        if len(self) <= LONGEST:
            for pattern, convert in CORE:
                if re.fullmatch(pattern, self):
                    return convert(self)
        return str(self)


class Loader(yaml.SafeLoader):
    """Values without types. Mappings have names for keys, each once; tags are refused."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.values = 0

    def resolve(self, kind: object, value: object, implicit: object) -> str:
        """No type is guessed; a tag that is written stays and is refused."""
        return ""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node, if it is not too deep."""
        self.depth += 1
        if self.depth > DEEPEST:
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs have no types
            raise refusal(event, TOO_DEEP)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def read(self) -> Any:
        """The document, its unquoted values :class:`Plain`."""
        node = self.get_single_node()
        return Plain() if node is None else self._value(node)

    def _value(self, node: yaml.Node) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise refusal(node, f"more than {MOST_VALUES:,} values")
        if node.tag:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise refusal(node, f"tags ({tag}) are not read; write the value without one")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else Plain(node.value)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        return [self._value(item) for item in node.value]

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key, item in node.value:
            name, value = self._value(key), self._value(item)
            if not isinstance(name, str):
                raise refusal(key, "a key must be a name")
            merging = isinstance(name, Plain) and name == MERGE
            if name in found or (merging and merged):
                raise refusal(key, f"the key {str(name)!r} is there twice")
            if not merging:
                found[str(name)] = value
            elif isinstance(value, dict):
                merged = value
            else:
                raise refusal(item, f"{MERGE} takes the keys of one mapping, as in {MERGE}: *name")
        return merged | found


def refusal(at: Any, problem: str) -> yaml.MarkedYAMLError:
    """What is wrong at a node or event."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def parse_value(text: str, source: str) -> Any:
    """A YAML value: texts, :class:`Plain`, lists, and dicts by name.

    Raises:
        ConfigError: not YAML, or a tag, a key that is no name or is there twice, several documents,
            or too deep; in one line.
    """
    try:
        return Loader(text).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        told = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{source} is not valid YAML: {place}{told}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:  # of an alias within what it stands for
        raise ConfigError(f"{source} is not valid YAML: {TOO_DEEP}") from error


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """A YAML mapping as a dict; see :func:`parse_value`.

    Raises:
        ConfigError: not valid, or not a mapping.
    """
    tree = parse_value(text, source)
    if isinstance(tree, Plain) and tree.core is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source} must be a mapping of keys to values")
    return tree


def yaml_text(path: Path, what: str) -> str:
    """The text of a YAML file.

    Args:
        path: Of the file.
        what: What it should be, for messages.

    Raises:
        ConfigError: unreadable, too large, or not UTF-8.
    """
    try:
        return read_text(path, MOST_BYTES)
    except DataError as error:
        raise ConfigError(f"{what} {error}") from error


def alternatives(annotation: Any) -> list[Any]:
    """The types that an annotation allows: classes, generic types, and the values of literals."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return alternatives(arguments[0])
    if origin in (Union, UnionType):
        return [found for one in arguments for found in alternatives(one)]
    return list(arguments) if origin is Literal else [annotation]


def takes_text_only(annotation: Any) -> bool:
    """Whether a place takes texts (and maybe none) and nothing else."""
    kinds = [kind for kind in alternatives(annotation) if kind is not NoneType]
    return all(kind is str or isinstance(kind, str) for kind in kinds)


def typed(value: Any, annotation: Any) -> Any:
    """A value as its place wants it; what does not fit is left for validation to refuse.

    An unquoted value is none where that is allowed and it reads so, a text where texts are allowed,
    and else by the core schema. A whole number may be written 1e3, and lists become tuples.

    Args:
        value: Of :func:`parse_value`, or of JSON.
        annotation: Type of the place, e.g. ``int | None`` or a pydantic model.
    """
    kinds = alternatives(annotation)
    if isinstance(value, Plain):
        core = value.core
        if (str in kinds or value in kinds) and not (core is None and NoneType in kinds):
            return str(value)
        return value if Any in kinds else typed(core, annotation)
    if isinstance(value, float) and value.is_integer() and int in kinds and float not in kinds:
        return int(value)
    if isinstance(value, list):
        series = next((get_args(kind) for kind in kinds if get_origin(kind) is tuple), None)
        return value if series is None else tuple(typed(item, series[0]) for item in value)
    if isinstance(value, Mapping):
        inner = next((kind for kind in kinds if has_keys(kind)), dict[str, Any])
        return {key: typed(item, place(inner, key)) for key, item in value.items()}
    return value


def has_keys(kind: Any) -> bool:
    """Whether a type is a mapping or a model."""
    model = isinstance(kind, type) and issubclass(kind, Options)
    return model or get_origin(kind) is dict


def place(kind: Any, key: str) -> Any:
    """The annotation of a key of a mapping or model; Any for one that it lacks."""
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return kind.known_keys().get(key, Any)
