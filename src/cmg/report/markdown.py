"""The report as Markdown: the same sentences and tables, without media."""

from __future__ import annotations

import re

from cmg.report.prose import percent
from cmg.report.samples import Timeline
from cmg.report.story import Story
from cmg.report.tables import Table, plain


def markdown_report(story: Story) -> str:
    """The whole file."""
    data = story.data
    parts = [f"# {text(story.title)}", text(story.headline), text(story.data_in_short)]
    parts += [f"> {text(remark)}" for remark in data.remarks]
    parts += ["\n".join(f"- {text(line)}" for line in story.about_data)]
    if story.matrices:
        parts.append("## Transfer")
    for matrix, why in story.matrices:
        parts += [f"### {text(matrix.title)}", text(why), table(matrix)]
    if story.controls:
        short, every = story.controls
        parts += ["## Controls", table(short), f"### {text(every.title)}", table(every)]
    parts += ["## Objectives", table(story.objectives)]
    if story.training is not None:
        parts += ["## Training", table(story.training)]
    if data.usage.size:
        parts += ["## Code usage", text(story.scope), table(story.codebook), table(story.groups)]
        parts += [] if story.levels is None else [table(story.levels)]
        parts += ["## The most used codes", table(codes_table(story))]
    if story.timelines:
        parts.append("## Codes over time")
    for one in story.timelines:
        label = f" ({text(one.label)})" if one.label else ""
        parts += [f"### {text(one.id)}{label}", table(timeline_table(one))]
    parts += ["## Configuration", table(story.modalities), table(story.provenance)]
    parts.append(fenced(data.config_text, "yaml"))
    return "\n\n".join(part for part in parts if part) + "\n"


def codes_table(story: Story) -> Table:
    """The most used codes."""
    rows = []
    for card in story.cards:
        classes = ", ".join(f"{name} {percent(share)}" for name, share in card.classes[:3])
        shares = [percent(share) for share in card.shares.values()]
        rows.append((card.name, percent(card.frequency), *shares, classes or "–"))
    columns = ("code", "of all tokens", *(f"share of {m}" for m in story.colors), "classes")
    return plain("The most used codes", columns, rows)


def timeline_table(one: Timeline) -> Table:
    """The codes of one clip."""
    steps = max(len(codes) for codes in one.codes.values())
    rows = []
    if one.events:
        rows.append(("label", *one.events, *["–"] * (steps - len(one.events))))
    for m, codes in one.codes.items():
        rows.append((m, *map(str, codes), *["–"] * (steps - len(codes))))
    return plain(one.id, ("step", *map(str, range(steps))), rows)


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
