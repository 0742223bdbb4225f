"""Prompts from labels: one sentence of about ten words each, after editable templates.

Such a sentence names the class. A codebook trained with it as the text modality has seen the
labels, so what it reads from text afterwards is no transfer without labels: docs/own-data.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from cmg.errors import DataError
from cmg.files import StrPath, read_text

SLOT = "{label}"
OWN = "the templates of cmg"


def default_templates() -> str:
    """The text of the templates that come with the package, to be edited."""
    return (resources.files("cmg.text") / "templates.txt").read_text(encoding="utf-8")


def read_templates(path: StrPath | None = None) -> list[str]:
    """Templates of a file: a sentence with ``{label}`` per line; lines after # are remarks.

    Args:
        path: The file; None is that of the package.

    Raises:
        DataError: unreadable, empty, or a line without ``{label}``, by number.
    """
    path = None if path is None else Path(path)
    where = OWN if path is None else str(path)
    found = []
    for number, line in _lines(path):
        if line.count(SLOT) != 1:
            raise DataError(f"{where}, line {number}: {line!r} must hold {SLOT} once")
        found.append(line)
    if not found:
        raise DataError(f"{where} has no sentence with {SLOT}")
    return found


def read_label_list(path: StrPath) -> list[str]:
    """Labels of a text file, one per line.

    Raises:
        DataError: unreadable, empty, or a label that occurs twice, by line.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        if line in seen:
            raise DataError(f"{path}, line {number}: {line!r} is already in line {seen[line]}")
        seen[line] = number
    if not seen:
        raise DataError(f"{path} has no label; write one per line")
    return list(seen)


def _lines(path: Path | None) -> list[tuple[int, str]]:
    text = default_templates() if path is None else read_text(path)
    lines = ((n, " ".join(line.split())) for n, line in enumerate(text.splitlines(), start=1))
    return [(n, line) for n, line in lines if line and not line.startswith("#")]


def prompts_of(labels: Sequence[str], templates: Sequence[str]) -> dict[str, str]:
    """A sentence per label; which template a label gets depends on the label alone.

    Underscores of a label are read as spaces.
    """
    found = {}
    for label in labels:
        digest = hashlib.sha256(label.encode()).digest()
        template = templates[int.from_bytes(digest[:8], "big") % len(templates)]
        found[label] = template.replace(SLOT, label.replace("_", " "))
    return found


def prompts_csv(prompts: dict[str, str]) -> bytes:
    """The official dialect: a comma csv with the header ``label,prompt``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "prompt"])
    writer.writerows(prompts.items())
    return text.getvalue().encode()
