"""Write docs/catalogue.md from the catalogue of what the authors released.

`tests/official/test_catalogue.py` fails once the page is out of date.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from string import ascii_uppercase

from cmg.official.catalogue import PARTS, Part
from cmg.official.lists.readers import COLUMNS, TABBED

PAGE = Path(__file__).parents[1] / "docs/catalogue.md"
_HEAD = """# What the authors released

Every file and folder that the [readers](official-data.md) read, the [doctor](data-doctor.md) looks
for and the [simulation](simulation.md) writes. Written by `python tools/catalogue.py` from
`src/cmg/official/catalogue.tsv`, where each is told once.

A part that is *needed* for something is missing where it is absent; others are optional. Rows are
the official numbers, counted in copies of the lists (AVSBench's as published); categories are those
of another file. From:

{}
"""
_SOURCES = dict(zip(dict.fromkeys(p.source for p in PARTS.values()), ascii_uppercase, strict=False))
_PLAIN = {
    "annotations": "`category&id&quality&start&end`",
    "names": "a name a line",
}


def page() -> str:
    """The page."""
    sources = "\n".join(f"- **{letter}** {source}" for source, letter in _SOURCES.items())
    tables = [_HEAD.format(sources)]
    for group, parts in groupby(PARTS.values(), lambda part: part.group):
        tables.append(f"## {group}\n\n| part | for | written as | rows | categories | from |")
        tables[-1] += "\n|---|---|---|---|---|---|\n" + "\n".join(map(_row, parts)) + "\n"
    return "\n".join(tables)


def _row(part: Part) -> str:
    use = f"**needed**: {', '.join(part.needed)}" if part.needed else part.use or "nothing reads it"
    rows = ", ".join(f"{count:,} {split}".strip() for split, count in part.counts.items())
    categories = f"`{part.categories}`" if part.categories else ""
    cells = (f"`{part.name}`", use, _written(part), rows, categories, _SOURCES[part.source])
    return f"| {' | '.join(cells)} |"


def _written(part: Part) -> str:
    if not part.dialect:
        return "a folder of zips" if "/" in part.name else "h5" if part.name[-3:] == ".h5" else ""
    if part.dialect in _PLAIN:
        return _PLAIN[part.dialect]
    between = "tabs" if part.dialect in TABBED else "commas"
    return f"csv, {between}: `{' '.join(COLUMNS[part.dialect])}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
