"""The sections about results and training."""

from __future__ import annotations

from html import escape

from cmg.report.curves import chart
from cmg.report.html import details, heat_scale, legend, page, paragraph, prose, table, tag
from cmg.report.media import Media
from cmg.report.prose import count_text
from cmg.report.sections_codes import code_cards, modality_mix, usage_bars
from cmg.report.sections_time import timeline_cards
from cmg.report.story import Story
from cmg.report.svg import dot_strip
from cmg.report.tables import control_rows, crossing


def html_report(story: Story, media: Media) -> str:
    """The whole page."""
    sections: dict[str, tuple[str, str]] = {}
    if story.matrices:
        sections["transfer"] = ("Transfer", transfer(story))
    if story.controls:
        sections["controls"] = ("Controls", controls(story))
    sections["objectives"] = ("Objectives", table(story.objectives, titled=False))
    if story.panels:
        sections["training"] = ("Training", training(story))
    if story.data.usage.size:
        sections["usage"] = ("Code usage", usage_bars(story))
        sections["mix"] = ("Who uses which code", modality_mix(story))
        sections["codes"] = ("The most used codes", code_cards(story, media))
    if story.timelines:
        sections["timelines"] = ("Codes over time", timeline_cards(story, media))
    sections["setup"] = ("Configuration", setup(story))
    return page(story.title, header(story), sections)


def header(story: Story) -> str:
    """Title, headline, key numbers and what the data are."""
    remarks = [paragraph(text, "remark") for text in story.data.remarks]
    about = [tag("li", escape(text)) for text in story.about_data]
    return "".join(
        [
            tag("p", escape(story.kind), cls="kicker"),
            tag("h1", escape(story.title)),
            paragraph(story.headline, "headline"),
            *remarks,
            tiles(story),
            paragraph(story.data_in_short),
            details("More about the data", tag("ul", *about)) if about else "",
        ]
    )


def tiles(story: Story) -> str:
    """The key numbers."""
    data, found = story.data, []
    if data.results is not None:
        for title, scores in (
            ("classification across modalities", data.results.transfer),
            ("localization across modalities", data.results.localization),
        ):
            means = [s.mean for s in crossing(scores).values()]
            if means:
                found.append((f"{sum(means) / len(means):.1f} %", title))
    stats = data.stats
    if stats.size:
        found += [
            (f"{count_text(stats.used)} / {stats.size}", "codes used"),
            (f"{stats.perplexity:.1f}", "perplexity"),
            (f"{100 * stats.shared_share:.0f} %", "of used codes shared"),
        ]
    cells = [tag("div", tag("b", prose(n)), tag("span", escape(t))) for n, t in found]
    return tag("div", *cells, cls="tiles")


def transfer(story: Story) -> str:
    """Heat maps: rows are trained on, columns tested on."""
    cards = [
        tag("div", table(matrix, "matrix"), paragraph(why, "note"), cls="card")
        for matrix, why in story.matrices
    ]
    intro = (
        "A head is trained with the labels of one modality (row) on frozen codes and read, "
        "unchanged, on held-out clips of each modality (column). Framed: the same modality, the "
        "upper bound."
    )
    scale = tag("div", heat_scale(), cls="legend")
    return paragraph(intro) + tag("div", *cards, cls="matrices") + scale


def controls(story: Story) -> str:
    """The controls beside the model."""
    results, found = story.data.results, story.controls
    if results is None or found is None:
        return ""
    short, every = found
    strips = ["0 – 100 %"]
    for name, scores in control_rows(results.transfer, results.controls).items():
        across = [s.mean for s in crossing(scores).values()]
        within = [s.mean for s in crossing(scores, same=True).values()]
        label = f"{name}: " + ", ".join(f"{v:.1f}" for v in across)
        strips.append(dot_strip(across, within, label))
    key = (
        '<span><i class="dot across"></i>a direction across modalities</span>'
        '<span><i class="dot within"></i>within one modality</span>'
        '<span><i class="dot mean"></i>mean across</span>'
    )
    missing = {"shuffled_pairs", "untrained_encoders"} - set(results.controls)
    hint = "Shuffled pairs and untrained encoders need models of their own: `cmg demo` has them."
    return "".join(
        [
            paragraph("Classification of held-out clips, in percent."),
            table(short, "controls", strips, titled=False),
            tag("div", key, cls="legend strip-key"),
            paragraph(hint, "note") if missing else "",
            details("Every direction", table(every, titled=False)),
        ]
    )


def training(story: Story) -> str:
    """Curves as small multiples."""
    figures = []
    for panel in story.panels:
        labels = {s.label: s.color for s in panel.series if s.label}
        figures.append(tag("figure", chart(panel), legend(labels) if labels else ""))
    count = len([run for run in story.data.runs if run.metrics])
    lines = f" A thin line per seed ({count} seeds)." if count > 1 else ""
    intro = (
        f"Over the steps of pre-training, which sees no labels; averaged in short windows.{lines}"
    )
    numbers = story.training
    return "".join(
        [
            paragraph(intro),
            tag("div", *figures, cls="panels"),
            details("The curves in numbers", table(numbers, titled=False)) if numbers else "",
        ]
    )


def setup(story: Story) -> str:
    """Configuration, versions, seeds, data."""
    code = tag("pre", tag("code", escape(story.data.config_text)))
    return "".join(
        [
            tag("div", table(story.modalities), table(story.provenance, "facts"), cls="columns"),
            details("Resolved configuration (config.yaml)", code),
        ]
    )
