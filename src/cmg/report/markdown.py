"""A document as Markdown: the sentences and tables of the page, without media."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cmg.report.document import Block, Box, Code, Document, Fold, Grid, InWords, Items, Text
from cmg.report.tables import Table


def markdown(document: Document) -> str:
    """The whole file."""
    parts = [f"# {text(document.title)}"]
    for block in document.opening:
        parts += _parts(block, 2)
    for section in document.sections.values():
        level = 3 if section.headed else 2
        found = [part for block in section.blocks for part in _parts(block, level)]
        head = [f"## {text(section.title)}"] if section.headed and found else []
        parts += head + found
    return "\n\n".join(parts) + "\n"


def _parts(block: Block, level: int) -> Iterator[str]:
    """The paragraphs of a block, with headings of a level."""
    match block:
        case Table():
            yield table(block)
        case Text():
            yield ("> " if block.cls == "remark" else "") + text(block.text)
        case Items() if block.lines:
            yield "\n".join(f"- {text(line)}" for line in block.lines)
        case Code():
            yield fenced(block.text, block.language)
        case Grid():
            yield from _heading(block.heading, level)
            yield from [text(block.why)] if block.why else []
            yield table(block.table)
        case InWords():
            yield from _parts(block.block, level)
        case Box() | Fold():
            if isinstance(block, Fold):
                yield from _heading(block.heading, level)
            for one in block.blocks:
                yield from _parts(one, level)


def _heading(title: str, level: int) -> list[str]:
    return [f"{'#' * level} {text(title)}"] if title else []


def table(data: Table) -> str:
    """A pipe table with its note."""
    columns = list(zip(*data.rows, strict=True)) or [()] * len(data.columns)
    numbers = [all(len(cell.text) <= 14 for cell in column) for column in columns[1:]]
    marks = ["---", *("---:" if short else "---" for short in numbers)]
    head = [_row(list(data.columns)), f"| {' | '.join(marks)} |"]
    rows = [_row([cell.text for cell in row]) for row in data.rows]
    return "\n".join(head + rows) + (f"\n\n{text(data.note)}" if data.note else "")


def _row(cells: list[str]) -> str:
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
