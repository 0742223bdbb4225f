"""Writing documents: into a folder that has other things too, or a whole folder or nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cmg.files import replace_file, write_synced, writing
from cmg.report.document import Document
from cmg.report.html import page, standalone
from cmg.report.latex import latex
from cmg.report.markdown import markdown
from cmg.report.tables import Table
from cmg.staging import Staging

HTML, MARKDOWN = "report.html", "report.md"
PARTS, CONTENTS = "report", "contents.json"
"""Folder of the tables and figures of a report, and what is in it."""
Files = Mapping[str, str | bytes | Mapping[str, Any]]
"""What a folder holds, by name, which may have a folder: texts, bytes, or what is told as JSON."""
Made = TypeVar("Made")


def report_files(document: Document, text: str = MARKDOWN) -> dict[str, Any]:
    """A document as files: the page, the text, and every table and figure by itself.

    Args:
        document: What is reported.
        text: Name of the Markdown file.

    Returns:
        ``report.html``, one self-contained file; the text; below ``report/`` a CSV and a LaTeX file
        of every table, an SVG of every figure, and ``contents.json``, which names them.
    """
    below: dict[str, str] = {}
    contents = []
    for name, part in document.parts().items():
        if isinstance(part, Table):
            own = {f"{name}.csv": csv_text(part.texts), f"{name}.tex": latex(part)}
        else:
            own = {f"{name}.svg": standalone(part.drawing)}
        contents.append({"title": part.title, "files": list(own)})
        below |= own
    told = {"format": "cmg-report", "version": 1, "title": document.title, "contents": contents}
    parts = {f"{PARTS}/{name}": content for name, content in {**below, CONTENTS: told}.items()}
    return {HTML: page(document), text: markdown(document), **parts}


def replace_files(out: Path, files: Files) -> list[Path]:
    """Write files into a folder, each whole or not at all; earlier ones are replaced.

    Those below ``report/`` are one folder, which is replaced as a whole.

    Returns:
        Those in `out` itself.

    Raises:
        DataError: one cannot be written, or ``report/`` is somebody else's.
    """
    below = {n.removeprefix(f"{PARTS}/"): x for n, x in files.items() if n.startswith(f"{PARTS}/")}
    beside = {name: content for name, content in files.items() if not name.startswith(f"{PARTS}/")}
    if below:
        write_folder(out / PARTS, CONTENTS, lambda: below, dict, overwrite=True)
    for name, content in beside.items():
        replace_file(out / name, as_bytes(content))
    return [out / name for name in beside if "/" not in name]


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


FORMULA = re.compile(r"[=@\t\r]|[+-](?!([\d\s.,;%±()+−–-]|to)*$)")
"""How a text begins that a spreadsheet would run; of numbers, with their spread, it would not."""


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file.

    Ids, labels and captions may be somebody else's: what a spreadsheet would take for a formula has
    an apostrophe before it, the mark of a text.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([as_text(x) for x in row] for row in rows)
    return text.getvalue()


def as_text(cell: Any) -> Any:
    """A cell that is no formula."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell
