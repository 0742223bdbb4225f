"""The report and the files of an evaluation on the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup
from torch import Tensor

from cmg.evaluation.scores import plain as as_json
from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report.benchmarks import (
    all_metrics_table,
    benchmark_table,
    counts_table,
    leak_table,
)
from cmg.report.document import Block, Document, Fold, Grid, Items, Section, opened
from cmg.report.event_timelines import COLORS, event_timelines, timeline_picture
from cmg.report.html import fill
from cmg.report.prose import SIMULATED
from cmg.report.tables import Table, plain
from cmg.report.write import csv_text, pages
from cmg.tasks.outcome import Outcome, Predictions

RESULTS, EVALUATION, PREDICTIONS = "results.json", "evaluation.json", "predictions"
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
    about = Grid(about_table(results), cls="facts", titled=False)
    sections["about"] = Section("What was evaluated", [about])
    return Document(TITLE, "cmg evaluate", opened(WHAT, remarks(results)), sections)


def benchmark_blocks(outcomes: list[Outcome]) -> list[Block]:
    """Tables and timelines of one benchmark."""
    notes = Items([f"{o.protocol}: {note}" for o in outcomes for note in o.notes])
    counts, leaks = counts_table(outcomes), leak_table(outcomes)
    every = [Grid(all_metrics_table(o), f"All metrics, {o.protocol}") for o in outcomes]
    return [
        benchmark_table(outcomes),
        Fold("How the figures came about", [notes, Grid(counts, counts.title)]),
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


def evaluation_files(results: TaskResults) -> dict[str, Any]:
    """``results.json``, ``evaluation.json``, predictions and both reports, by name."""
    files = {RESULTS: as_json(results.figures, "paper"), EVALUATION: evaluation_record(results)}
    for outcome in results.outcomes:
        for direction, said in outcome.predictions.items():
            arrow = direction.replace("->", "-to-")
            name = f"{outcome.benchmark.name}-{outcome.protocol}-{arrow}.csv"
            files[f"{PREDICTIONS}/{name}"] = predictions_csv(outcome, said)
    return files | pages(benchmark_document(results))


def evaluation_record(results: TaskResults) -> dict[str, Any]:
    """What ``evaluation.json`` says: everything beside the figures."""
    found: dict[str, Any] = {}
    for outcome in results.outcomes:
        found.setdefault(outcome.benchmark.name, {})[outcome.protocol] = outcome.told()
    return {"format": "cmg-evaluation", "version": 1, "about": results.about, "benchmarks": found}


def predictions_csv(outcome: Outcome, said: Predictions) -> str:
    """Every clip (and second) with truth, prediction and probability, for every seed."""
    clip_rows = outcome.benchmark.per == "clip"
    second = [] if clip_rows else ["second"]
    of_seed = _clip_rows if clip_rows else _step_rows
    rows: list[list[Any]] = [["seed", "id", *second, "truth", "prediction", "probability"]]
    for seed, probabilities in said.probabilities.items():
        rows += [[seed, *row] for row in of_seed(outcome.classes, said, probabilities)]
    return csv_text(rows)


def _clip_rows(
    classes: tuple[str, ...], said: Predictions, probabilities: Tensor
) -> Iterator[list[Any]]:
    best, which = probabilities.max(1)
    for row, true, guess, p in zip(
        said.rows, said.truth.tolist(), which.tolist(), best.tolist(), strict=True
    ):
        yield [row.id, classes[true], classes[guess], f"{p:.4f}"]


def _step_rows(
    classes: tuple[str, ...], said: Predictions, probabilities: Tensor
) -> Iterator[list[Any]]:
    for row, truth, found in zip(
        said.rows, said.truth.tolist(), probabilities.tolist(), strict=True
    ):
        for second, (true, p) in enumerate(zip(truth, found, strict=True)):
            if min(true) < 0:
                continue
            guess = [c for c, value in enumerate(p) if value > 0.5]
            yield [
                row.id,
                second,
                "|".join(classes[c] for c, value in enumerate(true) if value > 0),
                "|".join(classes[c] for c in guess),
                "|".join(f"{p[c]:.4f}" for c in guess),
            ]
