"""HTML from data: every text that goes in is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources

from cmg.report.colors import code_color, heat, palette_css, text_on
from cmg.report.tables import Cell, Table


def tag(name: str, *children: str, **attributes: str) -> str:
    """An element.

    Args:
        name: Of the element.
        *children: HTML, already safe.
        **attributes: Escaped; ``cls`` is the class.
    """
    named = {key.replace("cls", "class").replace("_", "-"): v for key, v in attributes.items()}
    told = "".join(f' {key}="{escape(value)}"' for key, value in named.items())
    return f"<{name}{told}>{''.join(children)}</{name}>"


def paragraph(text: str, cls: str = "") -> str:
    """A paragraph of plain text."""
    return tag("p", prose(text), **({"cls": cls} if cls else {}))


def prose(text: str) -> str:
    """Plain text, escaped; numbers stay on the line of their percent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def section(anchor: str, title: str, *children: str) -> str:
    """A section with its heading."""
    return tag("section", tag("h2", escape(title)), *children, id=anchor)


def details(summary: str, *children: str) -> str:
    """Something to unfold."""
    return tag("details", tag("summary", escape(summary)), *children)


def legend(colors: Mapping[str, str], *more: str) -> str:
    """Which color is which modality.

    Args:
        colors: CSS color per name.
        *more: Further entries, HTML.
    """
    entries = [
        tag("span", f'<i style="background:{escape(color)}"></i>', escape(name))
        for name, color in colors.items()
    ]
    return tag("div", *entries, *more, cls="legend")


def table(
    data: Table, cls: str = "", extra: Iterable[str] | None = None, titled: bool = True
) -> str:
    """A table with headers for columns and rows.

    Args:
        data: The table.
        cls: CSS class.
        extra: HTML for a further column after the row header, the header first.
        titled: Whether the title is seen; screen readers always have it.
    """
    more = None if extra is None else list(extra)
    head = [tag("th", escape(c), scope="col") for c in data.columns]
    body = []
    for i, row in enumerate(data.rows):
        cells = [tag("th", escape(row[0].text), scope="row"), *map(_cell, row[1:])]
        if more is not None:
            cells.insert(1, tag("td", more[i + 1]))
        body.append(tag("tr", *cells))
    if more is not None:
        head.insert(1, tag("th", more[0], scope="col"))
    grid = tag(
        "table",
        tag("caption", escape(data.title), **({} if titled else {"cls": "hidden"})),
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        **({"cls": cls} if cls else {}),
    )
    note = paragraph(data.note, "note") if data.note else ""
    return tag("div", grid, cls="scroll") + note


def _cell(cell: Cell) -> str:
    if cell.heat is None:
        return tag("td", prose(cell.text))
    cls = "heat same" if cell.marked else "heat"
    mean, space, spread = escape(cell.text).partition(" ")
    shown = mean + (f"{space}<small>{spread}</small>" if spread else "")
    return tag("td", shown, cls=cls, style=heat(cell.heat).style)


def heat_scale() -> str:
    """What the colors of a heat map mean."""
    shades = [f'<i class="heat" style="{heat(i / 8).style}"></i>' for i in range(9)]
    return tag("span", "0&nbsp;%", tag("span", *shades, cls="shades"), "100&nbsp;%")


def chip(code: int, name: str = "") -> str:
    """A code's number (or name) on its color."""
    color = code_color(code)
    style = f"background:{color};color:{text_on(color)}"
    return tag("span", name or str(code), cls="chip", style=style)


def page(title: str, header: str, sections: Mapping[str, tuple[str, str]]) -> str:
    """The whole document: nothing in it is loaded from elsewhere.

    Args:
        title: Plain text.
        header: HTML above the sections.
        sections: (title, HTML) per anchor.
    """
    style = palette_css() + resources.files(__package__).joinpath("style.css").read_text(
        encoding="utf-8"
    )
    links = [tag("a", escape(name), href=f"#{anchor}") for anchor, (name, _) in sections.items()]
    body = "\n".join(section(anchor, name, html) for anchor, (name, html) in sections.items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)} · cmg report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n{header}\n{tag('nav', *links, aria_label='Sections')}\n</header>\n"
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
