"""Writing documents: files of a folder one by one, or the whole folder or nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cmg.files import Staging, replace_file, write_synced, writing
from cmg.report.document import Document
from cmg.report.html import page
from cmg.report.markdown import markdown

HTML, MARKDOWN = "report.html", "report.md"
Files = Mapping[str, str | bytes | Mapping[str, Any]]
"""What a folder holds, by name, which may have a folder: texts, bytes, or what is told as JSON."""
Made = TypeVar("Made")


def pages(document: Document) -> dict[str, str]:
    """A document as ``report.html``, one self-contained file, and as ``report.md``."""
    return {HTML: page(document), MARKDOWN: markdown(document)}


def replace_files(out: Path, files: Files) -> list[Path]:
    """Write files into a folder, each whole or not at all; earlier ones are replaced.

    Raises:
        DataError: one cannot be written.
    """
    for name, content in files.items():
        replace_file(out / name, as_bytes(content))
    return [out / name for name in files]


def write_folder(
    out: Path,
    marker: str,
    make: Callable[[], Made],
    files: Callable[[Made], Files],
    overwrite: bool = False,
) -> Made:
    """Make something and write its folder, whole or not at all.

    Args:
        out: The folder.
        marker: The file of it that tells it from somebody else's.
        make: Called once `out` is known to be free.
        files: What was made, as files.
        overwrite: Whether an earlier folder with `marker` may be replaced.

    Raises:
        DataError: `out` is occupied, or cannot be written; nothing is left behind.
    """
    staging = Staging(out, overwrite, marker)
    try:
        made = make()
        with writing(out):
            for name, content in files(made).items():
                path = staging.folder / name
                path.parent.mkdir(exist_ok=True)
                write_synced(path, as_bytes(content))
        staging.publish()
    finally:
        staging.discard()
    return made


def as_bytes(content: str | bytes | Mapping[str, Any]) -> bytes:
    """UTF-8; bytes of file names that are none are written as backslash, u and digits."""
    if isinstance(content, Mapping):
        content = json.dumps(content, indent=1) + "\n"
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
