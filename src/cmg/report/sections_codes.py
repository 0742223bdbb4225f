"""The sections about codes: frequencies, modality mix, examples, timelines."""

from __future__ import annotations

from html import escape

from cmg.report.charts import Bar, bar_chart
from cmg.report.html import chip, legend, paragraph, prose, table, tag
from cmg.report.media import Media
from cmg.report.prose import percent
from cmg.report.samples import CodeCard, Place
from cmg.report.story import Story
from cmg.report.svg import pie, share_bar, svg
from cmg.report.tables import CodeGroup, code_groups, code_name


def usage_bars(story: Story) -> str:
    """Sorted code frequencies, by modality."""
    usage = story.data.usage
    share = 100 * usage.counts / usage.counts.sum().clamp_min(1)
    pooled = share.sum(0).tolist()
    order = sorted(range(len(pooled)), key=lambda k: (-pooled[k], k))
    bars = [Bar(code_name(usage, k), share[:, k].tolist()) for k in order]
    drawn = bar_chart(bars, list(story.colors.values()), (0.1, "0.1 %: counts as used"))
    mean = " Numbers in the table: mean over seeds." if story.data.demo else ""
    return "".join(
        [
            paragraph(f"{story.scope} Share of all tokens, stacked by modality.{mean}"),
            legend(story.colors),
            tag("div", drawn, cls="scroll"),
            table(story.codebook),
            "" if story.levels is None else table(story.levels),
        ]
    )


def modality_mix(story: Story) -> str:
    """Every code as a pie of the modalities that use it (the paper's Figure 4)."""
    intro = (
        "Every code once, as in the paper's Figure 4: the slices are the modalities that use it "
        "(modalities weighted equally), the area is how often it is used (the few most frequent "
        "are drawn smaller than that). Codes are grouped by the modalities that give at least "
        "5 %; shared codes are what transfers."
    )
    ring = '<span><i class="ring-key"></i>no token</span>'
    groups = [code_group(story, group) for group in code_groups(story.data.usage)]
    return paragraph(intro) + legend(story.colors, ring) + tag("div", *groups, cls="groups")


def code_group(story: Story, group: CodeGroup) -> str:
    """The codes that the same modalities use."""
    usage = story.data.usage
    frequent = float(usage.counts.sum(0).quantile(0.97).clamp_min(1))
    side = 46.0 if group.modalities and usage.counts.shape[1] <= 512 else 26.0
    pies = [code_pie(story, code, frequent, side) for code in group.codes]
    count = f"{len(group.codes)} code{'s' if len(group.codes) > 1 else ''}"
    title = tag("h3", prose(group.title), f"<small>{count}</small>")
    return tag("div", title, tag("div", *pies, cls="pies"), cls="group")


def code_pie(story: Story, code: int, frequent: float, side: float) -> str:
    """One code: a pie, its number below, its numbers in the tooltip.

    Args:
        story: The report's.
        code: Index of the code.
        frequent: Tokens of a code that has the largest disk.
        side: Of the square around it.
    """
    usage = story.data.usage
    count, mix = float(usage.counts[:, code].sum()), usage.shares[:, code].tolist()
    largest = 22.0 if usage.counts.shape[1] <= 512 else 12.0
    radius = max(3.0, min(largest * (count / frequent) ** 0.5, side / 2 - 1))
    told = ", ".join(f"{m} {percent(s)}" for m, s in zip(story.colors, mix, strict=True))
    name = code_name(usage, code)
    label = f"code {name}: {told}; {count:.0f} tokens"
    drawn = pie((side / 2, side / 2), radius, mix, list(story.colors.values()))
    image = svg(side, side, f"<title>{escape(label)}</title>{drawn}", label, "pie")
    return f'<span data-code="{code}">{image}{name}</span>'


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
    rows = []
    never = ", ".join(m for m, places in card.examples.items() if not places)
    for m, places in card.examples.items():
        if not places:
            continue
        dot = f'<i style="background:{story.colors[m]}"></i>'
        name = f"{escape(m)} <small>{card.counts[m]}</small>"
        rows.append(tag("dt", dot, name) + tag("dd", *examples(media, places)))
    if never:
        rows.append(tag("dt", "never") + tag("dd", escape(never), cls="quiet"))
    title = tag(
        "h3",
        chip(card.code, card.name),
        f"<small>{prose(percent(card.frequency))} of all tokens</small>",
    )
    return tag("article", title, bar, class_bars(card), tag("dl", *rows), cls="card")


def examples(media: Media, places: list[Place]) -> list[str]:
    """What there is to see of some steps: nothing twice, and at most two sounds."""
    shown = list(dict.fromkeys(media.example(place) for place in places))
    sounds = [html for html in shown if "<audio" in html]
    return [html for html in shown if html not in sounds[2:]]


def class_bars(card: CodeCard) -> str:
    """The classes of a code's steps or clips, up to four."""
    if not card.classes:
        return ""
    name, share = card.classes[0]
    where = "mostly " if card.basis == "steps" else "mostly in clips of "
    told = tag("p", where, tag("b", escape(name)), f" ({prose(percent(share))})", cls="mostly")
    rows = ""
    for name, share in card.classes[:4]:
        rows += (
            f'<li><span>{escape(name)}</span><i style="width:{100 * share:.1f}%"></i>'
            f"<em>{prose(percent(share))}</em></li>"
        )
    return told + (tag("ul", rows, cls="classes") if len(card.classes) > 1 else "")
