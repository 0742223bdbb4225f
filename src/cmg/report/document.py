"""A report as data, told once: a page, a Markdown file and a terminal show the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from cmg.report.tables import Table


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: Plain, not escaped.
        cls: CSS class; a ``remark`` is a quotation in Markdown.
    """

    text: str
    cls: str = ""


@dataclass(frozen=True)
class Items:
    """A list of plain texts."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text of a file, as it is."""

    text: str
    language: str = "yaml"


@dataclass(frozen=True)
class Grid:
    """A table with more than its cells.

    Attributes:
        table: Grid without a title if it stands in a document by itself.
        heading: Above it in Markdown.
        cls: CSS class.
        titled: Whether the page shows its title; screen readers always have it.
        why: A sentence on what it holds: above it in Markdown, a note below it on the page.
        more: A further column of the page, its header first.
    """

    table: Table
    heading: str = ""
    cls: str = ""
    titled: bool = True
    why: str = ""
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Box:
    """Blocks that the page sets together; in Markdown they follow each other."""

    blocks: Sequence[Block]
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """Blocks that the page unfolds on demand.

    Attributes:
        summary: What is seen of them.
        blocks: Seen at once in Markdown.
        heading: Above them in Markdown.
    """

    summary: str
    blocks: Sequence[Block]
    heading: str = ""


@dataclass(frozen=True)
class InWords:
    """A block of the Markdown file alone, where the page has a picture."""

    block: Block


Block = Table | Text | Items | Code | Grid | Box | Fold | InWords | Markup
"""What documents are made of; markup is for the page alone."""


@dataclass(frozen=True)
class Section:
    """A part of a document; without one in Markdown if it has nothing but markup.

    Attributes:
        title: Its heading.
        blocks: What it holds.
        headed: Whether Markdown has the heading, or those of the blocks stand in its place.
    """

    title: str
    blocks: Sequence[Block]
    headed: bool = True


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: The first heading.
        kicker: What made it, above the title of the page.
        opening: Above the sections.
        sections: By anchor.
        window: Title of the page's window, where it is another.
    """

    title: str
    kicker: str
    opening: Sequence[Block]
    sections: Mapping[str, Section]
    window: str = ""


def opened(lead: str, remarks: Sequence[str]) -> list[Block]:
    """The opening of a report: what it is, and what has to be said before the tables."""
    return [Text(lead, "headline"), *(Text(remark, "remark") for remark in remarks)]


def of_tables(tables: Sequence[Table]) -> dict[str, Section]:
    """A section for every table."""
    return {f"table-{i}": Section(one.title, [one]) for i, one in enumerate(tables)}
