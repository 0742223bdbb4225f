"""The report of an evaluation on the benchmarks, as HTML and as Markdown."""

from __future__ import annotations

from html import escape

from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report import markdown
from cmg.report.benchmarks import (
    all_metrics_table,
    benchmark_table,
    counts_table,
    leak_table,
)
from cmg.report.event_timelines import COLORS, event_timelines, timeline_picture
from cmg.report.html import details, legend, page, paragraph, table, tag
from cmg.report.tables import Table, plain
from cmg.tasks.outcome import Outcome

TITLE = "Benchmarks"
WHAT = (
    "Heads are trained with the labels of one modality on the frozen codebook and read, unchanged, "
    "on the other. Published: the release's protocol with all its particulars. Clean: encoders in "
    "eval mode, training, selection and test apart."
)
SIMULATED = "These are simulated data: the figures are not to be compared with the paper's."


def grouped(results: TaskResults) -> dict[str, list[Outcome]]:
    """Outcomes by benchmark."""
    found: dict[str, list[Outcome]] = {}
    for outcome in results.outcomes:
        found.setdefault(outcome.benchmark.name, []).append(outcome)
    return found


def remarks(results: TaskResults) -> list[str]:
    """What has to be said before the tables."""
    found = [SIMULATED] if results.about.get("simulated") else []
    return found + [
        f"{one.benchmark.name} ({one.protocol}): {remark}."
        for one in results.outcomes
        for remark in one.remarks
    ]


def about_table(results: TaskResults) -> Table:
    """Model, data and seeds."""
    about = results.about
    known = about["pretraining"] or "unknown"
    chosen = "selected by `cmg select`" if about["selected"] else "as given, or the newest"
    rows = [
        ("checkpoint", str(about["checkpoint"])),
        ("how it was chosen", chosen),
        ("pre-training epochs", str(about["epoch"])),
        ("modalities", ", ".join(about["modalities"])),
        ("pre-training list", known),
        ("data", str(about["data"])),
        ("seeds of the heads", ", ".join(map(str, about["seeds"]))),
    ]
    return plain("What was evaluated", ("", ""), rows)


def benchmark_markdown(results: TaskResults) -> str:
    """The whole file."""
    parts = [f"# {TITLE}", WHAT, *(f"> {remark}" for remark in remarks(results))]
    for outcomes in grouped(results).values():
        parts += [f"## {outcomes[0].benchmark.title}", markdown.table(benchmark_table(outcomes))]
        for outcome in outcomes:
            notes = [f"- {markdown.text(f'{outcome.protocol}: {note}')}" for note in outcome.notes]
            parts.append("\n".join(notes))
        parts += ["### Clips", markdown.table(counts_table(outcomes))]
        parts += ["### Videos seen before", markdown.table(leak_table(outcomes))]
        for outcome in outcomes:
            parts += [f"### All metrics, {outcome.protocol}"]
            parts += [markdown.table(all_metrics_table(outcome))]
    parts += ["## What was evaluated", markdown.table(about_table(results))]
    return "\n\n".join(parts) + "\n"


def benchmark_html(results: TaskResults) -> str:
    """The whole page; nothing in it is loaded from elsewhere."""
    head = "".join(
        [
            tag("p", "cmg evaluate", cls="kicker"),
            tag("h1", TITLE),
            paragraph(WHAT, "headline"),
            *(paragraph(remark, "remark") for remark in remarks(results)),
        ]
    )
    sections = {
        name: (outcomes[0].benchmark.title, benchmark_section(outcomes))
        for name, outcomes in grouped(results).items()
    }
    sections["about"] = ("What was evaluated", table(about_table(results), "facts", titled=False))
    return page(TITLE, head, sections)


def benchmark_section(outcomes: list[Outcome]) -> str:
    """Tables and timelines of one benchmark."""
    notes = [tag("li", escape(f"{o.protocol}: {note}")) for o in outcomes for note in o.notes]
    return "".join(
        [
            table(benchmark_table(outcomes), titled=False),
            details("How the figures came about", tag("ul", *notes), table(counts_table(outcomes))),
            details("Videos seen before", table(leak_table(outcomes), titled=False)),
            details("All metrics", *(table(all_metrics_table(o)) for o in outcomes)),
            *(timelines(o) for o in outcomes if o.benchmark.per == "step"),
        ]
    )


def timelines(outcome: Outcome) -> str:
    """Timelines of the directions across modalities."""
    parts = []
    for direction in outcome.figures:
        source, _, target = direction.partition("->")
        if source == target:
            continue
        cards = []
        for one in event_timelines(outcome, direction):
            title = tag("h3", escape(one.id))
            cards.append(tag("article", title, timeline_picture(one), cls="card timeline"))
        seed = min(outcome.predictions[direction].probabilities)
        intro = (
            f"Evenly spaced test clips; a column per second; head of seed {seed}. Upper half: "
            "true. Lower half: predicted (probability above 0.5). Full height: both."
        )
        summary = f"Timelines, {outcome.protocol}, {source} → {target}"
        parts.append(details(summary, paragraph(intro), legend(COLORS), *cards))
    return "".join(parts)
