"""The sections about codes: frequencies, modality mix, examples, timelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup, escape

from cmg.codebook.measures import CodeUsage, tuples_of
from cmg.report.charts import Bar, bar_chart
from cmg.report.document import Block, Box, Figure, Fold, Section, Text
from cmg.report.gather import ReportData
from cmg.report.html import fill
from cmg.report.media import Media
from cmg.report.prose import count_text, percent
from cmg.report.samples import (
    LONGEST,
    CodeCard,
    Place,
    Timeline,
    by_frequency,
    classes_of,
    code_groups,
    code_name,
    most_used,
    timed,
    timelines,
)
from cmg.report.svg import pie, svg
from cmg.report.tables import Cell, Table, plain

Colors = Mapping[str, str]
QUIET = ("", "background")
"""Events that are none."""


def code_sections(data: ReportData, media: Media, colors: Colors) -> dict[str, Section]:
    """All of them; none for a model without codes."""
    if not data.usage.size:
        return {}
    sections = {
        "usage": Section("Code usage", usage(data, colors)),
        "mix": Section("Who uses which code", modality_mix(data, colors)),
        "codes": Section("The most used codes", code_cards(data, media, colors)),
    }
    if clips := timelines(data):
        sections["timelines"] = Section(
            "Codes over time", timeline_cards(data, media, colors, clips)
        )
    return sections


def scope(data: ReportData) -> str:
    """Which clips, which run."""
    example = f" of {data.runs[0].folder.name}" if data.demo else ""
    return (
        f"Codes{example} on the {len(data.split)} clips of the split "
        f"“{data.split.name}”, after {data.checkpoint.position.step} training steps."
    )


def usage(data: ReportData, colors: Colors) -> list[Block]:
    """Sorted code frequencies, by modality."""
    share = 100 * data.usage.counts / data.usage.counts.sum().clamp_min(1)
    order = by_frequency(data.usage)
    bars = [Bar(code_name(data.usage, k), share[:, k].tolist()) for k in order]
    told = f"{scope(data)} Share of all tokens, stacked by modality."
    if data.demo:
        told += " Numbers in the table: mean over seeds."
    return [
        Text(told),
        Figure("Code usage", bar_chart(bars, colors, (0.1, "0.1 %: counts as used"))),
        codebook_table(data),
        *([] if data.usage.levels == 1 else [levels_table(data)]),
    ]


def codebook_table(data: ReportData) -> Table:
    """Use of the codebook."""
    step, stats = data.store.about.first_label("step"), data.stats
    events = data.results and step and "background" in classes_of(data, step)
    over = "the steps of events" if events else "all steps"
    rows = [
        ("codes", f"{stats.size}", "size K of the codebook"),
        ("used", count_text(stats.used), "codes with at least 0.1 % of the tokens"),
        ("perplexity", f"{stats.perplexity:.1f}", f"exp(entropy) of the codes over {over}"),
        (
            "shared",
            f"{100 * stats.shared_share:.1f} %",
            "of the used codes: two or more modalities, weighted equally, give 5 % each",
        ),
    ]
    return plain("Codebook", ("measure", "value", "meaning"), rows)


def levels_table(data: ReportData) -> Table:
    """Use of the codes of each level or group, and of the tuples that steps have."""
    numbers, count = tuples_of({m: one.indices for m, one in data.encoded.items()})
    tuples = CodeUsage.of(numbers, count, {m: one.mask for m, one in data.encoded.items()})
    named = {str(level): one for level, one in enumerate(data.usage.by_level(), 1)}
    rows = [
        (
            name,
            str(int(one.used().sum())),
            f"{one.perplexity:.1f}",
            f"{100 * one.shared_share:.1f} %",
        )
        for name, one in (named | {"all, as tuples": tuples}).items()
    ]
    return plain("Each level", ("level", "used", "perplexity", "shared"), rows)


def group_title(modalities: Sequence[str]) -> str:
    """The modalities of a group of codes in words."""
    if not modalities:
        return "hardly used (less than 0.1 % of the tokens)"
    return " + ".join(modalities) + (" only" if len(modalities) == 1 else "")


def modality_mix(data: ReportData, colors: Colors) -> list[Block]:
    """Every code as a pie of the modalities that use it (the paper's Figure 4)."""
    usage, groups = data.usage, {}
    frequent = float(usage.counts.sum(0).quantile(0.97).clamp_min(1))
    for by, codes in code_groups(usage).items():
        side = 46.0 if by and usage.counts.shape[1] <= 512 else 26.0
        pies = [code_pie(usage, colors, code, frequent, side) for code in codes]
        groups[group_title(by)] = pies
    rows = [(title, str(len(pies))) for title, pies in groups.items()]
    table = plain("The groups in numbers", ("modalities", "codes"), rows)
    return [fill("mix", colors=colors, groups=groups), Fold(table.title, [table])]


def code_pie(usage: CodeUsage, colors: Colors, code: int, frequent: float, side: float) -> Markup:
    """One code: a pie, its number below, its numbers in the tooltip.

    Args:
        usage: Of the codebook.
        colors: Of the modalities.
        code: Index of the code.
        frequent: Tokens of a code that has the largest disk.
        side: Of the square around it.
    """
    count, mix = float(usage.counts[:, code].sum()), usage.shares[:, code].tolist()
    largest = 22.0 if usage.counts.shape[1] <= 512 else 12.0
    radius = max(3.0, min(largest * (count / frequent) ** 0.5, side / 2 - 1))
    told = ", ".join(f"{m} {percent(s)}" for m, s in zip(colors, mix, strict=True))
    name = code_name(usage, code)
    label = f"code {name}: {told}; {count:.0f} tokens"
    drawn = pie((side / 2, side / 2), radius, mix, list(colors.values()))
    image = svg(side, side, f"<title>{escape(label)}</title>{drawn}", label, "pie")
    return Markup(f'<span data-code="{code}">{image}{name}</span>')


def code_cards(data: ReportData, media: Media, colors: Colors) -> list[Block]:
    """The most used codes with steps that took them."""
    cards = most_used(data)
    drawn = fill("code_cards", scope=scope(data), cards=cards, colors=colors, media=media)
    table = codes_table(cards, colors)
    return [drawn, Fold(table.title, [table])]


def codes_table(cards: list[CodeCard], colors: Colors) -> Table:
    """The most used codes."""
    rows = []
    for card in cards:
        classes = ", ".join(f"{name} {percent(share)}" for name, share in card.classes[:3])
        shares = [percent(share) for share in card.shares.values()]
        rows.append((card.name, percent(card.frequency), *shares, classes or "–"))
    columns = ("code", "of all tokens", *(f"share of {m}" for m in colors), "classes")
    return plain("The most used codes in numbers", columns, rows)


def timeline_cards(
    data: ReportData, media: Media, colors: Colors, clips: list[Timeline]
) -> list[Block]:
    """The codes of some clips, step by step."""
    about = Text(
        f"{scope(data)} A row per modality, a cell per step; the same color is the same code. "
        "Clips are evenly spaced over the split."
    )
    cards = (timeline_card(data, media, colors, one) for one in clips)
    return [about, *(Box(list(card), "card timeline") for card in cards)]


def timeline_card(data: ReportData, media: Media, colors: Colors, one: Timeline) -> Iterator[Block]:
    """Modalities in time as one table with pictures, sequences of tokens below with words."""

    def row(m: str, cells: Sequence[Cell | str], steps: int) -> list[Cell | str]:
        dot = Markup('<i style="background:{}"></i>').format(colors[m])
        return [Cell(m, drawn=dot), *cells, *[Cell("–", cls="quiet")] * (steps - len(cells))]

    in_time = {m: one.codes[m] for m in timed(data) if m in one.codes}
    steps = max(map(len, in_time.values()), default=0)
    rows: list[list[Cell | str]] = []
    if one.events:
        shown = [Cell(e or "–", cls="quiet" if e in QUIET else "event") for e in one.events[:steps]]
        rows.append(["label", *shown, *["–"] * (steps - len(shown))])
    for m, codes in in_time.items():
        places = [Place(m, one.clip, t) for t in range(len(codes))]
        pictures = zip(codes, map(media.thumbnail, places), strict=True)
        rows.append(row(m, [Cell(str(c), code=c, drawn=drawn) for c, drawn in pictures], steps))
    yield media.sound(one.clip)
    title = f"{one.id} ({one.label})" if one.label else one.id
    if steps:
        yield plain(title, ("step", *map(str, range(steps))), rows, cls="codes")
    for m, codes in one.codes.items():
        if m not in in_time and codes:
            words = media.words(m, one.clip)[: len(codes)] or map(str, range(len(codes)))
            told = row(m, [Cell(str(c), code=c) for c in codes], len(codes))
            yield plain(f"{m} of {title}", ("token", *words), [told], cls="codes")
    if one.whole > LONGEST:
        yield Text(f"The first {LONGEST} of {one.whole} steps.", "note")
