"""What comes with the package by name: presets, the methods that they train by, and studies.

A method says everything of a run apart from its data; a preset says what a data set needs, and
names a method. All are YAML files; nothing here imports torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from cmg.config.values import yaml_text
from cmg.errors import ConfigError, did_you_mean
from cmg.places import lies_there

PRESET, METHOD, STUDY = "preset", "method", "study"
FOLDERS = {PRESET: "presets", METHOD: "methods", STUDY: "studies/named"}
"""Of the package, by what is in it."""

REMEDY = {
    PRESET: (METHOD, "a method; give it as method={}, with a preset or data=STORE"),
    METHOD: (PRESET, "a preset, which names a method itself; `cmg presets show {}` tells it"),
}
"""Where the one is wanted and the name of the other is given."""


def named(kind: str) -> dict[str, str]:
    """YAML text of every preset, method or study that comes with the package, by name."""
    files = (resources.files("cmg") / FOLDERS[kind]).iterdir()
    texts = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items()))


def text_of(kind: str, name: str, beside: Path = Path()) -> tuple[str, str]:
    """(where it is from, YAML text) of what comes with the package, or of a YAML file.

    Args:
        kind: :data:`PRESET`, :data:`METHOD` or :data:`STUDY`.
        name: Its name, or the path of a file.
        beside: Folder that a relative path begins at.

    Raises:
        ConfigError: neither a name nor a file that can be read.
    """
    known = named(kind)
    if name in known:
        return f"{kind} {name!r}", known[name]
    path = beside / name
    if path.suffix in {".yaml", ".yml"}:
        return str(path), yaml_text(path, "config" if kind == PRESET else kind)
    other, remedy = REMEDY.get(kind, ("", ""))
    if other and name in named(other):
        raise ConfigError(f"{name} is {remedy.format(name)}")
    there = lies_there(path)
    hint = f"; {there}" if there else did_you_mean(name, known)
    raise ConfigError(f"no {kind} named {name!r}{hint}")
