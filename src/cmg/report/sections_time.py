"""The section about codes over time."""

from __future__ import annotations

from html import escape
from itertools import groupby

from cmg.report.colors import code_color, text_on
from cmg.report.html import paragraph, tag
from cmg.report.media import Media
from cmg.report.samples import LONGEST, Place, Timeline, timed
from cmg.report.story import Story


def timeline_cards(story: Story, media: Media) -> str:
    """The codes of some clips, step by step."""
    cards = [timeline_card(story, media, one) for one in story.timelines]
    intro = (
        f"{story.scope} A row per modality, a cell per step; the same color is the same code. "
        "Clips are evenly spaced over the split."
    )
    return paragraph(intro) + "".join(cards)


def timeline_card(story: Story, media: Media, one: Timeline) -> str:
    """The codes of one clip: modalities in time as one table, each sequence of tokens below."""
    in_time = [m for m in timed(story.data) if m in one.codes]
    tokens = [m for m in one.codes if m not in in_time and one.codes[m]]
    title = tag("h3", escape(one.id), f"<small>{escape(one.label)}</small>")
    head = [tag("div", title, media.sound(one.clip), cls="heading")]
    rows = step_rows(story, media, one, in_time)
    if rows:
        head.append(_code_table(f"Codes of {one.id} over time", rows))
    for m in tokens:
        head.append(_code_table(f"{m} of {one.id}", token_rows(story, media, one, m)))
    if one.whole > LONGEST:
        head.append(paragraph(f"The first {LONGEST} of {one.whole} steps.", "note"))
    return tag("article", *head, cls="card timeline")


def _code_table(caption: str, rows: list[str]) -> str:
    title = tag("caption", escape(caption), cls="hidden")
    return tag("div", tag("table", title, *rows, cls="codes"), cls="scroll")


def step_rows(story: Story, media: Media, one: Timeline, modalities: list[str]) -> list[str]:
    """Header of steps, events, and per modality its thumbnails and codes."""
    steps = max((len(one.codes[m]) for m in modalities), default=0)
    if not steps:
        return []
    numbers = [tag("th", str(t), scope="col") for t in range(steps)]
    rows = [tag("tr", tag("th", "step", scope="row"), *numbers, cls="steps")]
    if one.events:
        rows.append(tag("tr", tag("th", "label", scope="row"), *_events(one.events)))
    for m in modalities:
        codes = one.codes[m]
        pictures = [media.thumbnail(Place(m, one.clip, t)) for t in range(len(codes))]
        if any(pictures):
            cells = [tag("td", picture) for picture in pictures]
            rows.append(
                tag("tr", "<td></td>", *cells, *["<td></td>"] * (steps - len(codes)), cls="media")
            )
        rows.append(_code_row(story, m, codes, steps))
    return rows


def token_rows(story: Story, media: Media, one: Timeline, modality: str) -> list[str]:
    """The codes of tokens with their words, or their numbers."""
    codes = one.codes[modality]
    said = media.words(modality, one.clip) or [str(t) for t in range(len(codes))]
    words = [tag("th", escape(word), scope="col") for word in said[: len(codes)]]
    names = tag("tr", tag("th", "token", scope="row"), *words, cls="words")
    return [names, _code_row(story, modality, codes, len(codes))]


def _code_row(story: Story, modality: str, codes: list[int], steps: int) -> str:
    dot = f'<i style="background:{story.colors[modality]}"></i>'
    cells = []
    for code in codes:
        color = code_color(code)
        style = f"background:{color};color:{text_on(color)}"
        cells.append(tag("td", str(code), cls="code", style=style))
    header = tag("th", dot, escape(modality), scope="row")
    return tag("tr", header, *cells, *_absent(steps - len(codes)), data_modality=modality)


def _events(events: list[str]) -> list[str]:
    cells = []
    for name, run in groupby(events):
        quiet = name in ("", "background")
        shown = name or "–"
        cells.append(
            tag(
                "td",
                escape(shown),
                colspan=str(len(list(run))),
                cls="event quiet" if quiet else "event",
                title=shown,
            )
        )
    return cells


def _absent(count: int) -> list[str]:
    return [tag("td", "–", cls="quiet")] * max(count, 0)
