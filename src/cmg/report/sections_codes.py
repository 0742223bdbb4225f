"""The sections about codes: frequencies, modality mix, examples, timelines."""

from __future__ import annotations

from html import escape
from itertools import groupby

from cmg.report.colors import code_color, text_on
from cmg.report.html import legend, paragraph, table, tag
from cmg.report.media import Media
from cmg.report.prose import percent
from cmg.report.samples import LONGEST, CodeCard, Place, Timeline, timed
from cmg.report.story import Story
from cmg.report.svg import Bar, Point, bar_chart, pie, share_bar, svg, text
from cmg.report.tables import CodeGroup, code_groups


def usage_bars(story: Story) -> str:
    """Sorted code frequencies, by modality."""
    usage = story.data.usage
    share = 100 * usage.counts / usage.counts.sum().clamp_min(1)
    pooled = share.sum(0).tolist()
    order = sorted(range(len(pooled)), key=lambda k: (-pooled[k], k))
    bars = [Bar(str(k), share[:, k].tolist()) for k in order]
    drawn = bar_chart(bars, list(story.colors.values()), (0.1, "0.1 %: counts as used"))
    mean = " Numbers in the table: mean over seeds." if story.data.demo else ""
    return "".join(
        [
            paragraph(f"{story.scope} Share of all tokens, stacked by modality.{mean}"),
            legend(story.colors),
            tag("div", drawn, cls="scroll"),
            table(story.codebook),
        ]
    )


def modality_mix(story: Story) -> str:
    """Every code as a pie of the modalities that use it (the paper's Figure 4)."""
    intro = (
        "Every code once: the slices are the modalities that use it (modalities weighted "
        "equally), the area is how often it is used. Codes are grouped by the modalities that "
        "give at least 5 %. Shared codes are what transfers; the paper's Figure 4 shows the same."
    )
    drawn = mix_chart(story, code_groups(story.data.usage))
    ring = '<span><i class="ring-key"></i>no token</span>'
    return "".join(
        [
            paragraph(intro),
            legend(story.colors, ring),
            tag("div", drawn, cls="scroll"),
            table(story.groups),
        ]
    )


def mix_chart(story: Story, groups: list[CodeGroup], width: float = 1060) -> str:
    """The pies in rows, a heading per group."""
    usage = story.data.usage
    shares, pooled = usage.shares, usage.counts.sum(0)
    most = float(pooled.max().clamp_min(1))
    numbered = len(pooled) <= 512
    cell, line = (44.0, 54.0) if numbered else (26.0, 28.0)
    across = int(width // cell)
    colors, parts, y = list(story.colors.values()), [], 4.0
    for group in groups:
        parts.append(text(4, y + 16, f"{group.title}: {len(group.codes)}", "title"))
        y += 26
        for i, code in enumerate(group.codes):
            center: Point = (
                (i % across + 0.5) * cell,
                y + (i // across) * line + cell / 2,
            )
            radius = max(3.5, 0.47 * cell * (float(pooled[code]) / most) ** 0.5)
            mix = shares[:, code].tolist()
            told = ", ".join(f"{m} {percent(s)}" for m, s in zip(story.colors, mix, strict=True))
            title = f"code {code}: {told}; {int(pooled[code])} tokens"
            number = ""
            if numbered:
                number = text(center[0], center[1] + cell / 2 + 8, str(code), "small", "middle")
            parts.append(
                f'<g data-code="{code}"><title>{escape(title)}</title>'
                f"{pie(center, radius, mix, colors)}{number}</g>"
            )
        y += line * -(-len(group.codes) // across) + 12
    return svg(width, y, "".join(parts), "Every code with the modalities that use it", "wide")


def code_cards(story: Story, media: Media) -> str:
    """The most used codes with steps that took them."""
    cards = [code_card(story, media, card) for card in story.cards]
    intro = (
        f"{story.scope} The {len(cards)} most used codes, each with steps that took it: of "
        "different clips, evenly spaced over the split, not picked by eye."
    )
    return paragraph(intro) + legend(story.colors) + tag("div", *cards, cls="cards")


def code_card(story: Story, media: Media, card: CodeCard) -> str:
    """One code: who uses it, what for, and examples."""
    told = ", ".join(f"{m} {percent(s)}" for m, s in card.shares.items())
    bar = share_bar(list(card.shares.values()), list(story.colors.values()), told)
    mostly = ""
    if card.classes:
        name, share = card.classes[0]
        mostly = tag("p", "mostly ", tag("b", escape(name)), f" ({percent(share)})", cls="mostly")
    rows = [class_bars(card)] if card.classes else []
    for m, places in card.examples.items():
        dot = f'<i style="background:{story.colors[m]}"></i>'
        name = f"{escape(m)} <small>{card.counts[m]}</small>"
        shown = "".join(_examples(media, m, places)) or '<div class="quiet">never</div>'
        rows.append(tag("dt", dot, name) + tag("dd", shown))
    head = tag("h3", chip(card.code), f" <small>{percent(card.frequency)} of all tokens</small>")
    lists = tag("dl", *rows[1 if card.classes else 0 :])
    return tag("article", head, bar, mostly, *rows[: 1 if card.classes else 0], lists, cls="card")


def _examples(media: Media, modality: str, places: list[Place]) -> list[str]:
    shown = [media.example(place) for place in places]
    sounds = [i for i, html in enumerate(shown) if "<audio" in html]
    return [html for i, html in enumerate(shown) if i not in sounds[2:]]


def class_bars(card: CodeCard) -> str:
    """The classes of a code's steps or clips, up to four."""
    rows = ""
    for name, share in card.classes[:4]:
        rows += (
            f'<li><span>{escape(name)}</span><i style="width:{100 * share:.1f}%"></i>'
            f"<em>{percent(share)}</em></li>"
        )
    return tag("ul", rows, cls="classes", title=f"classes of its {card.basis}")


def chip(code: int) -> str:
    """A code's number on its color."""
    color = code_color(code)
    style = f"background:{color};color:{text_on(color)}"
    return tag("span", str(code), cls="chip", style=style)


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
    head = [tag("h3", escape(one.id), f" <small>{escape(one.label)}</small>")]
    sound = media.sound(one.clip)
    rows = step_rows(story, media, one, in_time)
    if rows:
        head.append(_code_table(f"Codes of {one.id} over time", rows))
    for m in tokens:
        head.append(_code_table(f"{m} of {one.id}", token_rows(story, media, one, m)))
    if one.whole > LONGEST:
        head.append(paragraph(f"The first {LONGEST} of {one.whole} steps.", "note"))
    return tag("article", *head, sound, cls="card timeline")


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
            rows.append(tag("tr", "<td></td>", *cells, *_absent(steps - len(codes)), cls="media"))
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
        cells.append(
            tag(
                "td",
                escape(name or "–"),
                colspan=str(len(list(run))),
                cls="event quiet" if quiet else "event",
            )
        )
    return cells


def _absent(count: int) -> list[str]:
    return [tag("td", "–", cls="quiet")] * max(count, 0)
