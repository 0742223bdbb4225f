"""What comes with the package by name: presets, and the methods that they train by.

A method says everything of a run apart from its data; a preset says what a data set needs, and
names a method. Both are YAML files; nothing here imports torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from cmg.config.values import yaml_text
from cmg.errors import ConfigError, did_you_mean
from cmg.places import lies_there

PRESETS, METHODS = "presets", "methods"
"""Folders of the package; a preset is a whole run."""

REMEDY = {
    PRESETS: "a method; give it as method={name}, with a preset or data=STORE",
    METHODS: "a preset, which names a method itself; `cmg presets show {name}` tells it",
}
"""Where a name of the one is wanted and one of the other is given."""


def named(kind: str) -> dict[str, str]:
    """YAML text of every preset or method that comes with the package, by name."""
    files = (resources.files("cmg") / kind).iterdir()
    texts = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items()))


def text_of(kind: str, name: str, beside: Path = Path()) -> tuple[str, str]:
    """(where it is from, YAML text) of a preset, a method, or a YAML file of one's own.

    Args:
        kind: :data:`PRESETS` or :data:`METHODS`.
        name: Its name, or the path of a file.
        beside: Folder that a relative path begins at.

    Raises:
        ConfigError: neither a name nor a file that can be read.
    """
    known, what = named(kind), kind.removesuffix("s")
    if name in known:
        return f"{what} {name!r}", known[name]
    path = beside / name
    if path.suffix in {".yaml", ".yml"}:
        return str(path), yaml_text(path, "config" if kind == PRESETS else what)
    if name in named(METHODS if kind == PRESETS else PRESETS):
        raise ConfigError(f"{name} is {REMEDY[kind].format(name=name)}")
    there = lies_there(path)
    hint = f"; {there}" if there else did_you_mean(name, known)
    raise ConfigError(f"no {what} named {name!r}{hint}")
