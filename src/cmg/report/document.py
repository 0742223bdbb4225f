"""A report as data, told once: a page, a Markdown file, a terminal and a folder show the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
class Figure:
    """A drawing: on the page, and a file of its own.

    Attributes:
        title: What it is.
        drawing: SVG.
        note: Below it on the page.
    """

    title: str
    drawing: str
    note: str = ""


@dataclass(frozen=True)
class Box:
    """Blocks that the page sets together, in an element of a CSS class."""

    blocks: Sequence[Block]
    cls: str


@dataclass(frozen=True)
class Fold:
    """Blocks that the page unfolds on demand, below a summary, and a terminal leaves out."""

    summary: str
    blocks: Sequence[Block]


Block = Table | Text | Items | Code | Figure | Box | Fold | Markup
"""What documents are made of; markup is for the page alone."""


@dataclass(frozen=True)
class Section:
    """A part of a document; without one in Markdown if it has nothing but pictures.

    Attributes:
        title: Its heading; tables of the same title go without theirs.
        blocks: What it holds.
    """

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: The first heading.
        kicker: What made it, above the title of the page.
        lead: What it is, below the title.
        sections: By anchor.
        remarks: What has to be said before the tables.
        more: Between the remarks and the sections.
    """

    title: str
    kicker: str
    lead: Sequence[Block]
    sections: Mapping[str, Section]
    remarks: Sequence[str] = ()
    more: Sequence[Block] = ()

    @property
    def opening(self) -> list[Block]:
        """All that is above the sections."""
        return [*self.lead, *(Text(remark, "remark") for remark in self.remarks), *self.more]

    @property
    def at_once(self) -> list[str | Block]:
        """All of it without headings, in order, as a terminal shows it."""
        blocks = [block for section in self.sections.values() for block in section.blocks]
        return [self.title, *self.opening, *blocks]

    def parts(self) -> dict[str, Table | Figure]:
        """Every table and figure by a name for its file: the section's anchor, and its title."""
        found: dict[str, Table | Figure] = {}
        for anchor, section in {"": Section("", self.opening), **self.sections}.items():
            for part in tables_and_figures(section.blocks):
                own = "" if part.title == section.title else slug(part.title)
                name = "-".join(filter(None, (slug(anchor), own))) or "part"
                names = (name, *(f"{name}-{i}" for i in range(2, len(found) + 3)))
                found[next(free for free in names if free not in found)] = part
        return found


def tables_and_figures(blocks: Sequence[Block]) -> Iterator[Table | Figure]:
    """Those among some blocks, at any depth, in their order."""
    for one in blocks:
        match one:
            case Table() | Figure():
                yield one
            case Box() | Fold():
                yield from tables_and_figures(one.blocks)


def slug(title: str) -> str:
    """A title as part of a file's name: small letters, digits and hyphens, 60 at most."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-")


def of_tables(tables: Sequence[Table]) -> dict[str, Section]:
    """A section for every table."""
    found: dict[str, Section] = {}
    for i, one in enumerate(tables, 1):
        anchor = slug(one.title)
        found[anchor if anchor and anchor not in found else f"table-{i}"] = Section(
            one.title, [one]
        )
    return found
