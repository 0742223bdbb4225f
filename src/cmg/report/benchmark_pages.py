"""The report of an evaluation on the benchmarks."""

from __future__ import annotations

from markupsafe import Markup

from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report.benchmarks import (
    all_metrics_table,
    benchmark_table,
    counts_table,
    leak_table,
)
from cmg.report.document import Block, Document, Fold, Items, Section, Shown, opened
from cmg.report.event_timelines import COLORS, event_timelines, timeline_picture
from cmg.report.html import fill
from cmg.report.prose import SIMULATED
from cmg.report.tables import Table, plain
from cmg.tasks.outcome import Outcome

TITLE = "Benchmarks"
WHAT = (
    "Heads are trained with the labels of one modality on the frozen codebook and read, unchanged, "
    "on the other. Published: the release's protocol with all its particulars. Clean: encoders in "
    "eval mode, training, selection and test apart."
)


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


def benchmark_document(results: TaskResults) -> Document:
    """The whole report."""
    sections = {
        name: Section(outcomes[0].benchmark.title, benchmark_blocks(outcomes))
        for name, outcomes in grouped(results).items()
    }
    about = Shown(about_table(results), cls="facts", titled=False)
    sections["about"] = Section("What was evaluated", [about])
    return Document(TITLE, "cmg evaluate", opened(WHAT, remarks(results)), sections)


def benchmark_blocks(outcomes: list[Outcome]) -> list[Block]:
    """Tables and timelines of one benchmark."""
    notes = Items([f"{o.protocol}: {note}" for o in outcomes for note in o.notes])
    counts, leaks = counts_table(outcomes), leak_table(outcomes)
    every = [Shown(all_metrics_table(o), f"All metrics, {o.protocol}") for o in outcomes]
    return [
        benchmark_table(outcomes),
        Fold("How the figures came about", [notes, Shown(counts, counts.title)]),
        Fold(leaks.title, [leaks], leaks.title),
        Fold("All metrics", every),
        *(fold for o in outcomes if o.benchmark.per == "step" for fold in timelines(o)),
    ]


def timelines(outcome: Outcome) -> list[Fold]:
    """Timelines of the directions across modalities."""
    folds = []
    for direction in outcome.figures:
        source, _, target = direction.partition("->")
        if source == target:
            continue
        shown = event_timelines(outcome, direction)
        clips = [(one.id, Markup(timeline_picture(one))) for one in shown]
        seed = min(outcome.predictions[direction].probabilities)
        summary = f"Timelines, {outcome.protocol}, {source} → {target}"
        folds.append(Fold(summary, [fill("events", clips=clips, colors=COLORS, seed=seed)]))
    return folds
