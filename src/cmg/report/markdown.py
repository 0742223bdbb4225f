"""A document as Markdown: the sentences and tables of the page, without media."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cmg.report.document import Block, Box, Code, Document, Fold, Items, Text
from cmg.report.tables import Table


def markdown(document: Document) -> str:
    """The whole file."""
    parts = [f"# {text(document.title)}", *_all(document.opening, document.title, 2)]
    for section in document.sections.values():
        parts += _below(section.title, section.blocks, 2)
    return "\n\n".join(parts) + "\n"


def _below(title: str, blocks: Sequence[Block], level: int) -> list[str]:
    """A heading and what is below it; nothing where that is nothing."""
    found = _all(blocks, title, level + 1)
    return [_heading(title, level), *found] if found else []


def _all(blocks: Sequence[Block], title: str, level: int) -> list[str]:
    return [part for block in blocks for part in _parts(block, title, level)]


def _parts(block: Block, title: str, level: int) -> Iterator[str]:
    """The paragraphs of a block below a title, with headings of a level."""
    match block:
        case Table():
            yield from [] if block.title in ("", title) else [_heading(block.title, level)]
            yield table(block)
        case Text():
            yield ("> " if block.cls == "remark" else "") + text(block.text)
        case Items() if block.lines:
            yield "\n".join(f"- {text(line)}" for line in block.lines)
        case Code():
            yield fenced(block.text, block.language)
        case Box():
            yield from _all(block.blocks, title, level)
        case Fold():
            yield from _below(block.summary, block.blocks, level)


def _heading(title: str, level: int) -> str:
    return f"{'#' * level} {text(title)}"


def table(data: Table) -> str:
    """A pipe table with its note."""
    marks = ["---", *("---:" if short else "---" for short in data.short)]
    head, *rows = map(_row, data.texts)
    lines = [head, f"| {' | '.join(marks)} |", *rows]
    return "\n".join(lines) + (f"\n\n{text(data.note)}" if data.note else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(text(cell) for cell in cells)} |"


def text(content: str) -> str:
    """Plain text in one line, with everything escaped that Markdown or HTML would interpret."""
    flat = " ".join(content.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", flat)


def fenced(content: str, language: str) -> str:
    """A code block with a fence that does not occur in it."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"
