"""A document on a terminal: what the page shows at once, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markupsafe import Markup
from rich.table import Table as Shown
from rich.text import Text as Styled

from cmg.report.document import Block, Box, Items, Text
from cmg.report.tables import FACTS, Cell, Table

STYLES = {"complete": "green", "fault": "bold red", "note": "dim", "warning": "yellow"}
"""Of cells, by their CSS class."""


def shown(blocks: Iterable[str | Block]) -> Iterator[str | Shown]:
    """Parts of a document, and lines as they are."""
    for block in blocks:
        match block:
            case str() if not isinstance(block, Markup):
                yield block
            case Table() if block.cls != FACTS:
                yield table(block)
            case Text():
                yield f"Remark: {block.text}" if block.cls == "remark" else block.text
            case Items():
                yield from (f"  {line}" for line in block.lines)
            case Box():
                yield from shown(block.blocks)


def table(told: Table) -> Shown:
    """A table; what is too long for a cell goes on below and is never cut."""
    made = Shown(title=told.title or None, title_justify="left", caption=told.note or None)
    for name, short in zip(told.columns, (False, *told.short), strict=True):
        made.add_column(name, justify="right" if short else "left", overflow="fold")
    for row in told.rows:
        made.add_row(*(Styled(cell.text, style=style(cell)) for cell in row))
    return made


def style(cell: Cell) -> str:
    """Of rich."""
    return "dim" if cell.marked else STYLES.get(cell.cls, "")
