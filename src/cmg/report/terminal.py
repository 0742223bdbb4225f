"""A document on a terminal: what the page shows at once, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table as Shown
from rich.text import Text as Styled

from cmg.report.document import Block, Box, Document, Items, Text
from cmg.report.tables import FACTS, Table


def terminal(document: Document) -> list[Any]:
    """Lines, and tables of rich."""
    blocks = [block for section in document.sections.values() for block in section.blocks]
    return [document.title, *_shown([*document.opening, *blocks])]


def _shown(blocks: Sequence[Block]) -> Iterator[Any]:
    for block in blocks:
        match block:
            case Table() if block.cls != FACTS:
                yield table(block)
            case Text():
                yield f"Remark: {block.text}" if block.cls == "remark" else block.text
            case Items():
                yield from (f"  {line}" for line in block.lines)
            case Box():
                yield from _shown(block.blocks)


def table(told: Table) -> Shown:
    """A table; what is too long for a cell goes on below and is never cut."""
    made = Shown(title=told.title or None, title_justify="left", caption=told.note or None)
    for name, short in zip(told.columns, (False, *told.short), strict=True):
        made.add_column(name, justify="right" if short else "left", overflow="fold")
    for row in told.rows:
        made.add_row(*(Styled(cell.text, style="dim" if cell.marked else "") for cell in row))
    return made
